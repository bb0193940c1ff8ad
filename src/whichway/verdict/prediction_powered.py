"""Prediction-powered inference: what people would say of all answers, from few grades by hand and a judge's of all.

A judge's mean level is wrong by what it gets wrong each time in the same way, and no number of judged rows shrinks
that. A few rows graded by hand measure it: with `f` the judge's score, `Y` the grade by hand, `L` the m graded rows of
n,

    θ(λ) = mean over L of (Y − λ·(f − F̄)),   F̄ the mean of f over all n rows

is unbiased whatever the judge is like, as long as L is drawn at random (Angelopoulos et al. 2023, arXiv 2301.09633). λ
is tuned so that the variance is least (PPI++, Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453): towards the slope of
Y on f for a judge that tells answers apart as people do, and 0, which is the grades alone, for one that does not. Chen
et al. 2026 (arXiv 2601.05420) compare such estimators with corrections by the judge's error rates, and say when they
are strictly narrower.

Three things are our own:

- One λ for all ways: that which makes the differences between ways most certain (the trace of their covariance, as
  PPI++ has it for several parameters). A difference of two ways is then the difference of their scores.
- λ is tuned for each graded row without it, so that few grades do not make their own noise look small; it is kept in
  0..1, beyond which only noise leads.
- The result comes as one value for each row whose mean is the score and whose spread is its standard error, judge and
  grades together. Paired differences, groups and the advice then need nothing of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from whichway.verdict.stats import FloatArray, IntArray

LARGEST = 1.0  # λ
NOTHING = 1e-24  # what rounding leaves where the judge has nothing to add, as where all rows are graded


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """Scores of K ways on n rows, corrected by grades of m of them.

    Args:
        weight: λ, how far the judge's levels count: 0 not at all.
        values: (K,) corrected scores.
        judged: (K, n) what the judge's levels add to each row's value; mean 0.
        graded: (K, n) what the grades add; mean 0, and 0 on rows that were not graded.
    """

    weight: float
    values: FloatArray
    judged: FloatArray
    graded: FloatArray

    @property
    def rows(self) -> FloatArray:
        """(K, n) a value for each row: their mean is the score, and the standard error of the mean is the score's."""
        total: FloatArray = self.values[:, None] + self.judged + self.graded
        return total


def correct(
    grades: FloatArray, same: FloatArray, levels: FloatArray, places: IntArray, codes: IntArray, tune: bool = True
) -> Corrected:
    """Correct a judge's scores by grades of some rows.

    Args:
        grades: (K, m) of people, 0..1.
        same: (K, m) the judge's of the very same answers.
        levels: (K, n) the judge's of all rows, the mean of all its answers to each.
        places: (m,) which rows were graded; drawn at random.
        codes: (n,) cluster of each row.
        tune: False leaves the judge out (λ = 0).
    """
    n, m = levels.shape[1], len(places)
    clusters, own = int(codes.max()) + 1, codes[places]
    independent = len(np.unique(own))
    tilt = (levels - levels.mean(axis=1, keepdims=True)) / n
    tilt[:, places] -= (same - same.mean(axis=1, keepdims=True)) / m
    noise = np.zeros_like(tilt)
    noise[:, places] = (grades - grades.mean(axis=1, keepdims=True)) / m
    weight, without = _weights(_contrasts(_sums(tilt, codes)), _contrasts(_sums(noise, codes)))
    if not tune:
        weight, without = 0.0, np.zeros(clusters)
    rest = grades - without[own] * (same - levels.mean(axis=1, keepdims=True))
    values = rest.mean(axis=1)
    graded = np.zeros_like(levels)
    # As many degrees of freedom as there are graded clusters; the spread of a mean over all rows divides by theirs.
    unbiased = math.sqrt(independent * (clusters - 1) / ((independent - 1) * clusters)) if independent > 1 else 1.0
    graded[:, places] = n / m * unbiased * (rest - values[:, None])
    return Corrected(weight, values, weight * (levels - levels.mean(axis=1, keepdims=True)), graded)


def _sums(x: FloatArray, codes: IntArray) -> FloatArray:
    """(K, C) sums over clusters."""
    return np.stack([np.bincount(codes, weights=row, minlength=int(codes.max()) + 1) for row in x])


def _contrasts(x: FloatArray) -> FloatArray:
    """What the ways differ by: values less their mean over ways; those of a single way as they are."""
    return x - x.mean(axis=0, keepdims=True) if len(x) > 1 else x


def _weights(tilt: FloatArray, noise: FloatArray) -> tuple[float, FloatArray]:
    """λ of all rows, and (C,) λ without each cluster: the slope that leaves least of `noise + λ·tilt`."""
    cross, square = -(tilt * noise).sum(axis=0), (tilt * tilt).sum(axis=0)
    if square.sum() < NOTHING:
        return 0.0, np.zeros(len(square))
    left = square.sum() - square
    slopes = np.divide(cross.sum() - cross, left, out=np.zeros_like(left), where=left > 0)
    return float(np.clip(cross.sum() / square.sum(), 0.0, LARGEST)), np.clip(slopes, 0.0, LARGEST)
