"""Whether more test rows or more seeds would decide: the probability that `rule.py` decides once they are there.

"About 400 more rows would decide" is a prediction, and the gap that was seen is a poor guide to it: the gap of an
undecided contest is small by luck or small in truth, and is never known well. So the prediction is drawn. Each draw is
a world that agrees with what was measured: true scores from the posterior (`posterior.py`), and how much of what was
observed is the luck of seeds, of rows that all ways share, and of single answers. Further rows and seeds are drawn in
it, the rule is applied to all together (`future_rule.py`), and the share of draws that it decides is the predictive
probability (Spiegelhalter & Freedman 1986, Statistics in Medicine 5:1; "assurance").

`Var = Ω/n + MSe/(nS) + τ²/S` for each way: Ω (K, K) the rows that ways share, MSe what is left of scores without their
row and seed means, τ² between seeds. The rows answered already stay as they are, and so do the trained seeds. Where
folds were measured, they take the place of seeds, and are trained again when rows are added.
`benchmarks/simulate_more_rows.py` counts how often the sentence is right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from whichway.verdict import stats
from whichway.verdict.compare import Table
from whichway.verdict.folds import TAUS, weak_prior
from whichway.verdict.future_rule import FoldFuture, Future, decided, kinds_differ
from whichway.verdict.posterior import posterior, seed_noise
from whichway.verdict.stats import FloatArray, IntArray

DRAWS = 1024  # of the posterior's draws
MOST = 10.0  # times the rows there are, added: more is not looked at
SEEDS = (2, 3, 4)  # times the seeds there are
LIKELY = 0.87  # probability from which a number is named: in simulations it then holds in four of five cases or more
APART = 0.85  # quantile of a distance that is said to hold with `SAID`
STATED = 0.8
SEED = 23


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would decide, as far as it can be predicted."""

    rows: int | None  # further test rows at which it is likely; None: not within `most`
    rows_chance: float  # at `rows`, or at `most`
    most: int  # further test rows that were looked at
    seeds: int | None  # times the seeds, with the rows there are; None: not likely so
    seeds_chance: float
    both: tuple[int, int] | None  # further test rows, and times the seeds; where neither alone is likely
    both_chance: float


class Predictive:
    """Predicts what the rule will say of a table with more rows or seeds.

    Args:
        table: arms in the order of cost; at least two, on two independent rows.
        margin: δ.
    """

    def __init__(self, table: Table, margin: float) -> None:
        drawn = posterior(table)
        if drawn is None:
            raise ValueError("a prediction wants two ways and two independent rows")
        self.table, self.margin = table, margin
        self.true = drawn.draws[:DRAWS]
        self.seeds = np.array([len(arm.scores) for arm in table.arms])
        self.residual = np.array([residual_noise(arm.scores) for arm in table.arms])  # MSe/(nS)
        self.rows = table.row_covariance  # Ω/n + MSe/(nS)
        self.shared = positive(self.rows - np.diag(self.residual))  # Ω/n
        rng = np.random.default_rng(SEED)
        self.tau2 = self.seed_variances(rng)
        self.split(rng)
        self.fresh = rng.normal(size=(3, *self.true.shape))
        self.chances: dict[tuple[float, int], float] = {}

    def seed_variances(self, rng: np.random.Generator) -> FloatArray:
        """τ² of each way, (D, K): drawn where several seeds were measured, else as the posterior takes it.

        With folds, what they add to the variance of a score.
        """
        if self.table.folds is not None:
            noise = self.table.fold_noise
            place = rng.random((len(self.true), 1, 1))  # ways of one sort share their τ
            drawn = TAUS[(np.cumsum(noise.common, axis=1) < place).sum(axis=2).clip(max=len(TAUS) - 1)]
            return np.asarray(noise.varying * drawn**2 / noise.count, dtype=np.float64)
        variances = np.broadcast_to(seed_noise(self.table), self.true.shape).copy()
        prior = weak_prior()
        for k, (between, _) in enumerate(self.table.seed_squares):
            count = int(self.seeds[k])
            if count < 2:
                continue
            expected = TAUS**2 + self.residual[k] * count + 1e-9
            fit = -(count - 1) / 2 * (np.log(expected) + between * count / expected)
            weights = np.cumsum(prior * np.exp(fit - fit.max()))
            places = np.searchsorted(weights, weights[-1] * rng.random(len(variances)), side="right")
            variances[:, k] = TAUS[places.clip(max=len(TAUS) - 1)] ** 2
        return variances

    def split(self, rng: np.random.Generator) -> None:
        """Split what was observed beyond the true scores into luck of seeds, of shared rows and of single answers.

        Each is drawn without regard to what was seen and then moved by its share of what is missing (Matheron's rule):
        an exact draw of three normal parts given their sum.
        """
        size = self.true.shape
        half = 0.5 / (self.table.n * self.table.clusters)
        self.root = root(self.shared + half * np.eye(size[1]))
        seeds = np.sqrt(self.tau2 / self.seeds) * rng.normal(size=size)
        single = np.sqrt(self.residual) * rng.normal(size=size)
        rows = rng.normal(size=size) @ self.root.T
        missing = np.array(self.table.values) - self.true - seeds - single - rows
        variances = self.tau2 / self.seeds
        total = self.shared + np.diag(self.residual + half) + np.eye(size[1]) * variances[:, None, :]
        weights = np.linalg.solve(total, missing[:, :, None])[:, :, 0]
        self.seed_luck = seeds + variances * weights
        self.single_luck = single + self.residual * weights
        self.row_luck = rows + weights @ (self.root @ self.root.T)

    def future(self, rows: float, seeds: int) -> Future:
        """Results at `rows` times the rows and `seeds` times the seeds (of ways that have several)."""
        count = np.where(self.seeds > 1, self.seeds * seeds, self.seeds)
        old = self.seeds / (count * rows)  # share of the answers that are there already
        new_seeds = np.sqrt((count - self.seeds) * self.tau2) * self.fresh[0]
        values = self.true + (self.seeds * self.seed_luck + new_seeds) / count
        if self.table.folds is not None:  # all folds are trained again, on more rows
            values = self.true + np.sqrt(self.tau2) * self.fresh[0]
        values += self.row_luck / rows + math.sqrt(rows - 1) / rows * (self.fresh[1] @ self.root.T)
        values += old * self.single_luck + np.sqrt(old * (1 - old) * self.residual) * self.fresh[2]
        left = self.residual * old
        return Future(
            values, self.row_variances(rows, left, count), self.table.clusters * rows - 1, self.between(rows, count),
            np.zeros_like(left) if self.table.pooled else left, count, self.folds,
        )  # fmt: skip

    @cached_property
    def folds(self) -> FoldFuture | None:
        """What folds will add; None without folds."""
        if self.table.folds is None:
            return None
        df, ways = self.table.fold_count - 1, len(self.seeds)
        scatter = np.random.default_rng(SEED + 2).chisquare(df, (len(self.true), ways, ways))
        scatter /= df
        return FoldFuture(self.table.fold_noise, self.tau2, scatter)

    def row_variances(self, rows: float, left: FloatArray, seeds: IntArray) -> FloatArray:
        """Row variance of each paired difference, (K, K), with the discordant row that `compare.py` adds."""
        own = (np.diag(self.rows) - self.residual) / rows + left
        variances = own[:, None] + own[None, :] - 2 * self.rows / rows
        np.fill_diagonal(variances, 0.0)
        binary = np.array(self.table.binary) & (not self.table.pooled)
        extra = 1 / ((self.table.n * rows) ** 2 * np.maximum.outer(seeds, seeds))
        nothing = 1 / (self.table.clusters * rows) ** 2
        variances = np.where(
            variances < 1e-15, nothing, variances + np.where(np.logical_and.outer(binary, binary), extra, 0.0)
        )
        return np.asarray(variances, dtype=np.float64)

    def between(self, rows: float, seeds: IntArray) -> FloatArray:
        """V/S that will be measured, (D, K): known seeds on more rows, and new seeds."""
        rng = np.random.default_rng(SEED + 1)
        noise = np.zeros_like(self.true)
        for k, (measured, _) in enumerate(self.table.seed_squares):
            old, count = int(self.seeds[k]), int(seeds[k])
            if count < 2:
                continue
            tau2, single = self.tau2[:, k], self.residual[k] * old  # τ² and MSe/n
            true_share = tau2 / (tau2 + single + 1e-12)
            remaining = (1 + (rows - 1) * true_share) / rows
            moved = ((rows - 1) / rows) ** 2 * (1 - true_share) * tau2 + (rows - 1) / rows**2 * single + 1e-12
            squares = moved * rng.noncentral_chisquare(old - 1, (old - 1) * remaining**2 * measured * old / moved)
            if count > old:
                squares += (tau2 + single / rows) * rng.chisquare(count - old, len(tau2))
            noise[:, k] = squares / (count - 1) / count
        return noise

    def chance(self, rows: float = 1.0, seeds: int = 1) -> float:
        """Probability that the rule decides at `rows` times the rows and `seeds` times the seeds."""
        if (rows, seeds) not in self.chances:
            differ = kinds_differ([arm.kind for arm in self.table.arms])
            worlds = decided(self.future(rows, seeds), differ, self.margin, 1 - self.table.confidence)
            self.chances[rows, seeds] = float(worlds.mean())
        return self.chances[rows, seeds]

    def apart(self, choice: int, others: list[int]) -> float:
        """How far some arms are from the choice at most, with a probability of SAID in simulated contests."""
        gaps = np.abs(self.true[:, others] - self.true[:, [choice]]).max(axis=1)
        return float(np.quantile(gaps, APART))

    def prospect(self, most: float = MOST) -> Prospect:
        """The fewest rows that make a decision likely, and the seeds that do."""
        top = self.chance(1 + most)
        rows, chance = self.fewest(most) if top >= LIKELY else (None, top)
        several = bool((self.seeds > 1).any())
        enough = ((k, self.chance(seeds=k)) for k in (SEEDS if several else ()) if self.chance(seeds=k) >= LIKELY)
        seeds, seeds_chance = next(enough, (None, 0.0))
        prospect_of_rows = Prospect(rows, round(chance, 2), self.count(most), seeds, round(seeds_chance, 2), None, 0.0)
        if rows is not None or seeds is not None or not several:
            return prospect_of_rows
        many = SEEDS[-1]
        if self.chance(1 + most, many) < LIKELY:
            return prospect_of_rows
        more, both_chance = self.fewest(most, many)
        return replace(prospect_of_rows, both=(more, many), both_chance=round(both_chance, 2))

    def fewest(self, most: float, seeds: int = 1, steps: int = 6) -> tuple[int, float]:
        """The fewest further rows that make a decision likely, by bisection on the logarithm, and how likely."""
        low, high = math.log(1 / self.table.n), math.log(most)
        for _ in range(steps):
            middle = (low + high) / 2
            low, high = (low, middle) if self.chance(1 + math.exp(middle), seeds) >= LIKELY else (middle, high)
        return self.count(math.exp(high)), self.chance(1 + math.exp(high), seeds)

    def count(self, share: float) -> int:
        """A share of the test rows as a number of rows."""
        return max(1, math.ceil(share * self.table.n - 1e-9))


def residual_noise(scores: FloatArray) -> float:
    """MSe/(nS): noise of single answers in the mean of a way's seeds; 0 with one seed, where rows hold it."""
    left = stats.seed_residual(scores)
    return 0.0 if left is None else left / scores.size


def positive(matrix: FloatArray) -> FloatArray:
    """The nearest matrix that is a covariance."""
    half = root(matrix)
    return half @ half.T


def root(matrix: FloatArray) -> FloatArray:
    """A square root of a symmetric matrix, negative eigenvalues as 0."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(values.clip(min=0.0)), dtype=np.float64)
