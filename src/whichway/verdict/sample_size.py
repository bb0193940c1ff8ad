"""How many test rows show a gap, and which gap a number of rows shows: power, before and after a contest."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import special

from whichway.verdict import stats
from whichway.verdict.folds import PairPrior, moderated, unmeasured

OMEGA2 = 0.21  # row variance of a paired 0/1 difference at 70 % right and correlation .5: 2·p·(1−p)·(1−ρ)
DRAWS = 20_000  # simulated contests for a detectable gap


def rows_needed(
    gap: float,
    omega2: float = OMEGA2,
    sigma2: float = 0.0,
    seed_part: float = 0.0,
    power: float = 0.8,
    confidence: float = 0.95,
) -> int | None:
    """Test rows that show a true paired gap: `n = (z_{α/2}+z_β)²·(ω²+σ²)/(δ² − (z_{α/2}+z_β)²·τ²/S)`.

    Miller 2024 (arXiv 2411.00640), section 5. Departure: seed noise, which rows do not shrink, is taken off δ².

    Args:
        gap: δ, in units of the metric.
        omega2: ω², row variance of the paired difference.
        sigma2: decoding noise per row, `σ_A²/K_A + σ_B²/K_B`.
        seed_part: `τ_A²/S_A + τ_B²/S_B`.
        power: chance to show it.
        confidence: two-sided.

    Returns:
        Rows, or None when no number of rows is enough (the gap is 0, or below what the seeds alone blur).
    """
    z2 = (stats.z_value(confidence) + float(special.ndtri(power))) ** 2
    left = gap * gap - z2 * seed_part
    if left <= 0:
        return None
    return max(2, math.ceil(z2 * (omega2 + sigma2) / left))


def smallest_gap(
    n: int,
    omega2: float = OMEGA2,
    sigma2: float = 0.0,
    seed_part: float = 0.0,
    power: float = 0.8,
    confidence: float = 0.95,
) -> float | None:
    """The smallest true paired gap that `n` test rows can show: `rows_needed` inverted.

    Returns:
        The gap in units of the metric, or None with fewer than two rows.
    """
    if n < 2:
        return None
    z = stats.z_value(confidence) + float(special.ndtri(power))
    return z * math.sqrt((omega2 + sigma2) / n + seed_part)


def detectable_gap(
    n: int,
    arms: int,
    seeds: int = 1,
    tau: float = 0.0,
    omega2: float = OMEGA2,
    confidence: float = 0.95,
    power: float = 0.9,
    folds: int = 1,
) -> float | None:
    """The true gap that a contest of several arms finds with the given power, seed noise included.

    Args:
        n: independent test rows (clusters).
        arms: m, ways that compete.
        seeds: S of the better arm; the others have one.
        tau: τ, standard deviation between seeds.
        omega2: ω², row variance of the paired difference of two single runs; half of it is each arm's own.
        confidence: two-sided.
        power: chance to find it.
        folds: K, where each row is answered once, by one of K models.

    Returns:
        The gap in units of the metric, or None with fewer than two rows.
    """
    if n < 2:
        return None
    if folds > 1:
        added, prior = tau**2 / folds, unmeasured(folds)
        return fold_gap(omega2 / n, added, prior, rows_df=n - 1, arms=arms, confidence=confidence, power=power)
    own = omega2 / 2 / n
    parts = (own + own / seeds, tau**2 / seeds, own / seeds)
    return gap_found(*parts, rows_df=n - 1, seeds=seeds, arms=arms, confidence=confidence, power=power)


@lru_cache(maxsize=64)
def gap_found(
    rows: float,
    seed_part: float,
    residual: float,
    *,
    rows_df: int,
    seeds: int,
    arms: int,
    confidence: float = 0.95,
    power: float = 0.9,
) -> float:
    """The true gap at which a contest with known noise names the better arm with the given power.

    The better arm has to be shown better than each of the others, each at level α/(m−1) (`rule.py`). The tests share
    its noise, so that for all to succeed together each may fail with (1−power)/√(m−1): between one test and m−1
    independent ones. With few seeds the noise is estimated from few numbers, so its estimate is drawn as well
    (chi-squared, as in `satterthwaite`): of 20,000 draws, the gap that this share of them finds.
    `benchmarks/simulate_verdict.py` checks the promise.

    Args:
        rows: variance of the difference from its rows.
        seed_part: τ²/S, variance from seeds.
        residual: MSe/(nS), which rows and the spread of the seed means both hold.
        rows_df: rows (clusters) less one.
        seeds: S.
        arms: m.
        confidence: two-sided.
        power: chance to find it.
    """
    level, miss = _levels(arms, confidence, power)
    rng = np.random.default_rng(31)
    by_rows = rows * rng.chisquare(rows_df, DRAWS) / rows_df
    total, df = by_rows, np.full(DRAWS, float(rows_df))
    if seeds > 1:
        between = (seed_part + residual) * rng.chisquare(seeds - 1, DRAWS) / (seeds - 1)
        total = np.maximum(by_rows + between - residual, by_rows)
        spread = by_rows**2 / rows_df + between**2 / (seeds - 1) + residual**2 / ((seeds - 1) * rows_df)
        df = np.maximum(min(seeds - 1, rows_df), total**2 / spread)
    needed = special.stdtrit(df, 1 - level / 2) * np.sqrt(total)
    noise = math.sqrt(rows + seed_part) * rng.normal(size=DRAWS)
    return float(np.quantile(needed + noise, 1 - miss))


def fold_gap(
    rows: float,
    added: float,
    prior: PairPrior,
    *,
    rows_df: float,
    arms: int,
    confidence: float = 0.95,
    power: float = 0.9,
) -> float:
    """The same where folds were measured, or will be; what their scatter will show is drawn as well.

    Args:
        rows: variance of the difference from its rows.
        added: by trainings.
        prior: what is known of trainings before their folds are looked at.
        rows_df: rows (clusters) less one.
        arms: m.
        confidence: two-sided.
        power: chance to find it.
    """
    level, miss = _levels(arms, confidence, power)
    rng = np.random.default_rng(31)
    by_rows = rows * rng.chisquare(rows_df, DRAWS) / rows_df
    scatter = (rows + added) * rng.chisquare(prior.count - 1, DRAWS) / (prior.count - 1)
    se, df = moderated(by_rows, scatter, prior.weights, prior.added, prior.count)
    needed = special.stdtrit(np.minimum(df, rows_df), 1 - level / 2) * se
    noise = math.sqrt(rows + added) * rng.normal(size=DRAWS)
    return float(np.quantile(needed + noise, 1 - miss))


def _levels(arms: int, confidence: float, power: float) -> tuple[float, float]:
    """Two-sided level of each test, and how often each may miss."""
    others = max(1, arms - 1)
    return (1 - confidence) / others, (1 - power) / math.sqrt(others)
