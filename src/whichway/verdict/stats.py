"""Statistics for comparing arms on the same rows. Pure arithmetic on arrays.

Scores are in 0..1. What cannot be estimated (fewer than two rows, one cluster, one seed) is None, "not enough data";
it is never 0, because a zero would read as certainty.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Interval = tuple[float, float]
Groups = Sequence[Any] | NDArray[Any]

SEED_SD = 0.02  # τ before anything is measured: two points from training to training, as small fine-tunes have
BLOCK = 500  # resamples held in memory at a time
LARGEST = 1 << 22  # numbers of such a block


@dataclass(frozen=True, slots=True)
class MeanEstimate:
    """A number with its standard error, degrees of freedom and t interval."""

    value: float
    se: float
    df: float
    low: float
    high: float


def z_value(confidence: float) -> float:
    """The normal quantile of a two-sided interval: 1.96 at 0.95."""
    return float(special.ndtri((1 + confidence) / 2))


def t_value(confidence: float, df: float) -> float:
    """Student's quantile of a two-sided interval."""
    return float(special.stdtrit(df, (1 + confidence) / 2))


def t_test(value: float, se: float, df: float) -> float:
    """Two-sided p of Student's t test that the true value is 0; without any spread, 1 at 0 and else 0."""
    if se == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * special.stdtr(df, -abs(value) / se))


def estimate(value: float, se: float, df: float, confidence: float) -> MeanEstimate:
    """A t interval around a value."""
    half = t_value(confidence, df) * se
    return MeanEstimate(value, se, df, value - half, value + half)


def ranged_interval(value: float, se: float, df: float, rows: float, confidence: float, lowest: float) -> Interval:
    """The interval of a score between `lowest` and 1 that stays inside and is longer towards the middle.

    t on the log-odds of the score's place in its range (delta method). Within one row of an end it is Wilson's of the
    place, as if that were a share of right rows: resamples of rows without a mistake know of none.
    `benchmarks/results/simulate_aggregates.md` compares it with plain t.

    Args:
        value: the score.
        se: its standard error.
        df: degrees of freedom of the error.
        rows: independent rows.
        confidence: two-sided.
        lowest: the worst score there can be; the best is 1.
    """
    span = 1 - lowest
    place = min(max((value - lowest) / span, 0.0), 1.0)
    if min(place, 1 - place) < 1 / rows:
        low, high = wilson(place * rows, rows, confidence) or (0.0, 1.0)
    else:
        half = t_value(confidence, df) * se / (span * place * (1 - place))
        low, high = (float(special.expit(special.logit(place) + way * half)) for way in (-1, 1))
    return min(lowest + span * low, value), max(lowest + span * high, value)


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval | None:
    """Wilson's score interval of one proportion (Wilson 1927).

    The normal approximation is too narrow under a few hundred rows (arXiv 2503.01747).

    Args:
        successes: rows that are right; may be fractional with an effective `n`.
        n: rows, or the effective number of rows when they are clustered or averaged over seeds.
        confidence: of the two-sided interval.

    Returns:
        The interval, or None without rows.
    """
    if n <= 0:
        return None
    p, z = successes / n, z_value(confidence)
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, min(p, (centre - half) / scale)), min(1.0, max(p, (centre + half) / scale))  # rounding at 0 and 1


def newcombe(first: float, n_first: float, second: float, n_second: float, confidence: float = 0.95) -> Interval | None:
    """Newcombe's interval of the difference of two independent proportions, second minus first.

    Method 10 of Newcombe 1998 (Statistics in Medicine 17:873): the two Wilson intervals squared and added.

    Args:
        first: rows right in the first sample.
        n_first: rows of the first sample.
        second: rows right in the second sample.
        n_second: rows of the second sample.
        confidence: of the two-sided interval.
    """
    one, two = wilson(first, n_first, confidence), wilson(second, n_second, confidence)
    if one is None or two is None:
        return None
    a, b = first / n_first, second / n_second
    low = (b - a) - math.hypot(b - two[0], one[1] - a)
    high = (b - a) + math.hypot(two[1] - b, a - one[0])
    return low, high


def tango(wins: float, losses: float, n: float, confidence: float = 0.95) -> Interval:
    """Tango's score interval of a paired difference of two 0/1 runs, `(wins − losses)/n` (Tango 1998).

    Statistics in Medicine 17:891. All differences δ that the score test does not reject: `(b − c − nδ)² / (n(2q + δ(1 −
    δ)))` up to z², q the chance of a loss that is likeliest under δ. Without a row on which the runs differ, it is
    ±z²/(n + z²): that two runs agree on 50 rows does not show them equal.

    Args:
        wins: rows that only the second run has right (b); all three may be fractional, as effective numbers of rows.
        losses: rows that only the first run has right (c).
        n: rows.
        confidence: of the two-sided interval.
    """
    z2, value = z_value(confidence) ** 2, (wins - losses) / n

    def accepted(delta: float) -> bool:
        linear = (2 * n - wins + losses) * delta - wins - losses
        root = math.sqrt(max(0.0, linear**2 + 8 * n * losses * delta * (1 - delta)))
        variance = n * (2 * (root - linear) / (4 * n) + delta * (1 - delta))
        return (wins - losses - n * delta) ** 2 <= z2 * max(variance, 0.0)

    def end(outside: float) -> float:
        inside = value
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if accepted(middle) else (inside, middle)
        return inside

    return end(-1.0), end(1.0)


def clusters(n: int, groups: Groups | None) -> IntArray:
    """Cluster number of each row, 0..C−1; each row on its own without groups."""
    if groups is None:
        return np.arange(n, dtype=np.int64)
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} rows; give one group for each row")
    return np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)


def clustered_se(values: ArrayLike, groups: Groups | None = None) -> float | None:
    """Standard error of a mean whose rows come in groups: `(1/n)·√(Σ_c(Σ_{i∈c}(s_i − s̄))²)·√(C/(C−1))`.

    Miller 2024 (arXiv 2411.00640), with the finite-cluster factor `√(C/(C−1))` that the paper leaves out. When every
    row is its own group it is the plain standard error.

    Returns:
        The standard error, or None with fewer than two groups.
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return None
    sums = x - x.mean()
    if groups is not None:
        sums = np.bincount(clusters(len(x), groups), weights=sums)
    count = len(sums)
    if count < 2:
        return None
    return float(math.sqrt(float(sums @ sums) * count / (count - 1)) / len(x))


def paired_difference(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.95, groups: Groups | None = None
) -> MeanEstimate | None:
    """Mean of second minus first on the same rows, with `SE = √(Σ(d_i−d̄)²/(n(n−1)))` and its t interval.

    With `groups`, the clustered standard error and C−1 degrees of freedom.

    Returns:
        The estimate, or None with fewer than two rows (or groups).
    """
    d = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    se = clustered_se(d, groups)
    if se is None:
        return None
    return estimate(float(d.mean()), se, float(clusters(len(d), groups).max()), confidence)


def mcnemar(wins: int, losses: int, mid: bool = False) -> float:
    """Two-sided exact McNemar p: `min(1, 2·Σ_{k≤min(b,c)} C(b+c,k)·2^{−(b+c)})`.

    Args:
        wins: rows that only the second arm has right (b).
        losses: rows that only the first arm has right (c).
        mid: the mid-p variant (Fagerland, Lydersen & Laake 2013), which counts half of the observed outcome's own
            probability: nearly exact, and less wasteful.
    """
    total, fewer = wins + losses, min(wins, losses)
    if total == 0:
        return 1.0
    p = 2 * float(special.bdtr(fewer, total, 0.5))
    if mid:
        own = p - (2 * float(special.bdtr(fewer - 1, total, 0.5)) if fewer else 0.0)
        p -= own / 2
        return 1.0 if wins == losses else min(1.0, p)
    return min(1.0, p)


def t_of_normal(p: float, share: float, df: float) -> float:
    """Two-sided p of a t test whose statistic is that of a normal test, on a variance that was only a share of all.

    Args:
        p: two-sided, of the normal test.
        share: of the variance that the normal test knew.
        df: degrees of freedom of the whole variance.
    """
    return float(2 * special.stdtr(df, float(special.ndtri(p / 2)) * math.sqrt(share)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values (Holm 1979), in the order given. The tests need not be independent."""
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for step, k in enumerate(order):
        largest = max(largest, min(1.0, p_values[k] * (len(p_values) - step)))
        adjusted[k] = largest
    return adjusted


def satterthwaite(parts: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a sum of independent variance estimates (Satterthwaite 1946).

    Args:
        parts: (variance, degrees of freedom) of each estimate. A negative one is taken off: a mean square that two
            others both hold. The sum never falls below the first part, and the degrees of freedom never below the
            fewest of a positive part.
    """
    pairs = list(parts)
    total = max(sum(variance for variance, _ in pairs), pairs[0][0])
    if total == 0:
        return 0.0, max(df for _, df in pairs)
    least = min(df for variance, df in pairs if variance > 0)
    return math.sqrt(total), max(least, total**2 / sum(variance**2 / df for variance, df in pairs))


def seed_variance(scores: ArrayLike) -> float | None:
    """τ²: variance between seeds beyond what disagreement on single rows gives.

    In `s_ki = μ + a_k + b_i + e_ki` the seed means vary by `τ² + σ²/n`; the two-way residual estimates σ². Rows do not
    shrink τ².

    Args:
        scores: (S seeds, n rows).

    Returns:
        τ², at least 0, or None with fewer than two seeds or rows.
    """
    x = np.asarray(scores, dtype=np.float64)
    left = seed_residual(x)
    return None if left is None else max(0.0, float(x.mean(axis=1).var(ddof=1)) - left / x.shape[1])


def seed_residual(scores: ArrayLike) -> float | None:
    """Mean square of scores (S seeds, n rows) less their row and seed means; None with fewer than two of either."""
    x = np.asarray(scores, dtype=np.float64)
    seeds, n = len(x), int(x.shape[1])
    if seeds < 2 or n < 2:
        return None
    residual = x - x.mean(axis=1, keepdims=True) - x.mean(axis=0, keepdims=True) + x.mean()
    return float((residual**2).sum()) / ((seeds - 1) * (n - 1))


def bootstrap(
    statistic: Callable[..., Any],
    *columns: ArrayLike,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval | None:
    """BCa interval (Efron 1987) of a statistic over rows; the columns are resampled together, row by row.

    For what is not a mean: F1, a cost ratio. Where BCa is not defined (no spread), the percentile interval stands in.

    Args:
        statistic: takes the columns, and `axis` where it is vectorised; gives a number.
        columns: arrays of n rows.
        confidence: of the two-sided interval.
        resamples: bootstrap resamples.
        seed: of the generator.

    Returns:
        The interval, or None with fewer than two rows.
    """
    from scipy import stats

    data = [np.asarray(column) for column in columns]
    if len(data[0]) < 2:
        return None
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = stats.bootstrap(
                data, statistic, paired=True, n_resamples=resamples, confidence_level=confidence,
                method=method, rng=np.random.default_rng(seed),
            ).confidence_interval  # fmt: skip
        if np.isfinite(result.low) and np.isfinite(result.high):
            return float(result.low), float(result.high)
    return None


def row_weights(
    n: int, groups: Groups | None = None, *, resamples: int, seed: int = 0, within: bool = False
) -> Iterator[FloatArray]:
    """How often each row is drawn in each bootstrap resample, in blocks of (resamples of the block, n rows).

    Args:
        n: rows.
        groups: clusters are drawn whole; without, rows.
        resamples: in all.
        seed: of the generator.
        within: draw rows again inside each drawn cluster. It counts the noise inside clusters twice (Davison & Hinkley
            1997, section 3.8), so that intervals err on the wide side.
    """
    rng = np.random.default_rng(seed)
    codes = clusters(n, groups)
    count = int(codes.max()) + 1
    block = max(1, min(BLOCK, LARGEST // n))
    for start in range(0, resamples, block):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(block, resamples - start))
        weights = drawn[:, codes]
        if within and count < n:
            for c in range(count):
                members = np.flatnonzero(codes == c)
                even = np.full(len(members), 1 / len(members))
                weights[:, members] = rng.multinomial(drawn[:, c] * len(members), even)
        yield weights.astype(np.float64)


def hierarchical_bootstrap(
    scores: ArrayLike,
    minus: ArrayLike | None = None,
    groups: Groups | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    within: bool = True,
) -> FloatArray | None:
    """Bootstrap replicates of a mean score, or of a paired difference of two: seeds, then clusters, then rows.

    Two arms share the drawn rows (they are paired) and draw their seeds apart (they were trained apart). With S seeds
    the resampled seed noise is (S−1)/S of the true one; the decision therefore adds seed noise by formula instead.

    Args:
        scores: (S seeds, n rows).
        minus: the arm to subtract, (S', n).
        groups: cluster of each row.
        resamples: replicates.
        seed: of the generator.
        within: see `row_weights`.

    Returns:
        (resamples,) replicates, or None with fewer than two rows.
    """
    score_tables = (scores,) if minus is None else (scores, minus)
    arms = [np.atleast_2d(np.asarray(arm, dtype=np.float64)) for arm in score_tables]
    n = arms[0].shape[1]
    if n < 2:
        return None
    rng = np.random.default_rng([seed, 1])
    blocks = []
    for weights in row_weights(n, groups, resamples=resamples, seed=seed, within=within):
        weights /= weights.sum(axis=1, keepdims=True)
        means = []
        for arm in arms:
            seeds = len(arm)
            drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(weights)) / seeds
            means.append(((weights @ arm.T) * drawn).sum(axis=1))
        blocks.append(means[0] if minus is None else means[0] - means[1])
    return np.concatenate(blocks)
