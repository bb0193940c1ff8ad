"""Confidence sequences: intervals that hold at every look, so that a race may stop early without cheating.

Asymptotic confidence sequences of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024 (Annals of Statistics 52:2613,
arXiv 2103.06476), on the paired differences of two candidates over the same rows. A fixed-sample interval looked at
after every block is wrong far more often than it says; this one is wrong at most α of the time over *all* looks.

What it needs: rows in an order that has nothing to do with the candidates (shuffled once), and enough rows at the first
look for the running variance to mean something. Asymptotic means: the guarantee holds as the first look moves out.
`FIRST` rows are enough for 0/1 scores in `benchmarks/simulate_verdict.py`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from whichway.verdict.stats import FloatArray, Groups, clusters

FIRST = 20  # rows (or clusters) before the first look


def rho(alpha: float) -> float:
    """The mixing parameter `ρ = √(−2 ln α + ln(−2 ln α) + 1)/10`: the sequence is tightest where `n·v` is about 100.

    Raises:
        ValueError: α is not between 0 and 1/√e, where the formula is defined.
    """
    if not 0 < alpha < math.exp(-0.5):
        raise ValueError(f"alpha is {alpha}; give a value above 0 and below 0.6, such as 0.05")
    twice = -2 * math.log(alpha)
    return math.sqrt(twice + math.log(twice) + 1) / 10


def margin(n: int, variance: float, alpha: float) -> float:
    """Half width after n rows: `√(((n·v·ρ²+1)/(n²ρ²))·ln((n·v·ρ²+1)/α²))`.

    Args:
        n: rows so far.
        variance: v, the running variance of the differences (divided by n, as in the paper).
        alpha: chance to be wrong at any look.

    Returns:
        The half width, in units of the metric; infinite without rows.
    """
    if n < 1:
        return math.inf
    squared = rho(alpha) ** 2
    grown = n * variance * squared + 1
    return math.sqrt(grown / (n * n * squared) * math.log(grown / alpha**2))


def paired_sequence(differences: ArrayLike, alpha: float, groups: Groups | None = None) -> tuple[float, float]:
    """The interval of the mean paired difference after the rows so far; valid at every look together at level α.

    Args:
        differences: (n,) score of one candidate minus the other's, row by row, in the shuffled order.
        alpha: chance that the truth is ever outside.
        groups: cluster of each row; rows of one cluster count as one observation.

    Returns:
        (low, high) in units of the metric; (−∞, ∞) with fewer than two rows or clusters: nothing is known yet.
    """
    units = observations(np.asarray(differences, dtype=np.float64), groups)
    if len(units) < 2:
        return -math.inf, math.inf
    centre, half = float(units.mean()), margin(len(units), float(units.var()), alpha)
    return centre - half, centre + half


def paired_sequences(differences: ArrayLike, alpha: float) -> tuple[FloatArray, FloatArray]:
    """The whole sequence: its low and high ends after each of the rows 1..n, (n,) each; infinite at the first."""
    x = np.asarray(differences, dtype=np.float64)
    n = np.arange(1, len(x) + 1)
    mean: FloatArray = (np.cumsum(x) / n).astype(np.float64)
    variance = np.maximum(np.cumsum(x * x) / n - mean**2, 0.0)
    squared = rho(alpha) ** 2
    grown = n * variance * squared + 1
    half: FloatArray = np.sqrt(grown / (n * n * squared) * np.log(grown / alpha**2)).astype(np.float64)
    half[:1] = np.inf
    return mean - half, mean + half


def observations(differences: FloatArray, groups: Groups | None) -> FloatArray:
    """Independent observations with the mean of the rows: the rows, or cluster sums over the mean cluster size."""
    if groups is None or len(differences) == 0:
        return differences
    sums = np.bincount(clusters(len(differences), groups), weights=differences)
    scaled: FloatArray = np.asarray(sums * (len(sums) / len(differences)), dtype=np.float64)
    return scaled
