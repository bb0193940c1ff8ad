"""Arms on the same test rows: the interval of each, and the paired difference of any two.

One machinery for every metric: `SE² = rows + seeds`, t intervals with Satterthwaite's degrees of freedom.

* rows: the clustered standard error of the row scores averaged over seeds (mean metrics), or the jackknife's over rows
  or clusters (metrics that are no mean, such as macro-F1); see `resampling.py`. Runs that were begun before it had a
  paired bootstrap and keep that (`spread`).
* seeds: `(V − MSe/n)/S`, V the variance of the seeds' own test values and MSe the mean square of what is left of the
  scores without row means and seed means: rows and seeds are crossed, and both V and the row part hold MSe. Left in
  twice, intervals cover up to 98.2 % where they say 95; see `benchmarks/simulate_verdict.py`. The sum is never below
  the row part. V keeps its own S−1 degrees of freedom (at least that many in all), so that a τ² that comes out as 0 by
  chance is not taken for known. A metric that is no mean has no MSe of rows and keeps V/S.
* 0/1 scores: `1/(n²S)` is added for one more discordant row, which is what the half row in each cell of Agresti & Min
  2005 (Statistics in Medicine 24:729) adds. No spread at all: `1/C²`, one more discordant cluster (or row) of C.
  Two arms that agree on all of 50 rows are not known to be equal.
* one seed each, 0/1 scores, no groups: Tango's score interval of the difference. Of three that were compared at 20 to
  200 rows it alone covers 93 % and more everywhere (`benchmarks/results/simulate_small_n.md`). Runs that were begun
  before it had the t interval keep that: the plan says so (`paired`).
* folds: where each row was answered by a model that was made without it, folds take the place of seeds; see `folds.py`.
  What trainings add widens Tango's interval as if there were fewer rows, and takes as much from McNemar's evidence.

P-values are McNemar's (mid-p) where both arms have one seed, 0/1 scores and no groups; otherwise the t test's.
A metric that is no mean takes its interval and p from t: quantiles of resamples are too coarse for Holm's smallest
levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from whichway.nouns import Kind
from whichway.verdict import folds, stats
from whichway.verdict.folds import FoldNoise, of_pair
from whichway.verdict.resampling import MANY, weightings, widened
from whichway.verdict.stats import FloatArray, IntArray, Interval

Aggregate = Callable[[IntArray, NDArray[Any], FloatArray], FloatArray]


def shipped_place(dev_scores: Sequence[float | None]) -> int:
    """Which of a way's finalists ships: the best on dev, the first of equals; one without a dev score comes last.

    Args:
        dev_scores: of the finalists, by seed; at least one.
    """
    values = [float("-inf") if score is None else score for score in dev_scores]
    return values.index(max(values))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Arm:
    """One way in the comparison: its finalists' scores on the test rows, one per seed, and what they cost."""

    way: str
    kind: Kind
    scores: FloatArray  # (S seeds, n rows); an answer that could not be read counts 0. (0, 0) when never tested
    random: bool = False  # whether seeds matter
    targets: IntArray | None = None  # (n,) or (S, n) label codes, where the metric is no mean
    answers: NDArray[Any] | None = None  # (S, n) label codes, or (S, n, L) label scores: what `aggregate` reads
    groups: tuple[str, ...] | None = None  # group of each row; rows of one group are not independent
    aggregate: Literal["mean"] | Aggregate = "mean"  # how rows become one number; see `contracts.Aggregate`
    lowest: float = 0.0  # the worst value that it can take; the best is 1
    plain: bool = False  # whether scores are written as plain numbers, as a correlation is, not in percent
    candidates: tuple[str, ...] = ()  # finalist ids, one per seed
    dev_scores: tuple[float, ...] = ()  # one per seed; the best ships, ties the lowest seed
    dev_rows: int | None = None  # that dev_scores are over, where a race stopped them early; None: the whole dev split
    dev_score: float | None = None  # what selection saw; None: the mean of dev_scores
    unparsed: float = 0.0  # share of rows
    note: str = ""
    seconds_fit: float = 0.0
    seconds_per_row: float = 0.0
    wall_fit: float | None = None  # by the clock, where the seconds are counted work at the run's rate
    wall_per_row: float | None = None
    tokens_in: float = 0.0  # per row
    tokens_cached: float = 0.0
    tokens_out: float = 0.0
    usd_fit: float = 0.0
    usd_per_1000: float = 0.0
    usd_total: float | None = None  # None: fit + 30 days at the volume
    repeats: FloatArray | None = None  # (S, n, K) every answer's score; `scores` is their mean over K. None: K = 1
    row_usd: FloatArray | None = None  # (S, n) list price of each answer, repeats averaged
    row_tokens: FloatArray | None = None  # (S, n, 3) new, cached and written tokens of each answer
    labels_used: int = 0  # labelled rows it needs: all of train when it trains, its shots when it prompts
    tried: int = 0  # candidates that competed on dev
    crossings: float | None = None  # times that a finalist answered the test split
    status: Literal["ok", "failed"] = "ok"
    reason: str = ""  # why it failed
    model: str = ""  # its short name where several models compete
    texts: tuple[tuple[tuple[str, ...], ...], ...] = ()  # [seed][row][repeat] as written; () where labels are scored
    draws: bool = False  # whether its texts are drawn: another answer may differ
    checks: tuple[tuple[str, float], ...] = ()  # check -> share of answers that pass it
    folds: IntArray | None = None  # (n,) fold of each row, where finalist k answered fold k; None: each answered all
    refit: str | None = None  # the candidate that was made of all rows to be shipped, where folds were measured

    @property
    def competes(self) -> bool:
        """Whether it has test scores and did not fail."""
        return self.status == "ok" and self.scores.size > 0

    @property
    def dev(self) -> float | None:
        """The dev score that selection saw."""
        if self.dev_score is not None or not self.dev_scores:
            return self.dev_score
        return sum(self.dev_scores) / len(self.dev_scores)

    @property
    def shipped(self) -> str | None:
        """The candidate that ships: made of all rows where there is one, else the finalist that is best on dev."""
        if self.refit is not None or not self.candidates:
            return self.refit
        return self.candidates[shipped_place(self.dev_scores) if len(self.dev_scores) == len(self.candidates) else 0]

    def total(self, volume: float) -> float:
        """Cost of fitting and of 30 days at `volume` requests a day, usd."""
        return self.usd_fit + 30 * volume * self.usd_per_1000 / 1000 if self.usd_total is None else self.usd_total


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired difference, second minus first. Interval and p are None with too few rows."""

    value: float
    low: float | None
    high: float | None
    p: float | None  # two-sided
    row_variance: float | None  # of the difference: the part that shrinks with rows
    seed_variance: float  # the part that shrinks with seeds, or with folds
    wins: int
    losses: int

    def turned(self) -> Comparison:
        """The same comparison, first minus second."""
        low = None if self.high is None else -self.high
        high = None if self.low is None else -self.low
        return replace(self, value=-self.value, low=low, high=high, wins=self.losses, losses=self.wins)


class Table:
    """Competing arms on the same rows; answers what each scores and how any two differ.

    Args:
        arms: with scores of one shape (S_k, n).
        confidence: of all intervals.
        paired: the interval of a difference of two single runs with 0/1 scores: "score" (Tango's), or "t".
        spread: the row noise of a metric that is no mean: "jackknife", or "bootstrap".

    Raises:
        ValueError: the arms do not have the same rows, or a score is not a number.
    """

    def __init__(
        self, arms: Sequence[Arm], confidence: float, paired: str = "score", spread: str = "jackknife"
    ) -> None:
        check(arms)
        self.arms, self.paired, self.spread = tuple(arms), paired, spread
        self.confidence = confidence
        self.n = arms[0].scores.shape[1] if arms else 0
        self.groups = arms[0].groups if arms else None
        self.folds = arms[0].folds if arms else None
        self.codes = stats.clusters(self.n, self.groups)
        self.clusters = int(self.codes.max(initial=-1)) + 1
        self.pooled = bool(arms) and arms[0].aggregate != "mean"
        self.lowest = arms[0].lowest if arms else 0.0
        self.plain = bool(arms) and arms[0].plain
        self.rows = [arm.scores.mean(axis=0) for arm in self.arms]  # (n,) each, averaged over seeds
        self.seeds = [seed_values(arm) for arm in self.arms]  # (S,) each
        self.binary = [bool(((arm.scores == 0) | (arm.scores == 1)).all()) for arm in self.arms]
        self.values = [float(values.mean()) for values in self.seeds]
        self.sds = [float(values.std(ddof=1)) if len(values) > 1 else None for values in self.seeds]
        self.comparisons: dict[tuple[int, int], Comparison] = {}

    @cached_property
    def draws(self) -> list[FloatArray]:
        """Values of each arm's aggregate on other rows, the same for all arms, with the variance that other rows make.

        Rows that do not define it, as those of one label only, are left out for all arms: fewer values.
        """
        jackknife = self.spread == "jackknife" and self.clusters <= MANY
        blocks = weightings(self.codes, jackknife)
        parts = [[seed_values(arm, weights).mean(axis=0) for arm in self.arms] for weights in blocks]
        values = np.concatenate(parts, axis=1)
        values = values[:, np.isfinite(values).all(axis=0)]
        return list(widened(values) if jackknife else values)

    @property
    def row_df(self) -> float:
        """Degrees of freedom of the noise between rows."""
        return self.clusters - 1.0

    def value(self, k: int) -> float:
        """The arm's score: mean over seeds of each seed's value."""
        return self.values[k]

    def seed_sd(self, k: int) -> float | None:
        """Spread of the arm's test values between seeds; None with one seed."""
        return self.sds[k]

    def seed_part(self, k: int) -> float:
        """Seed noise in the variance of the arm's score: (V − MSe/n)/S, at least 0; 0 where it is not measured.

        With folds, what they add to the row noise.
        """
        if self.folds is not None:
            return max(0.0, of_pair(self.fold_covariance - self.row_covariance, k))
        between, left = self.seed_squares[k]
        return max(0.0, between - left)

    @cached_property
    def seed_squares(self) -> list[tuple[float, float]]:
        """For each arm V/S and MSe/(nS); (0, 0) with one seed, and no MSe where the metric is no mean."""
        squares = []
        for arm, sd in zip(self.arms, self.sds, strict=True):
            seeds = len(arm.scores)
            left = None if self.pooled else stats.seed_residual(arm.scores)
            squares.append((0.0 if sd is None else sd**2 / seeds, 0.0 if left is None else left / (self.n * seeds)))
        return squares

    def combine(self, row_variance: float, *arms: int) -> tuple[float, float]:
        """Standard error and degrees of freedom of row noise and the seed noise of some arms together."""
        parts = [(row_variance, float(self.clusters - 1))]
        for k in arms:
            (between, left), df = self.seed_squares[k], len(self.seeds[k]) - 1
            if df > 0:
                parts += [(between, df), (-left, df * (self.clusters - 1))]
        return stats.satterthwaite(parts)

    def error(self, rows: float, *arms: int) -> tuple[float, float]:
        """Standard error and degrees of freedom of an arm's score, or of the difference of two: rows, seeds or folds.

        Args:
            rows: variance from the rows.
            arms: one, or the first and the second of a difference.
        """
        if self.folds is None:
            return self.combine(rows, *arms)
        return self.fold_noise.error(rows, of_pair(self.fold_covariance, *arms), self.clusters - 1, *arms)

    @property
    def fold_count(self) -> int:
        """K; 1 without folds."""
        return 1 if self.folds is None else int(self.folds.max(initial=0)) + 1

    @cached_property
    def fold_covariance(self) -> FloatArray:
        """Covariance (M, M) of the arms' scores with folds as clusters; of no use without folds."""
        of = np.zeros(self.n, dtype=np.int64) if self.folds is None else self.folds
        if not self.pooled:
            return folds.clustered_covariance(np.stack(self.rows), of)
        return folds.jackknife_covariance(lambda w: np.stack([seed_values(a, w).mean(axis=0) for a in self.arms]), of)

    @cached_property
    def row_covariance(self) -> FloatArray:
        """Covariance (M, M) of the arms' scores that comes from the drawn rows; it shrinks with more rows."""
        if self.pooled:
            return np.atleast_2d(np.cov(np.stack(self.draws)))
        return folds.clustered_covariance(np.stack(self.rows), self.codes)

    @cached_property
    def fold_noise(self) -> FoldNoise:
        """What trainings add to the arms' scores from fold to fold."""
        varying = np.array([len(set(arm.candidates)) != 1 for arm in self.arms])
        trained = np.array([arm.random for arm in self.arms])
        rows = self.row_covariance + 0.5 / (self.n * self.clusters) * np.eye(len(self.arms))
        return folds.fold_noise(rows, self.fold_covariance, varying, trained, self.fold_count)

    def training_error(self, first: int, second: int) -> float:
        """Standard error of a difference that comes from the folds' trainings; 0 without folds."""
        return 0.0 if self.folds is None else float(np.sqrt(self.compare(first, second).seed_variance))

    def fold_sd(self, k: int) -> float | None:
        """How far folds' models lie apart, row noise taken off; None where it alone does as much once in twenty."""
        if self.folds is None or self.clusters < 2:
            return None
        if not folds.shown_apart(self.row_covariance[k, k], self.fold_covariance[k, k], self.fold_count):
            return None
        return float(np.sqrt(self.seed_part(k) * self.fold_count))

    def interval(self, k: int) -> Interval | None:
        """Interval of one arm's score.

        Wilson's for 0/1 scores; with groups or seeds, Wilson's at the number of independent rows with the same variance
        and t quantile (Korn & Graubard 1998). Graded scores: t, cut at 0 and 1. A metric that is no mean:
        t on the log-odds scale of its range, and Wilson's within a row of its ends.
        """
        if self.clusters < 2:
            return None
        value = self.value(k)
        if self.binary[k] and not self.pooled:
            return stats.wilson(value * self.effective(k), self.effective(k), self.confidence)
        variance = self.row_variance(self.draws[k] if self.pooled else self.rows[k])
        if variance == 0:  # scores that are all equal are not known to be so everywhere
            variance = 1 / self.clusters**2
        se, df = self.error(variance, k)
        if self.pooled:
            return stats.ranged_interval(value, se, df, self.clusters, self.confidence, self.lowest)
        estimate = stats.estimate(value, se, df, self.confidence)
        return max(0.0, estimate.low), min(1.0, estimate.high)

    def effective(self, k: int) -> float:
        """Independent rows that would give a 0/1 arm the variance it has."""
        if len(self.seeds[k]) == 1 and self.clusters == self.n and self.folds is None:
            return float(self.n)
        value = self.value(k)
        se, df = self.error(self.row_variance(self.rows[k]), k)
        if se == 0 or value * (1 - value) == 0:
            return float(self.clusters)
        ratio = stats.z_value(self.confidence) / stats.t_value(self.confidence, df)
        return value * (1 - value) / se**2 * ratio**2

    def row_variance(self, x: FloatArray) -> float:
        """Variance of an aggregate from its rows (mean metrics) or its bootstrap draws (others)."""
        if self.pooled:
            return float(x.var(ddof=1))
        se = stats.clustered_se(x, self.codes if self.clusters < self.n else None)
        return 0.0 if se is None else se**2

    def compare(self, first: int, second: int) -> Comparison:
        """The paired difference of two arms, second minus first; of an arm to itself, 0."""
        if first == second:
            return Comparison(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0, 0)
        if first > second:
            return self.compare(second, first).turned()
        if (first, second) not in self.comparisons:
            self.comparisons[first, second] = self.difference(first, second)
        return self.comparisons[first, second]

    def difference(self, first: int, second: int) -> Comparison:
        """Work out the paired difference of two arms."""
        d = self.rows[second] - self.rows[first]
        wins, losses = int((d > 0).sum()), int((d < 0).sum())
        value = self.value(second) - self.value(first)
        seeds = 0.0 if self.folds is not None else self.seed_part(first) + self.seed_part(second)
        if self.clusters < 2:
            return Comparison(value, None, None, None, None, seeds, wins, losses)
        rows = self.row_variance(self.draws[second] - self.draws[first] if self.pooled else d)
        if rows == 0:
            rows = 1 / self.clusters**2
        elif self.binary[first] and self.binary[second]:
            rows += 1 / (self.n**2 * max(len(self.seeds[first]), len(self.seeds[second])))
        se, df = self.error(rows, first, second)
        varying = self.folds is not None and self.fold_noise.varying[[first, second]].any()
        if varying:
            seeds = max(0.0, se**2 - rows)
        estimate = stats.estimate(value, se, df, self.confidence)
        low, high, p = estimate.low, estimate.high, stats.t_test(value, se, df)
        if self.single(first, second):
            p, share = stats.mcnemar(wins, losses, mid=True), 1.0
            if varying:
                p = stats.t_of_normal(p, rows / se**2, df)
                share = rows / se**2 * (stats.z_value(self.confidence) / stats.t_value(self.confidence, df)) ** 2
            if self.paired == "score":
                low, high = stats.tango(share * wins, share * losses, share * self.n, self.confidence)
        most = 1 - self.lowest
        return Comparison(value, max(-most, low), min(most, high), p, rows, seeds, wins, losses)

    def single(self, *arms: int) -> bool:
        """Whether McNemar's test fits: one seed each, 0/1 scores, their mean, rows independent."""
        simple = not self.pooled and self.clusters == self.n
        return simple and all(self.binary[k] and len(self.seeds[k]) == 1 for k in arms)


def seed_values(arm: Arm, weights: FloatArray | None = None) -> FloatArray:
    """Each seed's own test value (S,), or (S, B) over weighted resamples where the metric is no mean."""
    if arm.aggregate == "mean":
        means: FloatArray = arm.scores.mean(axis=1)
        return means
    if arm.targets is None or arm.answers is None:
        raise ValueError(f"{arm.way}: a metric that is no mean needs targets as label codes, and answers")
    targets = np.broadcast_to(arm.targets, arm.answers.shape[:2])
    drawn = np.ones((1, targets.shape[1])) if weights is None else weights
    values = np.array([arm.aggregate(t, a, drawn) for t, a in zip(targets, arm.answers, strict=True)])
    return values[:, 0] if weights is None else values


def check(arms: Sequence[Arm]) -> None:
    """Refuse arms that were not measured on the same rows."""
    for arm in arms:
        if arm.scores.ndim != 2 or arm.scores.shape[1] != arms[0].scores.shape[1]:
            raise ValueError(
                f"{arm.way} has scores of shape {arm.scores.shape}, {arms[0].way} of {arms[0].scores.shape}; "
                "give every arm the same test rows in the same order, as (seeds, rows)"
            )
        if not np.isfinite(arm.scores).all():
            raise ValueError(
                f"{arm.way} has a score that is no number; count an unread answer as 0, and its rate in `unparsed`"
            )
        own, others = arm.folds, arms[0].folds
        if not (own is others if own is None or others is None else np.array_equal(own, others)):
            raise ValueError(f"{arm.way} and {arms[0].way} differ in folds; these belong to the task")
        if arm.groups != arms[0].groups or (arm.aggregate == "mean") != (arms[0].aggregate == "mean"):
            raise ValueError(f"{arm.way} and {arms[0].way} differ in groups or aggregate; both belong to the task")
