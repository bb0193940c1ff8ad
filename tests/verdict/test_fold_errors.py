"""Scores measured fold by fold: standard errors, degrees of freedom, and what a verdict makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from whichway.verdict import Arm, stats
from whichway.verdict.compare import Table
from whichway.verdict.decide import decide
from whichway.verdict.folds import common_ratio, fold_error, fold_variance, jackknife_variance

FOLDS = np.arange(100) % 5


def arm(way: str, scores: np.ndarray, folds: np.ndarray | None = FOLDS, **more) -> Arm:
    return Arm(way=way, kind="prompt", scores=scores[None].astype(float), folds=folds, **more)


def test_the_standard_error_is_the_design_s_formula():
    """SE² = Σ(d−d̄)²/(n(n−1)) + max(0, s²_folds − expected row noise)/K, in folds of one size."""
    rng = np.random.default_rng(3)
    d = rng.normal(size=100) + np.repeat(rng.normal(size=5), 20)[np.argsort(FOLDS, kind="stable").argsort()]
    rows = float(((d - d.mean()) ** 2).sum() / (100 * 99))
    means = np.array([d[k == FOLDS].mean() for k in range(5)])
    wanted = rows + max(0.0, means.var(ddof=1) - rows * 5) / 5
    se, _ = fold_error(rows, fold_variance(d, FOLDS), 99, 5)
    assert se**2 == pytest.approx(wanted)
    assert wanted > rows


def test_degrees_of_freedom_go_from_those_of_rows_to_those_of_folds():
    assert fold_error(1.0, 0.4, 99, 5) == (1.0, 99)
    se, df = fold_error(1.0, 9.0, 99, 5)
    assert (se, round(df)) == (3.0, 4)
    between = [fold_error(1.0, 1.0 + x, 99, 5)[1] for x in (0.05, 0.1, 0.3, 0.5)]
    assert between == sorted(between, reverse=True)
    assert 4 <= between[-1] < 5 < between[0]
    assert fold_error(0.0, 0.0, 99, 5) == (0.0, 99)


def test_models_that_differ_from_fold_to_fold_widen_intervals_and_equal_ones_do_not():
    rng = np.random.default_rng(0)
    even, odd = rng.random(100) < 0.7, rng.random(100) < 0.75
    jumpy = (rng.random(100) < np.array([0.2, 0.95, 0.9, 0.3, 0.95])[FOLDS]).astype(float)
    plain = Table([arm("a", even, None), arm("b", jumpy, None)], 0.95).compare(0, 1)
    found = Table([arm("a", even), arm("b", jumpy)], 0.95).compare(0, 1)
    assert found.high - found.low > 1.5 * (plain.high - plain.low)
    assert found.seed_variance > found.row_variance
    assert found.p > plain.p
    calm, split = (Table([arm("a", even, f), arm("b", odd, f)], 0.95) for f in (None, FOLDS))
    if fold_variance(odd.astype(float) - even, FOLDS) <= calm.compare(0, 1).row_variance:
        assert split.compare(0, 1) == calm.compare(0, 1)
    low, high = Table([arm("b", jumpy)], 0.95).interval(0)
    short = Table([arm("b", jumpy, None)], 0.95).interval(0)
    assert high - low > short[1] - short[0]


def test_whole_groups_in_one_fold_keep_the_clustered_error_as_the_least():
    rng = np.random.default_rng(1)
    groups = tuple(str(k // 5) for k in range(100))
    folds = np.repeat(np.arange(20) % 5, 5)
    first, second = (np.repeat(rng.random(20) < p, 5).astype(float) for p in (0.5, 0.7))
    with_folds = Table([arm("a", first, folds, groups=groups), arm("b", second, folds, groups=groups)], 0.95)
    without = Table([arm("a", first, None, groups=groups), arm("b", second, None, groups=groups)], 0.95)
    assert with_folds.compare(0, 1).row_variance == without.compare(0, 1).row_variance
    wide = with_folds.compare(0, 1).high - with_folds.compare(0, 1).low
    assert wide >= without.compare(0, 1).high - without.compare(0, 1).low


def test_the_jackknife_of_a_mean_is_the_fold_variance():
    values = np.random.default_rng(5).random(100)
    found = jackknife_variance(lambda w: (w @ values) / w.sum(axis=1), FOLDS)
    assert found == pytest.approx(fold_variance(values, FOLDS))


def test_a_metric_that_is_no_mean_gets_a_fold_part():
    rng = np.random.default_rng(2)
    gold = rng.integers(0, 2, 100)
    good = np.where(rng.random(100) < np.array([0.5, 1.0, 1.0, 0.5, 1.0])[FOLDS], gold, 1 - gold)

    def f1(targets, answers, weights):
        hit = weights @ ((targets == 1) & (answers == 1))
        return 2 * hit / (weights @ (targets == 1) + weights @ (answers == 1))

    def arms(folds):
        kind = {"targets": gold, "aggregate": f1, "folds": folds}
        return [
            arm("a", np.ones(100), answers=np.ones((1, 100), dtype=int), **kind),
            arm("b", (good == gold), answers=good[None], **kind),
        ]

    one, two = Table(arms(None), 0.95).compare(0, 1), Table(arms(FOLDS), 0.95).compare(0, 1)
    assert two.high - two.low > one.high - one.low


def test_one_ratio_for_all_differences():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(4, 100))
    calm = common_ratio(rows, FOLDS, np.cov(rows) / 100)
    wild = common_ratio(rows + rng.normal(size=(4, 5))[:, FOLDS], FOLDS, np.cov(rows) / 100)
    assert 1 <= calm < 2 < wild
    assert common_ratio(rows[:1], FOLDS, np.eye(1)) == 1.0


def test_arms_of_other_folds_are_refused():
    ones = np.ones(100)
    with pytest.raises(ValueError, match="differ in folds"):
        Table([arm("a", ones), arm("b", ones, FOLDS[::-1].copy())], 0.95)
    with pytest.raises(ValueError, match="differ in folds"):
        Table([arm("a", ones), arm("b", ones, None)], 0.95)


def test_what_was_made_of_all_rows_ships():
    rng = np.random.default_rng(6)
    names = tuple(f"f{k}" for k in range(5))
    arms = [
        arm("a", rng.random(100) < 0.4, candidates=names, dev_scores=(0.1, 0.9, 0.2, 0.3, 0.4), refit=refit)
        for refit in ("all", None)
    ]
    assert [one.shipped for one in arms] == ["all", "f1"]
    verdict = decide([arms[0], arm("b", rng.random(100) < 0.9, candidates=("x",) * 5, refit="whole", usd_total=9.0)])
    assert verdict.candidate == "whole"


def test_the_half_width_of_a_calm_difference_is_the_rows():
    d = np.tile([1.0, -1.0, 0.0, 0.0], 25)
    se, df = fold_error(float(stats.clustered_se(d) or 0) ** 2, fold_variance(d, FOLDS), 99, 5)
    assert (round(se, 6), df) == (round(float(d.std(ddof=1) / 10), 6), 99)
