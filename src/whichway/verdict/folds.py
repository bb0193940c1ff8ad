"""Scores that were measured fold by fold: what the folds' own trainings add to the noise of a mean over all rows.

Each fold's rows were answered by a finalist that was made without them, so every row has one score and a way's value is
the mean over all rows. Rows of one fold share a training, as rows of one group share a customer: the squared standard
error with each fold as one cluster holds the noise of rows and of trainings, that with each row (or group) as a cluster
the noise of rows alone. Bayle, Bayle, Janson & Mackey 2020 (arXiv 2007.12671) show when the row part is right by
itself: for procedures whose models differ little from fold to fold. Nothing measured on one cross-fit is unbiased for
all noise between training sets (Bengio & Grandvalet 2004); `benchmarks/simulate_folds.py` shows what is covered.

Five folds are four degrees of freedom: too few to tell for each pair of ways how much its trainings add. So the
trainings' standard deviation τ is pooled over the ways of the contest and shrunk, as moderated t tests pool the
variances of many genes (Smyth 2004, Statistical Applications in Genetics 3:3):

1. τ of the ways that chance makes (fine-tunes), and τ of the others (prompts, baselines): weights on a grid, from a
   weak prior and the likelihood of the folds' scatter of all contrasts between a sort's M ways, (K−1)(M−1) numbers.
2. τ of a pair: around those of its ways by a factor of e^0.5 either way, times the likelihood of the pair's own folds.
   Step 1 is tempered by 1 − 1/(M−1), the share of contrasts that are not the pair's own, so that none counts twice.
3. `SE² = rows + τ²/K` for each way of the pair that differs from fold to fold, averaged over the weights; t intervals
   have the degrees of freedom that match how uncertain τ leaves it.

A way whose finalist is the same in all folds, as the plain prompt's may be, has no noise of trainings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from whichway.verdict import stats
from whichway.verdict.stats import FloatArray, IntArray

BoolArray = NDArray[np.bool_]

USUAL = 5  # folds
FEWEST, BELOW = 60, 1000  # rows that are put into folds unasked
TAUS = np.array([0.0, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.045, 0.07, 0.1, 0.15])  # of trainings, or of seeds
LOG_TAUS = np.log(np.maximum(TAUS, 1e-3))
TAU_WIDTH = 1.0  # of the weak priors on log τ
TRAINED, OTHERS = 0.03, 0.0075  # their middles; three points, as two cover too little where trainings differ by five
APART = 0.5  # standard deviation of log τ between pairs of one contest


def folds_on(folds: IntArray | None, rows: ArrayLike) -> IntArray | None:
    """The folds of some of the rows, numbered anew; None where all are in one fold.

    Args:
        folds: of all rows.
        rows: places or a mask.
    """
    if folds is None:
        return None
    labels: IntArray = np.unique(folds[np.asarray(rows)], return_inverse=True)[1].astype(np.int64)
    return labels if len(labels) and labels.max() > 0 else None


def clustered_covariance(values: FloatArray, clusters: IntArray) -> FloatArray:
    """Covariance (M, M) of means of row values (M, n) whose rows come in clusters; see `stats.clustered_se`."""
    count = int(clusters.max()) + 1
    centred = values - values.mean(axis=1, keepdims=True)
    sums = np.stack([np.bincount(clusters, weights=x, minlength=count) for x in centred]) / values.shape[1]
    return np.asarray(sums @ sums.T * count / (count - 1), dtype=np.float64)


def jackknife_covariance(value: Callable[[FloatArray], FloatArray], folds: IntArray) -> FloatArray:
    """The same with folds as clusters for metrics that are no mean, from their values without each fold.

    Args:
        value: from weightings of the rows (K, n) to the ways' values (M, K).
        folds: of each row.

    Returns:
        (M, M); NaN for ways that the rows without some fold do not define.
    """
    count = int(folds.max()) + 1
    left = value((folds[None, :] != np.arange(count)[:, None]).astype(np.float64))
    left = np.where(np.isfinite(left).all(axis=1, keepdims=True), left, np.nan)
    centred = left - left.mean(axis=1, keepdims=True)
    return np.asarray(centred @ centred.T * (count - 1) / count, dtype=np.float64)


def of_pair(covariance: FloatArray, *ways: int) -> float:
    """Variance of one way's score, or of the difference of two, from the covariance of all."""
    if len(ways) == 1:
        return float(covariance[ways[0], ways[0]])
    first, second = ways
    return float(covariance[first, first] + covariance[second, second] - 2 * covariance[first, second])


def shown_apart(rows: float, folds: float, count: int) -> bool:
    """Whether folds differ by more than their rows alone would make them, 95 times of 100.

    Args:
        rows: squared standard error with rows (or groups) as clusters.
        folds: the same with folds as clusters.
        count: K, folds.
    """
    return folds > rows * float(special.chdtri(count - 1, 0.05)) / (count - 1)


def weak_prior(middle: float = stats.SEED_SD) -> FloatArray:
    """Weights of `TAUS` before anything is measured: around the middle, a factor of e either way."""
    weights = np.exp(-((LOG_TAUS - np.log(middle)) ** 2) / (2 * TAU_WIDTH**2))
    return np.asarray(weights / weights.sum(), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class PairPrior:
    """What is known of how much trainings add to one difference before its own folds are looked at.

    Args:
        count: K, folds.
        weights: (T,) of what they may add.
        added: (T,) what they may add to its variance.
    """

    count: int
    weights: FloatArray
    added: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class FoldNoise:
    """How far trainings of one way differ from fold to fold, pooled over the ways of a contest.

    Args:
        count: K, folds.
        varying: (M,) whether a way's finalists differ between folds.
        common: (M, T) weights of each way's τ among `TAUS`, given all that was measured.
        prior: (M, M, T) weights of the root mean square τ of two ways that vary, before their own folds are looked at;
            of one that varies where the other does not. On the diagonal, a way's own.
    """

    count: int
    varying: BoolArray
    common: FloatArray
    prior: FloatArray

    @property
    def added(self) -> FloatArray:
        """(M,) what trainings add to the variance of each way's score."""
        return np.asarray(self.varying * (self.common @ TAUS**2) / self.count, dtype=np.float64)

    @property
    def pairs_varying(self) -> IntArray:
        """(M, M) how many of two ways differ from fold to fold."""
        return np.asarray(self.varying[:, None].astype(np.int64) + self.varying, dtype=np.int64)

    def of(self, *ways: int) -> PairPrior:
        """What is known of one way's score, or of the difference of two."""
        varying = float(self.varying[list(ways)].sum())
        return PairPrior(self.count, self.prior[ways[0], ways[-1]], varying * TAUS**2 / self.count)

    def error(self, rows: float, folds: float, rows_df: float, *ways: int) -> tuple[float, float]:
        """Standard error and degrees of freedom of one way's score, or of the difference of two.

        Args:
            rows: squared standard error with rows (or groups) as clusters.
            folds: the same with folds as clusters; NaN where it is not known.
            rows_df: independent rows less one.
            ways: one, or the first and the second of a difference.
        """
        prior = self.of(*ways)
        se, df = moderated(np.array(rows), np.array(folds), prior.weights, prior.added, self.count)
        return float(se), min(rows_df, float(df))


def moderated(
    rows: FloatArray, folds: FloatArray, prior: FloatArray, added: FloatArray, count: int
) -> tuple[FloatArray, FloatArray]:
    """Standard errors and degrees of freedom from what is known of τ and what the folds themselves show.

    Args:
        rows: (...) squared standard errors with rows as clusters.
        folds: (...) the same with folds as clusters.
        prior: (..., T) weights of what trainings add.
        added: (..., T) what they add.
        count: K, folds.
    """
    row_part = np.maximum(rows, 1e-12)
    variances = row_part[..., None] + added
    fit = -(count - 1) / 2 * (np.log(variances) + folds[..., None] / variances)
    fit = np.where(np.isfinite(fit), fit, 0.0)  # what is not known says nothing
    weights = prior * np.exp(fit - fit.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    mean = (weights * variances).sum(axis=-1)
    spread = (weights * (variances - mean[..., None]) ** 2).sum(axis=-1)
    # the scaled inverse chi-squared with this mean and spread is the variance of a t with df degrees of freedom
    df = 4 + 2 * mean**2 / np.maximum(spread, 1e-30)
    return np.sqrt(np.maximum(mean * (df - 2) / df, row_part)), df


def fold_noise(rows: FloatArray, folds: FloatArray, varying: BoolArray, trained: BoolArray, count: int) -> FoldNoise:
    """Pool what the folds of all ways say about τ.

    Args:
        rows: (M, M) covariance of the ways' scores with rows (or groups) as clusters, positive definite.
        folds: (M, M) the same with folds as clusters.
        varying: (M,) whether a way's finalists differ between folds.
        trained: (M,) whether chance makes them.
        count: K, folds.
    """
    around = np.exp(-((LOG_TAUS[None, :] - LOG_TAUS[:, None]) ** 2) / (2 * APART**2))
    around /= around.sum(axis=1, keepdims=True)
    common, own = (np.empty((len(varying), len(TAUS))) for _ in range(2))
    for sort, middle in ((True, TRAINED), (False, OTHERS)):
        mine = trained == sort
        fit, share = _likelihood(rows, folds, np.flatnonzero(mine & varying & np.isfinite(np.diag(folds))), count)
        whole, tempered = (weak_prior(middle) * np.exp(part * (fit - fit.max())) for part in (1.0, share))
        common[mine] = whole / whole.sum()
        own[mine] = tempered / tempered.sum() @ around
    return FoldNoise(count, varying, common, _pair_priors(own, varying, trained))


def unmeasured(count: int) -> PairPrior:
    """What is known before a contest of the difference of a prompt and a fine-tune in K folds."""
    nothing, both = np.full((2, 2), np.nan), np.ones(2, dtype=bool)
    return fold_noise(np.eye(2), nothing, both, np.array([False, True]), count).of(0, 1)


def _likelihood(rows: FloatArray, folds: FloatArray, places: IntArray, count: int) -> tuple[FloatArray, float]:
    """Log likelihood (T,) of τ of some ways, and the share of it that is not any one pair's own."""
    ways = len(places)
    if ways < 2:
        return np.zeros(len(TAUS)), 0.0
    contrasts = np.linalg.qr(np.eye(ways) - 1 / ways)[0][:, : ways - 1]
    scatter, noise = (contrasts.T @ m[np.ix_(places, places)] @ contrasts for m in (folds, rows))
    expected = noise + (TAUS**2 / count)[:, None, None] * np.eye(ways - 1)  # (T, M−1, M−1)
    missed = np.trace(np.linalg.solve(expected, np.broadcast_to(scatter, expected.shape)), axis1=1, axis2=2)
    return -(count - 1) / 2 * (np.linalg.slogdet(expected)[1] + missed), 1 - 1 / (ways - 1)


def _pair_priors(own: FloatArray, varying: BoolArray, trained: BoolArray) -> FloatArray:
    """Weights (M, M, T) of the τ of pairs, from those of ways (M, T).

    Two ways of one sort share their τ. Of two sorts, the mean of two squares falls between two points of the grid and
    is divided among them so that it stays the same in the mean.
    """
    mean = ((TAUS[:, None] ** 2 + TAUS[None, :] ** 2) / 2).ravel()
    upper = np.searchsorted(TAUS**2, mean).clip(1, len(TAUS) - 1)
    part = (mean - TAUS[upper - 1] ** 2) / (TAUS[upper] ** 2 - TAUS[upper - 1] ** 2)
    priors = np.empty((len(own), *own.shape))
    for i, j in np.ndindex(len(own), len(own)):
        if varying[i] != varying[j]:
            priors[i, j] = own[i if varying[i] else j]
        elif trained[i] == trained[j]:
            priors[i, j] = own[i]
        else:
            weights = np.outer(own[i], own[j]).ravel()
            priors[i, j] = np.bincount(upper - 1, (1 - part) * weights, len(TAUS))
            priors[i, j] += np.bincount(upper, part * weights, len(TAUS))
    return priors
