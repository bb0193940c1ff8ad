"""Scores measured fold by fold: standard errors, degrees of freedom, and what a verdict makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from whichway.verdict import Arm, sample_size, stats
from whichway.verdict.compare import Table
from whichway.verdict.decide import decide
from whichway.verdict.folds import (
    FoldNoise,
    clustered_covariance,
    fold_noise,
    jackknife_covariance,
    moderated,
    unmeasured,
)

FOLDS = np.arange(100) % 5


def arm(way: str, scores: np.ndarray, folds: np.ndarray | None = FOLDS, **more) -> Arm:
    return Arm(way=way, kind="prompt", scores=scores[None].astype(float), folds=folds, **more)


def noise_of(varying: int = 6, tau: float = 0.0, seed: int = 3) -> FoldNoise:
    """What six ways say of τ: 1,000 rows, trainings that differ by τ."""
    rng, of = np.random.default_rng(seed), np.arange(1000) % 5
    values = rng.normal(0, 0.4, (6, 1000)) + tau * rng.normal(size=(6, 5))[:, of]
    moving = np.arange(6) < varying
    return fold_noise(np.cov(values) / 1000, clustered_covariance(values, of), moving, np.ones(6, dtype=bool), 5)


def test_trainings_add_what_all_ways_show():
    calm, wild = noise_of(tau=0.0), noise_of(tau=0.07)
    assert calm.added.max() < 0.015**2 / 5
    assert 0.05**2 / 5 < wild.added.min() < 0.1**2 / 5
    rows = 1.6e-4
    assert calm.error(rows, rows, 999, 0, 1)[0] ** 2 < 1.5 * rows
    assert wild.error(rows, rows, 999, 0, 1)[0] ** 2 > 3 * rows


def test_the_folds_of_a_pair_count_beside_those_of_all():
    noise, rows = noise_of(tau=0.02), 1.6e-4
    errors = [noise.error(rows, x * rows, 999, 0, 1)[0] for x in (0.2, 1, 3, 9, 30)]
    assert errors == sorted(errors)
    assert errors[0] > rows**0.5
    assert errors[0] < noise.error(rows, float("nan"), 999, 0, 1)[0] < errors[-1]  # undefined says nothing


def test_degrees_of_freedom_say_how_uncertain_trainings_leave_it():
    noise, rows = noise_of(tau=0.02), 1.6e-4
    assert noise_of(varying=0).error(rows, rows, 999, 0, 1) == (pytest.approx(rows**0.5), 999)
    wide, narrow = noise.error(rows, 30 * rows, 999, 0, 1)[1], noise.error(100 * rows, 100 * rows, 999, 0, 1)[1]
    assert 4 < wide < 20 < narrow
    assert noise.error(rows, rows, 11, 0, 1)[1] <= 11


def test_two_ways_have_nothing_to_pool_and_keep_the_weak_prior():
    both = noise_of(varying=2, tau=0.07)
    none = noise_of(varying=0)
    assert both.prior == pytest.approx(none.prior)
    assert both.added[0] > 0 == none.added.max()


def test_a_way_with_one_finalist_for_all_folds_has_no_noise_of_trainings():
    rng = np.random.default_rng(8)
    first, second = (rng.random(300) < p for p in (0.6, 0.7))
    of = np.arange(300) % 5
    own = [arm(w, x, of, candidates=(w,) * 5) for w, x in (("a", first), ("b", second))]
    made = [replace(one, candidates=tuple(f"{one.way}{k}" for k in range(5))) for one in own]
    single = Table([arm("a", first, None), arm("b", second, None)], 0.95)
    assert Table(own, 0.95).compare(0, 1) == single.compare(0, 1)
    found = [Table(arms, 0.95).compare(0, 1) for arms in (own, [own[0], made[1]], made)]
    widths = [c.high - c.low for c in found]
    assert widths == sorted(widths)
    assert widths[0] < widths[2]
    assert [c.p for c in found] == sorted(c.p for c in found)


def test_models_that_differ_from_fold_to_fold_widen_intervals_and_equal_ones_do_not():
    rng = np.random.default_rng(0)
    even, odd = rng.random(100) < 0.7, rng.random(100) < 0.75
    jumpy = (rng.random(100) < np.array([0.2, 0.95, 0.9, 0.3, 0.95])[FOLDS]).astype(float)
    plain = Table([arm("a", even, None), arm("b", jumpy, None)], 0.95).compare(0, 1)
    found = Table([arm("a", even), arm("b", jumpy)], 0.95).compare(0, 1)
    assert found.high - found.low > 1.4 * (plain.high - plain.low)
    assert found.seed_variance > 0.8 * found.row_variance
    assert found.p > plain.p
    calm, split = (Table([arm("a", even, f), arm("b", odd, f)], 0.95).compare(0, 1) for f in (None, FOLDS))
    assert calm.high - calm.low < split.high - split.low < 1.2 * (calm.high - calm.low)
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


def test_the_jackknife_of_a_mean_is_the_clustered_covariance():
    values = np.random.default_rng(5).random((2, 100))
    found = jackknife_covariance(lambda w: (w @ values.T).T / w.sum(axis=1), FOLDS)
    assert found == pytest.approx(clustered_covariance(values, FOLDS))
    assert np.sqrt(np.diag(found)) == pytest.approx([stats.clustered_se(x, FOLDS) for x in values])


def test_a_metric_that_a_fold_leaves_undefined_says_nothing_of_its_trainings():
    found = jackknife_covariance(lambda w: np.stack([w[:, 0], np.where(w[:, 0] > 0, 1.0, np.nan)]), FOLDS)
    assert np.isfinite(found[0, 0])
    assert np.isnan(found[1]).all()


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


def test_the_gap_that_folds_show_is_found_nine_times_of_ten():
    rng, of = np.random.default_rng(9), np.arange(300) % 5
    promised = sample_size.detectable_gap(300, 2, tau=0.02, folds=5)
    assert sample_size.smallest_gap(300, power=0.9) < promised < 0.12
    assert sample_size.detectable_gap(300, 6, tau=0.02, folds=5) > promised
    prior, found = unmeasured(5), 0
    for _ in range(200):
        d = promised + np.sqrt(sample_size.OMEGA2) * rng.normal(size=300) + 0.02 * rng.normal(size=5)[of]
        rows, folds = (clustered_covariance(d[None], x)[0, 0] for x in (np.arange(300), of))
        se, df = moderated(rows, folds, prior.weights, prior.added, prior.count)
        found += d.mean() > stats.t_value(0.95, min(299, df)) * se
    assert 0.85 <= found / 200 <= 0.96
