"""Learning curves where they went wrong: missing runs, maxima, steep curves, curves that meet twice, shared seeds."""

import warnings

import numpy as np
import pytest

from whichway.app.curves import pairs, read, window
from whichway.errors import DataError, OptionError
from whichway.verdict.crossover import RowsWorth, advantage, advantage_text, crossover, mean_distance
from whichway.verdict.curves import CurveRun, Curves, families

SIZES = (8, 16, 32, 64, 128, 256)


def table(way, *curves, sizes=SIZES, first=0):
    """One run for each seed and size; None was not run."""
    return [
        CurveRun(way, first + seed, n, score)
        for seed, scores in enumerate(curves)
        for n, score in zip(sizes, scores, strict=True)
        if score is not None
    ]


def spread(way, means, by=0.01, seeds=4, sizes=SIZES, first=0):
    """Runs around means: seeds evenly apart, the same at every size."""
    moves = np.linspace(-by, by, seeds)
    return table(way, *([m + move for m in means] for move in moves), sizes=sizes, first=first)


# --- runs that are missing


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_a_missing_run_is_left_out_and_nothing_becomes_nan(aggregate):
    runs = [*table("a", (0.5, 0.6), (None, 0.7), (None, 0.65), sizes=(8, 16)), *spread("b", (0.3, 0.8), sizes=(8, 16))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves = Curves(runs, aggregate, resamples=200)
        found = crossover(curves, "a", "b")
        points = curves.curve("a").points
    assert np.isfinite([p.score for p in points]).all()
    assert [p.seeds for p in points] == [1, 3]
    assert points[0].low is None  # one run: its noise is not known
    assert (points[1].low is None) == (aggregate == "max")
    assert np.isfinite(found.advantage)
    assert "nan" not in found.text


def test_rows_are_kept_where_a_seed_skipped_a_size():
    rng = np.random.default_rng(0)

    def one(seed, n):
        right = (rng.random(50) < 0.6).astype(float)
        return CurveRun("a", seed, n, float(right.mean()), tuple((str(i), x) for i, x in enumerate(right)))

    runs = [one(0, 8), one(1, 8), one(0, 16)]
    family = families(runs)["a"]
    assert family.rows is not None
    assert np.isnan(family.rows[1, 1]).all()
    points = Curves(runs, resamples=200).curve("a").points
    assert all(p.low < p.score < p.high for p in points)


# --- accumulated maxima


def test_a_maximum_has_no_interval_and_says_why():
    curves = Curves([*spread("p", (0.6,) * 6), *spread("t", (0.4, 0.5, 0.6, 0.7, 0.8, 0.9))], "max")
    assert all(p.low is None and p.high is None for p in curves.curve("t").points)
    found = crossover(curves, "p", "t")
    assert (found.state, found.low, found.high) == ("cannot say", None, None)
    assert found.advantage is not None
    assert found.advantage_low is None
    assert "no interval: the maximum over a few runs has none that holds" in found.text


# --- data advantage


def test_the_area_is_exact_where_a_curve_is_steep_in_a_sliver_of_levels():
    first, second = np.array([0.0, 1.0]), np.array([0.0, 0.0009, 1.0])
    n_first, n_second = np.array([0.0, 1.0]), np.array([0.0, 100_000.0, 100_001.0])
    by_hand = 0.0009 * 50_000 + (1 - 0.0009) * 100_000.5 - 0.5
    assert mean_distance(n_first, first, n_second, second) == pytest.approx(by_hand, rel=1e-12)
    sliver = np.array([0.0, 0.001, 1.0])  # all of its rows lie under a thousandth of the window
    assert mean_distance(n_first, first, np.array([0.0, 0.0, 1.0]), sliver) == pytest.approx(
        0.001 * 0 + 0.999 * 0.5 - 0.5, rel=1e-12
    )


def test_a_plateau_adds_its_rows_to_every_level_above_it():
    sizes = np.array([10.0, 20.0, 500.0, 510.0])
    held = np.array([0.4, 0.5, 0.5, 0.6])
    assert mean_distance(np.array([0.0, 1.0]), np.array([0.4, 0.6]), sizes, held) == pytest.approx(
        (15 + 505) / 2 - 0.5, rel=1e-12
    )


def test_the_window_of_levels_is_said_and_can_be_given():
    runs = [*table("a", (0.3, 0.5, 0.7), sizes=(10, 20, 30)), *table("b", (0.3, 0.5, 0.7), sizes=(20, 60, 70))]
    whole = crossover(Curves(runs), "a", "b")
    assert (whole.window_low, whole.window_high) == (0.3, 0.7)
    assert "over scores from 30.0 % to 70.0 %" in whole.text
    part = crossover(Curves(runs), "a", "b", window=(0.5, 0.9))
    assert (part.window_low, part.window_high) == (0.5, 0.7)
    assert part.advantage == pytest.approx(40.0)
    assert "over scores from 50.0 % to 70.0 %" in part.text
    none = crossover(Curves(runs), "a", "b", window=(0.8, 0.9))
    assert none.advantage is None
    assert "no common score between 80.0 % and 90.0 %" in none.text


def test_a_window_is_two_numbers():
    assert window(None) is None
    assert window("0.6, 0.8") == (0.6, 0.8)
    for text in ("0.8,0.6", "0.5", "a,b", "nan,1", "60,80"):
        with pytest.raises(OptionError, match="--window"):
            window(text)


# --- where they cross


def test_behind_at_the_end_only_is_not_behind_all_along():
    runs = [*spread("p", (0.5, 0.5, 0.5, 0.8, 0.9, 0.9)), *spread("t", (0.6, 0.6, 0.6, 0.7, 0.7, 0.7))]
    found = crossover(Curves(runs), "p", "t")
    assert found.state == "not reached"
    assert "behind p at 256 training rows, the largest size measured" in found.text
    assert "shown ahead at smaller sizes" in found.text
    runs = [*spread("p", (0.5, 0.5, 0.5, 0.8, 0.9, 0.9)), *spread("t", (0.5, 0.5, 0.5, 0.7, 0.7, 0.7), 0.02)]
    assert "not shown at all smaller sizes" in crossover(Curves(runs), "p", "t").text
    runs = [*spread("p", (0.5,) * 6), *spread("t", (0.3,) * 6)]
    assert "behind p up to 256 training rows" in crossover(Curves(runs), "p", "t").text


def test_the_lower_end_is_the_last_size_shown_behind():
    rng = np.random.default_rng(1)
    noise = np.array([0.001, 0.05, 0.001, 0.001, 0.001, 0.001])  # at 16 rows nothing is shown
    steep = np.array([0.4, 0.45, 0.5, 0.55, 0.75, 0.8])
    runs = [*spread("p", (0.6,) * 6, 0.001), *table("t", *(steep + noise * rng.normal(size=(4, 6))))]
    found = crossover(Curves(runs), "p", "t")
    assert found.state == "between"
    assert 64 <= found.low < found.high < 128


def test_sizes_that_were_measured_are_looked_at():
    runs = [*spread("p", (0.6,) * 6), *spread("t", (0.8, 0.8, 0.3, 0.8, 0.8, 0.8))]  # behind at 32 rows, hardly beside
    found = crossover(Curves(runs), "p", "t")
    assert found.low >= 32


# --- noise


def test_seeds_that_two_ways_share_are_paired():
    rng = np.random.default_rng(3)
    luck = 0.05 * rng.normal(size=(4, 1))  # the subset that a seed draws helps or hurts both
    own = 0.002 * rng.normal(size=(2, 4, 6))
    p = np.full(6, 0.6) + luck + own[0]
    t = np.array([0.5, 0.55, 0.58, 0.62, 0.65, 0.7]) + luck + own[1]
    shared = crossover(Curves([*table("p", *p), *table("t", *t)]), "p", "t")
    apart = crossover(Curves([*table("p", *p), *table("t", *t, first=10)]), "p", "t")
    assert shared.state == "between"
    assert 32 <= shared.low < shared.high < 80
    assert apart.low is None or apart.low < shared.low


def test_the_paired_difference_has_students_interval():
    rng = np.random.default_rng(4)
    p, t = 0.6 + 0.05 * rng.normal(size=(2, 4, 1))
    curves = Curves([*table("p", *p, sizes=(8,)), *table("t", *t, sizes=(8,))], resamples=20_000)
    gap = (t - p)[:, 0]
    half = 3.182446 * gap.std(ddof=1) / 2
    drawn = (curves.replicates["t"] - curves.replicates["p"])[:, 0]
    assert np.quantile(drawn, curves.ends) == pytest.approx([gap.mean() - half, gap.mean() + half], abs=0.1 * half)


def test_each_size_has_its_own_variance():
    rng = np.random.default_rng(5)
    sds = np.array([0.08, 0.02, 0.002])
    held = np.zeros(3)
    for _ in range(200):
        scores = 0.5 + sds * rng.normal(size=(4, 3))
        points = Curves(table("a", *scores, sizes=(8, 16, 32)), resamples=400).curve("a").points
        held += [p.low <= 0.5 <= p.high for p in points]
    assert ((held / 200 >= 0.91) & (held / 200 <= 0.985)).all(), held / 200


# --- words


def test_one_run_of_each_is_said_only_where_it_is_true():
    one, two = table("p", (0.6,) * 6), table("t", (0.4, 0.5, 0.6, 0.7, 0.8, 0.9))
    assert "no interval: one run of each" in crossover(Curves([*one, *two]), "p", "t").text
    many = spread("t", (0.4, 0.5, 0.6, 0.7, 0.8, 0.9))
    assert "no interval: one run of p" in crossover(Curves([*one, *many]), "p", "t").text
    gone = [run for run in many if run.n != 64 or run.seed == 0]
    text = crossover(Curves([*spread("p", (0.6,) * 6), *gone]), "p", "t").text
    assert "no interval: one run of t at 64 rows" in text
    zero = [CurveRun("zero", 0, 0, 0.6)]  # takes no rows: no seed to vary
    assert "no interval" not in crossover(Curves([*zero, *many]), "zero", "t").text


def test_resamples_that_share_no_level_are_the_reason_where_they_are():
    runs = [*spread("p", (0.60, 0.61), 0.05, sizes=(8, 16)), *spread("t", (0.4, 0.6001), 0.05, sizes=(8, 16), first=9)]
    curves = Curves(runs)
    worth = advantage(curves, "p", "t")
    assert worth.low is None
    assert "more than a tenth of the resamples share no score" in advantage_text("p", "t", worth)


def test_an_interval_is_said_without_a_reason():
    assert "no interval" not in advantage_text("p", "t", RowsWorth(3.0, 1.0, 5.0, (0.5, 0.6)))


# --- scores below zero


def test_negative_scores_are_read_and_drawn(tmp_path):
    from whichway.report.curves import chart, lines

    file = tmp_path / "mcc.csv"
    told = [f"{w},{s},{n},{y + s / 100}" for w, ys in (("p", (0.1, 0.2)), ("t", (-0.2, 0.4))) for s in range(3)
            for n, y in zip((8, 16), ys, strict=True)]  # fmt: skip
    file.write_text("way,seed,n,score\n" + "\n".join(told) + "\n")
    curves = Curves(read(file))
    found = [curves.curve(way) for way in curves.families]
    assert found[1].points[0].score == pytest.approx(-0.19)
    assert "−19.0" in "\n".join(lines(found, pairs(curves, None, None), 0.95))
    assert any(tick.text.startswith("−") for tick in chart(found, 900, 400).y_ticks)
    file.write_text("way,seed,n,score\np,0,8,-1.5\n")
    with pytest.raises(DataError, match="between −1 and 1"):
        read(file)


def test_ahead_at_small_sizes_is_said_where_the_largest_leaves_it_open():
    rng = np.random.default_rng(6)
    wild = np.array([0.001] * 5 + [0.3])
    p = 0.6 + wild * rng.normal(size=(4, 6))
    found = crossover(Curves([*table("p", *p), *spread("t", (0.8,) * 6, 0.001)]), "p", "t")
    assert found.state == "cannot say"
    assert found.text.startswith("t is shown ahead of p at smaller sizes; whether it is at 256 training rows")
    assert "plateau" not in found.text


def test_shares_of_rows_stay_between_nothing_and_all():
    def one(seed, n, right):
        pairs = tuple((str(i), float(i < right)) for i in range(20))
        return CurveRun("a", seed, n, right / 20, pairs)

    points = Curves(
        [one(s, 8, r) for s, r in enumerate((0, 1, 5))] + [one(s, 16, r) for s, r in enumerate((20, 15, 19))]
    )
    first, last = points.curve("a").points
    assert first.low == 0
    assert last.high == 1


def test_no_further_size_is_asked_for_where_it_could_not_tell():
    many = [*spread("p", (0.6,) * 6), *spread("t", (0.4, 0.5, 0.6, 0.7, 0.8, 0.9))]
    for curves in (Curves(many, "max"), Curves([run for run in many if run.seed == 0])):
        found = crossover(curves, "p", "t")
        assert found.next_n is None
        assert "cannot be said from these runs (no interval: " in found.text


def test_a_table_without_rows_says_that_their_noise_is_left_out():
    from whichway.report.curves import lines

    curves = Curves(spread("p", (0.6,) * 6))
    found = [curves.curve("p")]
    assert "noise of seeds, not that of test rows" in "\n".join(lines(found, (), 0.95, rows_known=False))
    assert "test rows" not in "\n".join(lines(found, (), 0.95))
