"""Learning curves: intervals, crossover, data advantage by hand, plateau, and silence beyond what was measured."""

import numpy as np
import pytest

from whichway.verdict.crossover import advantage, crossover, mean_distance, rows_to_reach, window_of
from whichway.verdict.curves import CurveRun, Curves, families

SIZES = (8, 16, 32, 64, 128, 256)


def runs(way, scores, sizes=SIZES, seeds=1, noise=0.0, rng=None, rows=0):
    found = []
    for seed in range(seeds):
        for n, score in zip(sizes, scores, strict=True):
            value = float(np.clip(score + (noise * rng.normal() if rng else 0.0), 0, 1))
            pairs = ()
            if rows:
                right = (rng.random(rows) < value).astype(float)
                value, pairs = float(right.mean()), tuple((str(i), float(x)) for i, x in enumerate(right))
            found.append(CurveRun(way, seed, n, value, pairs))
    return found


def two(noise=0.01, seeds=4, seed=0, rows=0):
    rng = np.random.default_rng(seed)
    flat, steep = (0.6, 0.62, 0.64, 0.66, 0.67, 0.68), (0.4, 0.48, 0.56, 0.68, 0.76, 0.82)
    return [*runs("p", flat, SIZES, seeds, noise, rng, rows), *runs("t", steep, SIZES, seeds, noise, rng, rows)]


# --- data advantage, Le Scao & Rush 2021


def test_rows_to_reach_is_interpolated_in_n():
    sizes, curve = np.array([10.0, 20.0, 40.0]), np.array([0.5, 0.6, 0.8])
    assert rows_to_reach(sizes, curve, np.array([0.5, 0.55, 0.6, 0.7, 0.8])) == pytest.approx([10, 15, 20, 30, 40])


def test_advantage_by_hand_is_the_area_between_the_curves_over_the_height_of_the_window():
    sizes = np.array([0.0, 100.0])
    first, second = np.array([0.5, 0.7]), np.array([0.4, 0.6])  # first reaches y at 500(y−.5), second at 500(y−.4)
    assert window_of(first, second) == (0.5, 0.6)
    assert mean_distance(sizes, first, sizes, second) == pytest.approx(50.0)


def test_a_constant_shift_in_n_is_the_advantage():
    curves = Curves([*runs("a", (0.3, 0.5, 0.7), (10, 20, 30)), *runs("b", (0.3, 0.5, 0.7), (40, 50, 60))])
    found = advantage(curves, "a", "b")
    assert found.mean == pytest.approx(30.0)
    assert found.low is None  # one run of each: no noise to draw
    assert found.window == (0.3, 0.7)


def test_an_empty_window_is_not_comparable():
    curves = Curves([*runs("a", (0.8, 0.9), (10, 20)), *runs("b", (0.3, 0.5), (10, 20))])
    assert advantage(curves, "a", "b") is None
    found = crossover(curves, "a", "b")
    assert found.advantage is None
    assert "not comparable" in found.text


def test_zero_shot_is_worth_the_rows_at_which_the_other_reaches_it():
    curves = Curves([CurveRun("zero", 0, 0, 0.6), *runs("t", (0.4, 0.6, 0.8), (10, 30, 50))])
    found = crossover(curves, "zero", "t")
    assert found.advantage == pytest.approx(30.0)
    assert curves.families["zero"].flat


def test_max_is_the_accumulated_maximum_over_runs_and_sizes():
    scores = {0: (0.5, 0.4, 0.7), 1: (0.6, 0.3, 0.65)}
    table = [CurveRun("a", seed, n, y) for seed, ys in scores.items() for n, y in zip((8, 16, 32), ys, strict=True)]
    assert Curves(table, "max").centre("a") == pytest.approx([0.6, 0.6, 0.7])
    assert Curves(table).centre("a") == pytest.approx([0.55, 0.35, 0.675])


# --- intervals


@pytest.mark.parametrize(("seeds", "df"), [(3, 6), (5, 12)])
def test_intervals_hold_seed_noise_at_its_size(seeds, df):
    rng = np.random.default_rng(1)
    covered = total = 0
    for _ in range(150):
        curve = Curves(runs("a", (0.6,) * 4, (8, 16, 32, 64), seeds, 0.03, rng), resamples=400).curve("a")
        covered += sum(p.low <= 0.6 <= p.high for p in curve.points)
        total += 4
    assert 0.9 <= covered / total <= 0.99


def test_rows_are_drawn_together_so_that_shared_rows_cancel():
    rng = np.random.default_rng(2)
    right = (rng.random(300) < 0.6).astype(float)
    pairs = tuple((str(i), float(x)) for i, x in enumerate(right))
    both = [CurveRun(way, 0, n, float(right.mean()), pairs) for way in "ab" for n in (8, 16)]
    curves = Curves(both, resamples=300)
    assert np.allclose(curves.replicates["a"], curves.replicates["b"])
    assert curves.replicates["a"].std() > 0.02


def test_one_run_without_rows_has_no_interval():
    point = Curves(runs("a", (0.5, 0.6), (8, 16))).curve("a").points[0]
    assert (point.low, point.high) == (None, None)


def test_rows_that_differ_between_runs_are_left_out():
    table = [CurveRun("a", 0, 8, 1.0, (("x", 1.0),)), CurveRun("a", 1, 8, 1.0, (("y", 1.0),))]
    assert families(table)["a"].rows is None


# --- crossover


def test_the_crossover_is_between_two_sizes_and_holds_the_truth():
    found = crossover(Curves(two()), "p", "t")
    assert found.state == "between"
    assert 32 < found.low < 60 < found.high < 100
    assert found.text.startswith("t overtakes p between ")
    assert found.next_n is None or found.low < found.next_n < found.high


def test_row_noise_widens_it():
    def width(rows):
        found = [crossover(Curves(two(rows=rows, seed=k), resamples=300), "p", "t") for k in range(7)]
        return np.median([(cross.high or 256) / (cross.low or 8) for cross in found])

    assert width(150) > 1.5 * width(4000)


def test_behind_to_the_end_is_not_reached_and_says_what_would_tell_more():
    rng = np.random.default_rng(4)
    table = [
        *runs("p", (0.8,) * 6, SIZES, 4, 0.01, rng),
        *runs("t", (0.2, 0.25, 0.3, 0.4, 0.5, 0.6), SIZES, 4, 0.01, rng),
    ]
    found = crossover(Curves(table), "p", "t")
    assert found.state == "not reached"
    assert found.high is None
    assert found.next_n == 512
    assert "behind p up to 256 training rows" in found.text
    assert "plateau" not in found.text


def test_a_plateau_near_the_baseline_promises_nothing():
    rng = np.random.default_rng(5)
    table = [*runs("p", (0.8,) * 6, SIZES, 4, 0.01, rng), *runs("t", (0.2,) * 6, SIZES, 4, 0.01, rng)]
    curves = Curves(table)
    assert curves.curve("t").plateau
    assert "it cannot be said when, or whether, it will rise" in crossover(curves, "p", "t", baseline=0.2).text
    assert "its last two doublings are not shown to help" in crossover(curves, "p", "t", baseline=0.05).text


def test_ahead_from_the_start():
    rng = np.random.default_rng(6)
    table = [*runs("p", (0.3,) * 6, SIZES, 4, 0.01, rng), *runs("t", (0.6,) * 6, SIZES, 4, 0.01, rng)]
    found = crossover(Curves(table), "p", "t")
    assert (found.state, found.low) == ("before", None)
    assert found.high == pytest.approx(8)


def test_equal_ways_cannot_be_told_apart():
    rng = np.random.default_rng(7)
    table = [run for way in "pt" for run in runs(way, (0.6,) * 6, SIZES, 3, 0.02, rng)]
    found = crossover(Curves(table), "p", "t")
    assert found.state == "cannot say"


def test_one_run_of_each_says_nothing_about_where():
    found = crossover(Curves(two(0.0, 1)), "p", "t")
    assert found.state == "cannot say"
    assert found.advantage is not None


def test_no_common_size():
    table = [*runs("p", (0.5, 0.6), (8, 16)), *runs("t", (0.5, 0.6), (32, 64))]
    assert "no common size" in crossover(Curves(table), "p", "t").text


# --- beyond what was measured


def test_nothing_is_said_beyond_twice_the_largest_size():
    curves = Curves(two())
    value, low, high = curves.expect("t", 400)
    assert low <= value <= high
    assert value == pytest.approx(curves.centre("t")[-1])
    assert high > curves.expect("t", 256)[2]
    for n in (513, 4):
        with pytest.raises(ValueError, match="nothing is said"):
            curves.expect("t", n)


def test_it_is_deterministic():
    one, two_ = (crossover(Curves(two(rows=100)), "p", "t") for _ in range(2))
    assert one == two_
