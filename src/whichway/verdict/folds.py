"""Scores that were measured fold by fold: what the folds' own models add to the noise of a mean over all rows.

Each fold's rows were answered by a finalist that was made without them, so every row has one score and a way's value is
the mean over all rows. Rows of one fold share a training, as rows of one group share a customer: the standard error
with each fold as one cluster holds the noise of rows and of trainings, that with each row (or group) as a cluster the
noise of rows alone. The design's `SE² = rows + max(0, s²_folds − expected row noise)/K` is the larger of the two.

Bayle, Bayle, Janson & Mackey 2020 (arXiv 2007.12671) show when the row part is right by itself: for procedures whose
models differ little from fold to fold. The fold part is for those that differ more. Nothing measured on one cross-fit
is unbiased for all noise between training sets (Bengio & Grandvalet 2004); `benchmarks/simulate_folds.py` shows what is
covered.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from whichway.verdict import stats
from whichway.verdict.stats import FloatArray, IntArray

USUAL = 5  # folds
FEWEST, BELOW = 60, 1000  # rows that are put into folds unasked
PASSAGE = 3.0  # how fast degrees of freedom fall from those of rows to those of folds; K−1 at folds = 1.5 rows


def folds_on(folds: IntArray | None, rows: Any) -> IntArray | None:
    """The folds of some of the rows, numbered anew; None where all are in one fold.

    Args:
        folds: of all rows.
        rows: places or a mask.
    """
    if folds is None:
        return None
    labels: IntArray = np.unique(folds[rows], return_inverse=True)[1].astype(np.int64)
    return labels if len(labels) and labels.max() > 0 else None


def fold_variance(values: FloatArray, folds: IntArray) -> float:
    """Squared standard error of the mean of row values (n,) with each fold as one cluster."""
    se = stats.clustered_se(values, folds)
    return 0.0 if se is None else se**2


def jackknife_variance(value: Callable[[FloatArray], FloatArray], folds: IntArray) -> float:
    """The same for a metric that is no mean, from its values without each fold (delete-a-group jackknife).

    Args:
        value: from weightings of the rows (K, n) to the metric's values (K,).
        folds: of each row.

    Returns:
        The variance; 0 where the rows without some fold do not define the metric.
    """
    count = int(folds.max()) + 1
    left = value((folds[None, :] != np.arange(count)[:, None]).astype(np.float64))
    return float((count - 1) * left.var()) if np.isfinite(left).all() else 0.0


def fold_error(rows: float, folds: float, rows_df: float, count: int) -> tuple[float, float]:
    """Standard error and degrees of freedom of a mean over rows that were answered fold by fold.

    Where the folds do not differ by more than their rows do, the rows' degrees of freedom count. Where they do, the
    estimate rests on K numbers: K−1 degrees, reached when `folds` is one and a half times `rows`. Satterthwaite's
    smoother passage covers 90 % where trainings differ by five points on 1,000 rows; this one stays within 93 to 97.

    Args:
        rows: squared standard error with rows (or groups) as clusters.
        folds: the same with folds as clusters.
        rows_df: independent rows less one.
        count: K, folds.
    """
    total, excess = max(rows, folds), min(folds, PASSAGE * max(0.0, folds - rows))
    if excess == 0:
        return math.sqrt(total), rows_df
    df = total**2 / (excess**2 / (count - 1) + rows**2 / rows_df)
    return math.sqrt(total), min(rows_df, max(count - 1.0, df))


def shown_apart(rows: float, folds: float, count: int) -> bool:
    """Whether folds differ by more than their rows alone would make them, 95 times of 100; as for `fold_error`."""
    return folds > rows * float(special.chdtri(count - 1, 0.05)) / (count - 1)


def common_ratio(values: FloatArray, folds: IntArray, rows: FloatArray) -> float:
    """By how much fold noise widens the differences of all ways together, at least 1.

    One ratio for all differences rests on (K−1)(M−1) numbers instead of K−1, which is what advice on expected loss
    needs: it weighs all ways at once, and a pair's own ratio is mostly chance.

    Args:
        values: (M, n) row values of the ways.
        folds: of each row.
        rows: (M, M) covariance of the ways' values from rows alone.
    """
    count, ways = int(folds.max()) + 1, len(values)
    if ways < 2:
        return 1.0
    centred = values - values.mean(axis=1, keepdims=True)
    sums = np.stack([np.bincount(folds, weights=x, minlength=count) for x in centred]) / values.shape[1]
    spread = sums @ sums.T * count / (count - 1)
    contrasts = np.linalg.qr(np.eye(ways) - 1 / ways)[0][:, : ways - 1]
    between, within = (float(np.trace(contrasts.T @ m @ contrasts)) for m in (spread, rows))
    return max(1.0, between / within) if within > 0 else 1.0
