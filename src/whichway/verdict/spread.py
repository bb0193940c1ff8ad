"""Outcome variability: how much of a score's variance comes from rows, from decoding and from seeds.

`Var = ω²/n + σ²/(nK) + τ²/S` (Miller 2024, arXiv 2411.00640, for rows and decoding; τ added for trainings and
searches). More rows do not shrink τ, more seeds do not shrink ω. A row counts as right from a score of one half on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from whichway.findings import Spread
from whichway.verdict import stats
from whichway.verdict.compare import Arm
from whichway.verdict.explain.number_format import clean
from whichway.verdict.stats import FloatArray

FLIPS = 30  # flipping rows named
HALF = 0.5


def spread(arm: Arm, examples: Sequence[str] = ()) -> Spread:
    """The split for one way.

    Args:
        arm: with scores (S, n) and, where every request was repeated, `repeats` (S, n, K).
        examples: ids of the rows, to name those that flip.
    """
    x = arm.scores[:, :, None] if arm.repeats is None else arm.repeats
    seeds, n, k = x.shape
    sigma2 = decoding_variance(x)
    decoding = None if sigma2 is None else sigma2 / (n * seeds * k)
    rows = rows_variance(x.mean(axis=(0, 2)), arm.groups, decoding or 0.0)
    tau2 = stats.seed_variance(x.mean(axis=2))
    right = (x >= HALF).astype(np.float64)
    share = right.mean(axis=(0, 2))
    divided = np.flatnonzero((share > 0) & (share < 1))
    order = sorted(divided.tolist(), key=lambda i: (abs(share[i] - HALF), i))
    return Spread(
        way=arm.way,
        rows=n,
        seeds=seeds,
        repeats=k,
        rows_sd=root(None if rows is None else rows * n),
        decoding_sd=root(sigma2),
        seeds_sd=root(tau2),
        rows_error=root(rows),
        decoding_error=root(decoding),
        seeds_error=root(None if tau2 is None else tau2 / seeds),
        one_decoding=root(None if sigma2 is None else sigma2 / n),
        consistency_repeats=clean(agreement(right.reshape(seeds * n, k))),
        consistency_seeds=clean(agreement((x.mean(axis=2) >= HALF).astype(np.float64).T)),
        flipping=len(divided),
        flips=tuple(examples[i] for i in order[:FLIPS]) if examples else (),
    )


def decoding_variance(x: FloatArray) -> float | None:
    """σ²: variance between the K repeats of one request, averaged over seeds and rows of (S, n, K); None with one."""
    return None if x.shape[2] < 2 or x.shape[1] < 1 else float(x.var(axis=2, ddof=1).mean())


def rows_variance(means: FloatArray, groups: Sequence[str] | None, decoding: float) -> float | None:
    """ω²/n: variance of the score from its rows (clustered where they come in groups), decoding noise taken off."""
    se = stats.clustered_se(means, groups)
    return None if se is None else max(0.0, se**2 - decoding)


def agreement(right: FloatArray) -> float | None:
    """Chance that two different answers of one line score the same, averaged over lines of (lines, answers)."""
    many = right.shape[1]
    if many < 2 or len(right) == 0:
        return None
    c = right.sum(axis=1)
    return float(((c * (c - 1) + (many - c) * (many - c - 1)) / (many * (many - 1))).mean())


def root(variance: float | None) -> float | None:
    """The square root of a variance; None where it is not known."""
    return None if variance is None else clean(math.sqrt(variance))
