"""What the ways' true scores may be, given what was measured: expected regret, and the chance to be near the best.

`rule.py` says when a choice is *decided*. With few rows most contests are not, and something has to be used all the
same. Then the question is one of expected loss: which way costs least if it turns out not to be the best?

Observed scores are `θ̂ ~ N(θ, Σ)`, Σ from the paired rows (ways answer the same rows, so their errors go together) and
each way's own seeds; where folds were measured, what their trainings add (`folds.py`). The prior: `θ = μ + kind + way`,
`kind ~ N(0, κ²)`, `way ~ N(0, ω²)`, μ flat: ways of a kind are alike, kinds are alike. κ and ω are not known; a grid of
them is weighted by how well each explains what was seen (empirical Bayes, but with the uncertainty kept) and by a weak
prior whose middle is a difference of about ten points between ways of two kinds, as published contests have. A grid
with small values matters most: it is what keeps the best of six equal ways from being believed.

Draws from the mixture give for each way the expected regret `E[max_v θ_v − θ_w]` and `P(θ_w ≥ max_v θ_v − δ)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from whichway.nouns import Kind
from whichway.verdict.compare import Table
from whichway.verdict.stats import FloatArray

DRAWS = 4096  # a power of two, as Sobol points want
KIND_SPREADS = (0.005, 0.02, 0.05, 0.10, 0.20)  # κ, in units of the metric
WAY_SPREADS = (0.005, 0.015, 0.035, 0.07, 0.14)  # ω
MIDDLE = (math.log(0.05), math.log(0.04))  # of the weak prior on log κ and log ω; together about ten points
WIDTH = 1.2  # its standard deviation: a factor of 3.3 either way
WIDE = 2.0  # standard deviation of μ, far beyond any score: flat


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Draws of the ways' true scores.

    Args:
        draws: (DRAWS, K) true scores that are compatible with what was seen.
    """

    draws: FloatArray

    def regret(self, utilities: FloatArray | None = None) -> FloatArray:
        """Expected loss of taking each way instead of the truly best one, (K,).

        Args:
            utilities: (DRAWS, K) what each way is worth; None: its score.
        """
        worth = self.draws if utilities is None else utilities
        lost: FloatArray = (worth.max(axis=1, keepdims=True) - worth).mean(axis=0)
        return lost

    def near_best(self, margin: float, utilities: FloatArray | None = None) -> FloatArray:
        """Probability that each way is within the margin of the truly best one, (K,)."""
        worth = self.draws if utilities is None else utilities
        near: FloatArray = (worth >= worth.max(axis=1, keepdims=True) - margin - 1e-12).mean(axis=0)
        return near


def posterior(table: Table) -> Posterior | None:
    """The ways' true scores given a table of results; None with fewer than two ways or two independent rows."""
    if len(table.arms) < 2 or table.clusters < 2:
        return None
    seen = np.array(table.values)
    return Posterior(sample(seen, noise(table), [arm.kind for arm in table.arms]))


def noise(table: Table) -> FloatArray:
    """Covariance of the observed scores, (K, K): rows that the ways share, and each way's own seeds, or folds.

    Half a discordant row is added on the diagonal, as `compare.py` adds one to each difference: ways that agree on all
    of 50 rows are not known to be equal.
    """
    rows = table.row_covariance + 0.5 / (table.n * table.clusters) * np.eye(len(table.arms))
    own = seed_noise(table) if table.folds is None else table.fold_noise.added
    return np.asarray(rows + np.diag(own), dtype=np.float64)


def seed_noise(table: Table) -> FloatArray:
    """Variance of each observed score that comes from its seeds, (K,); where it was not measured, as for the others."""
    seeds = np.array([table.seed_part(k) for k in range(len(table.arms))])
    known = [x for x, arm in zip(seeds, table.arms, strict=True) if arm.random and len(arm.scores) > 1]
    usual = float(np.mean(known)) if known else 0.0
    for k, arm in enumerate(table.arms):
        if arm.random and len(arm.scores) == 1:
            seeds[k] = usual
    return seeds


def sample(seen: FloatArray, sigma: FloatArray, kinds: Sequence[Kind]) -> FloatArray:
    """Draws (DRAWS, K) from the posterior of the true scores; the same input gives the same draws.

    Args:
        seen: (K,) observed scores.
        sigma: (K, K) covariance of their errors.
        kinds: of the ways.
    """
    same = np.array([[a == b for b in kinds] for a in kinds], dtype=np.float64)
    parts = []
    for kappa in KIND_SPREADS:
        for omega in WAY_SPREADS:
            prior = kappa**2 * same + omega**2 * np.eye(len(kinds)) + WIDE**2
            parts.append(updated(seen, sigma, prior, weak(kappa, omega)))
    weights = np.exp(np.array([w for w, _, _ in parts]) - max(w for w, _, _ in parts))
    points, pick = quasi_normal(len(kinds))
    chosen = np.searchsorted(np.cumsum(weights / weights.sum()), pick, side="right").clip(max=len(parts) - 1)
    draws = np.empty((DRAWS, len(kinds)))
    for i, (_, mean, root) in enumerate(parts):
        mine = chosen == i
        draws[mine] = mean + points[mine] @ root.T
    return draws


def weak(kappa: float, omega: float) -> float:
    """Log density of the weak prior on the spreads."""
    return -sum((math.log(x) - m) ** 2 for x, m in zip((kappa, omega), MIDDLE, strict=True)) / (2 * WIDTH**2)


def updated(
    seen: FloatArray, sigma: FloatArray, prior: FloatArray, weight: float
) -> tuple[float, FloatArray, FloatArray]:
    """Log weight, posterior mean and a root of the posterior covariance for one pair of spreads."""
    total = sigma + prior
    centre = seen - seen.mean()
    chol = np.linalg.cholesky(total)
    white = np.linalg.solve(chol, centre)
    evidence = weight - float(white @ white) / 2 - float(np.log(np.diag(chol)).sum())
    gain = np.linalg.solve(total, prior).T
    mean = seen.mean() + gain @ centre
    values, vectors = np.linalg.eigh(prior - gain @ prior)
    return evidence, mean, vectors * np.sqrt(values.clip(min=0.0))


@lru_cache(maxsize=32)
def quasi_normal(count: int) -> tuple[FloatArray, FloatArray]:
    """Scrambled Sobol points: (DRAWS, count) standard normal, and (DRAWS,) uniform."""
    points = qmc.Sobol(count + 1, scramble=True, seed=0).random(DRAWS).clip(1e-9, 1 - 1e-9)
    return np.asarray(ndtri(points[:, 1:]), dtype=np.float64), np.asarray(points[:, 0], dtype=np.float64)
