"""Whether more grades by hand would decide: the probability that `rule.py` decides once they are there.

As `predictive.py` does for rows and seeds: draws of worlds that agree with what was measured, what was graded by luck
and what the judge's rows are by luck told apart, further grades drawn in each, and the rule applied to all together.
Grades shrink their own part of the variance, by `m / (m + more)`; the part of the judge's levels shrinks with test
inputs only, so there is an end to what grading can do: all test inputs graded. The next look at a verdict is at a
smaller level (`hand_grades.at_look`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from whichway.verdict.folds import clustered_covariance
from whichway.verdict.future_rule import Future, decided, kinds_differ
from whichway.verdict.hand_grades import ADDED, ENOUGH, GradedTable
from whichway.verdict.posterior import posterior
from whichway.verdict.predictive import DRAWS, SEED, root

LIKELY = 0.93  # probability from which a number is named: in simulations it then holds in four of five cases


@dataclass(frozen=True, slots=True)
class GradesProspect:
    """What more grades would do."""

    inputs: int | None  # further graded inputs at which a decision is likely; None: not even with all
    chance: float  # at `inputs`, or with all
    most: int  # test inputs that are not graded yet


class GradesPredictive:
    """Predicts what the rule will say of a graded table with more graded inputs.

    Args:
        table: arms in the order of cost; at least two, on two independent graded inputs.
        margin: δ.
    """

    def __init__(self, table: GradedTable, margin: float) -> None:
        drawn = posterior(table)
        if drawn is None:
            raise ValueError("a prediction wants two ways and two independent rows")
        self.table, self.margin, self.true = table, margin, drawn.draws[:DRAWS]
        self.inputs = len(table.grades.places)
        rng = np.random.default_rng(SEED)
        size = self.true.shape
        graded = clustered_covariance(table.corrected.graded, table.codes)
        self.graded = graded + ADDED / 2 * table.floor * np.eye(size[1])
        judged = clustered_covariance(table.corrected.judged, table.codes)
        self.root, self.fresh = root(self.graded), rng.normal(size=size)
        own, rest = rng.normal(size=size) @ self.root.T, rng.normal(size=size) @ root(judged).T
        missing = np.array([table.value(k) for k in range(size[1])]) - self.true - own - rest
        weights = np.linalg.solve(self.graded + judged + 1e-12 * np.eye(size[1]), missing.T).T
        self.graded_luck, self.judged_luck = own + weights @ self.graded, rest + weights @ judged
        self.judged = judged

    def chance(self, inputs: int) -> float:
        """Probability that the rule decides with so many graded inputs in all."""
        table, times = self.table, inputs / self.inputs
        clusters = self.table.graded_clusters * times
        if clusters < ENOUGH:
            return 0.0
        new = math.sqrt(times - 1) / times * (self.fresh @ self.root.T)
        values = self.true + self.judged_luck + self.graded_luck / times + new
        total = self.graded / times + self.judged
        own = np.diag(total)
        variances = own[:, None] + own[None, :] - 2 * total + ADDED * (table.grades.step / clusters) ** 2
        np.fill_diagonal(variances, 0.0)
        variances = np.maximum(variances, 1e-15)
        count = len(own)
        nothing = np.zeros(count)
        future = Future(values, variances, clusters - 1, np.zeros_like(values), nothing, np.ones(count, dtype=np.int64))
        differ = kinds_differ([arm.kind for arm in table.arms])
        look = table.grades.look
        level = (1 - table.confidence) * look / (look + 1)  # at which the next look tests
        return float(decided(future, differ, self.margin, level).mean())

    def prospect(self, steps: int = 7) -> GradesProspect:
        """The fewest further graded inputs that make a decision likely, by bisection, and how likely it is."""
        most = self.table.n - self.inputs
        if most <= 0:
            return GradesProspect(None, 0.0, 0)
        top = self.chance(self.table.n)
        if top < LIKELY:
            return GradesProspect(None, round(top, 2), most)
        low, high = 0, most
        for _ in range(steps):
            middle = (low + high) // 2
            low, high = (low, middle) if self.chance(self.inputs + middle) >= LIKELY else (middle, high)
        return GradesProspect(high, round(self.chance(self.inputs + high), 2), most)
