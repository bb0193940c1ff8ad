"""A judge's scores corrected by grades: unbiased whatever the judge is like, never surer than the data, by hand."""

import numpy as np
import pytest

from whichway.verdict import stats
from whichway.verdict.prediction_powered import correct

ALONE = np.arange(200)


def world(rng, sees=0.9, favour=0.0, n=200, ways=2, noise=0.3):
    """True grades and a judge's levels, (ways, n) each; the judge favours the last way."""
    true = rng.normal(size=n) * 0.5 + rng.normal(size=(ways, n))
    judge = sees * true + np.sqrt(1 - sees**2) * rng.normal(size=(ways, n)) * 1.1 + noise * rng.normal(size=(ways, n))
    judge[-1] += favour
    return 0.5 + 0.1 * true, 0.5 + 0.1 * judge


def corrected(hand, judge, places, codes=None, **more):
    return correct(hand[:, places], judge[:, places], judge, places, ALONE if codes is None else codes, **more)


def test_by_hand():
    judge = np.array([[0.0, 1.0, 0.0, 1.0, 1.0, 1.0]])
    hand = np.array([[0.0, 1.0, 0.0, 1.0]])
    places = np.arange(4)
    result = correct(hand, judge[:, :4], judge, places, np.arange(6))
    assert result.weight == 1.0  # the judge is right on all that was graded
    assert result.values[0] == pytest.approx(4 / 6)  # so its mean over all rows stands
    assert result.rows.mean(axis=1) == pytest.approx(result.values)
    assert np.abs(result.graded).max() == pytest.approx(0)
    alone = correct(hand, judge[:, :4], judge, places, np.arange(6), tune=False)
    assert alone.values[0] == 0.5
    assert stats.clustered_se(alone.rows[0]) == pytest.approx(stats.clustered_se(hand[0]))


def test_without_the_judge_the_standard_error_is_that_of_the_grades():
    rng = np.random.default_rng(2)
    hand, judge = world(rng)
    places = np.sort(rng.permutation(200)[:25])
    alone = corrected(hand, judge, places, tune=False)
    assert alone.values == pytest.approx(hand[:, places].mean(axis=1))
    for k in (0, 1):
        assert stats.clustered_se(alone.rows[k]) == pytest.approx(stats.clustered_se(hand[k, places]))
    gap, own = alone.rows[1] - alone.rows[0], hand[1, places] - hand[0, places]
    assert stats.clustered_se(gap) == pytest.approx(stats.clustered_se(own))


def test_in_groups_it_is_the_clustered_error_of_the_grades():
    rng = np.random.default_rng(3)
    hand, judge = world(rng)
    codes = np.arange(200) // 4
    places = np.sort(rng.permutation(200)[:40])
    alone = corrected(hand, judge, places, codes, tune=False)
    wanted = stats.clustered_se(hand[0, places], codes[places])
    assert stats.clustered_se(alone.rows[0], codes) == pytest.approx(wanted)


def test_where_all_rows_are_graded_the_judge_says_nothing_more():
    hand, judge = world(np.random.default_rng(4), favour=5.0)
    result = corrected(hand, judge, ALONE)
    assert result.weight == 0.0
    assert result.rows == pytest.approx(hand)


@pytest.mark.parametrize("kind", ["constant", "contrary"])
def test_a_judge_that_does_not_help_does_not_count(kind):
    rng = np.random.default_rng(5)
    hand, judge = world(rng)
    judge = np.full_like(judge, 0.7) if kind == "constant" else 1 - judge
    places = np.sort(rng.permutation(200)[:30])
    result = corrected(hand, judge, places)
    assert result.weight == 0.0
    assert result.values == pytest.approx(hand[:, places].mean(axis=1))


@pytest.mark.parametrize("favour", [0.0, 3.0])
def test_a_judge_that_favours_a_way_moves_no_difference(favour):
    rng, gaps, lengths, alone = np.random.default_rng(6), [], [], []
    for _ in range(300):
        hand, judge = world(rng, favour=favour)
        places = np.sort(rng.permutation(200)[:40])
        result = corrected(hand, judge, places)
        gaps.append(result.values[1] - result.values[0])
        lengths.append(stats.clustered_se(result.rows[1] - result.rows[0]))
        alone.append(stats.clustered_se(hand[1, places] - hand[0, places]))
    assert np.mean(gaps) == pytest.approx(0, abs=3 * np.std(gaps) / np.sqrt(300))
    assert np.mean(lengths) == pytest.approx(np.std(gaps), rel=0.1)  # what it says is what it is
    assert np.mean(lengths) < 0.75 * np.mean(alone)  # and it is worth having


def test_a_difference_is_the_difference_of_scores():
    rng = np.random.default_rng(7)
    hand, judge = world(rng, ways=4)
    places = np.sort(rng.permutation(200)[:30])
    result = corrected(hand, judge, places)
    assert result.rows.mean(axis=1) == pytest.approx(result.values)
    assert (result.rows[3] - result.rows[1]).mean() == pytest.approx(result.values[3] - result.values[1])
