"""A contest by people's grades: a judge's levels of all answers, corrected by grades of some, as a table of results.

`prediction_powered.py` has the estimator. Here its row values become scores of ways, so that the rule, the advice and
the break-even work on them as on any others. What differs from other tables of results:

- the noise of the graded part has as many degrees of freedom as there are graded inputs (or groups), less one;
- half an answer that differs by one level is added to the variance of a difference, as `compare.py` adds a discordant
  row, and a whole one where nothing differs: equal grades on 20 inputs do not show two ways equal;
- a score's interval is t on the log-odds of its place between worst and best, Wilson's near the ends;
- fewer than `ENOUGH` graded inputs decide nothing. `benchmarks/simulate_judge.py` shows what is covered, and how often
  a decision is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from whichway.findings import GradedScore, Grading
from whichway.verdict import stats
from whichway.verdict.compare import Arm, Comparison, Table
from whichway.verdict.explain.number_format import clean
from whichway.verdict.prediction_powered import Corrected, correct
from whichway.verdict.stats import FloatArray, IntArray, Interval

ADDED = 0.5  # answers that differ by one level, added to the variance of a difference
ENOUGH = 20  # graded inputs (or groups of them) that may decide

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Grades:
    """Grades by hand beside a judge's levels, as arrays over K ways; all on 0..1.

    Args:
        hand: (K, m) grades of one answer of each way to each graded input.
        same: (K, m) the judge's mean level of these answers.
        levels: (K, n) the judge's mean level of all answers to each test input.
        places: (m,) the graded inputs among all.
        step: between two levels.
        look: how often grades of the run were kept and looked at, these included.
    """

    hand: FloatArray
    same: FloatArray
    levels: FloatArray
    places: IntArray
    step: float
    look: int = 1


class GradedTable(Table):
    """Results by people's grades.

    Args:
        arms: of the ways that were judged and graded, in the order of cost.
        grades: of them, in the same order.
        confidence: of intervals.
        tune: False leaves the judge out.
    """

    def __init__(self, arms: Sequence[Arm], grades: Grades, confidence: float, tune: bool = True) -> None:
        codes = stats.clusters(grades.levels.shape[1], arms[0].groups)
        self.grades = grades
        self.corrected: Corrected = correct(grades.hand, grades.same, grades.levels, grades.places, codes, tune)
        rows = self.corrected.rows
        super().__init__([_by_grades(arm, x) for arm, x in zip(arms, rows, strict=True)], confidence)
        self.graded_clusters = len(np.unique(codes[grades.places]))

    @property
    def floor(self) -> float:
        """The variance that one answer makes which differs by one level."""
        return (self.grades.step / self.graded_clusters) ** 2

    @property
    def row_df(self) -> float:
        """Degrees of freedom of the noise between graded inputs."""
        return self.graded_clusters - 1.0

    def value(self, k: int) -> float:
        """The arm's corrected score, kept between worst and best."""
        return min(max(self.values[k], 0.0), 1.0)

    def row_variance(self, x: FloatArray) -> float:
        """Variance of a mean of row values, judge and grades together."""
        variance = super().row_variance(x)
        return variance + ADDED * self.floor if variance > 0 else self.floor

    def error(self, rows: float, *arms: int) -> tuple[float, float]:
        """Standard error and degrees of freedom of an arm's score, or of the difference of two."""
        judged = self.corrected.judged[arms[-1]] - (self.corrected.judged[arms[0]] if len(arms) > 1 else 0.0)
        shared = min(Table.row_variance(self, judged), rows)
        parts = [(rows - shared, self.graded_clusters - 1.0), (shared, self.clusters - 1.0)]
        df = stats.satterthwaite(parts)[1] if rows > shared else self.graded_clusters - 1.0
        return float(np.sqrt(rows)), df

    def interval(self, k: int) -> Interval | None:
        """Interval of an arm's corrected score."""
        if self.graded_clusters < 2:
            return None
        rows = super().row_variance(self.rows[k]) or self.floor
        se, df = self.error(rows, k)
        return stats.ranged_interval(self.value(k), se, df, self.graded_clusters, self.confidence, 0.0)

    def difference(self, first: int, second: int) -> Comparison:
        """The paired difference of two arms; rows ahead and behind are those graded by hand."""
        gap = self.grades.hand[second] - self.grades.hand[first]
        return replace(super().difference(first, second), wins=int((gap > 0).sum()), losses=int((gap < 0).sum()))


def _by_grades(arm: Arm, rows: FloatArray) -> Arm:
    """An arm whose scores are the grades of the one finalist that was graded; what dev said is on another scale."""
    return replace(
        arm, scores=rows[None], aggregate="mean", targets=None, answers=None, lowest=0.0, plain=False, repeats=None,
        dev_scores=(), dev_score=None, dev_rows=None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class GradedContest:
    """A contest as people's grades have it."""

    arms: tuple[Arm, ...]  # in the order given; those that were not judged or graded to the end have failed
    table: GradedTable
    grading: Grading


def at_look(lines: Sequence[Line], confidence: float) -> float:
    """The confidence of tests and intervals at the k-th look at a verdict: 1 − α/k.

    Who grades more whenever nothing is decided would otherwise end with a decision among equal ways too often: after
    every 20 of 200 inputs a dearer way is named in 10 to 14 % instead of at most 5 %.
    """
    look = latest_look(lines)
    return confidence if look == 1 else round(1 - (1 - confidence) / look, 4)


def latest_look(lines: Sequence[Line]) -> int:
    """How often grades were kept and looked at, the present ones included."""
    return max((int(line.get("look", 1)) for line in lines), default=1)


def graded_contest(
    lines: Sequence[Line], judgements: Sequence[Line], arms: Sequence[Arm], examples: Sequence[str], confidence: float
) -> GradedContest | None:
    """The contest by grades; None without grades of two inputs.

    Args:
        lines: of grades.jsonl: for each graded input and way, the level that people gave to one of its answers.
        judgements: of judgements.jsonl.
        arms: all ways, in the order of cost.
        examples: test rows, in order.
        confidence: of intervals.
    """
    graded = {(line["way"], line["example"]): line for line in lines}
    inputs = list(dict.fromkeys(line["example"] for line in lines))
    levels = [line for line in judgements if line["what"] == "level"]
    judged = {(line["way"], line["example"]) for line in levels}
    fit = {
        arm.way
        for arm in arms
        if arm.competes
        and all((arm.way, e) in judged for e in examples)
        and all((arm.way, e) in graded for e in inputs)
    }
    if len(inputs) < 2 or not fit:
        return None
    finalist = {line["way"]: line["candidate"] for line in levels}
    ours = [_finalist(arm, finalist[arm.way]) for arm in arms if arm.way in fit]
    grades = _arrays(graded, levels, [arm.way for arm in ours], inputs, examples)
    table = GradedTable(ours, grades, confidence)
    replaced = {arm.way: arm for arm in table.arms}
    why = "its answers were not judged and graded to the end"
    every = (replaced.get(a.way) or (replace(a, status="failed", reason=why) if a.competes else a) for a in arms)
    return GradedContest(tuple(every), table, _grading(table, [graded[way, e] for way in replaced for e in inputs]))


def _finalist(arm: Arm, candidate: str) -> Arm:
    """An arm with one of its finalists alone."""
    k = arm.candidates.index(candidate) if candidate in arm.candidates else 0
    usd, tokens = arm.row_usd, arm.row_tokens
    return replace(
        arm,
        candidates=(candidate,),
        scores=arm.scores[k : k + 1],
        row_usd=None if usd is None else usd[k : k + 1],
        row_tokens=None if tokens is None else tokens[k : k + 1],
        texts=arm.texts[k : k + 1],
    )


def _arrays(
    graded: Mapping[tuple[str, str], Line], levels: Sequence[Line], ways: Sequence[str], inputs: Sequence[str],
    examples: Sequence[str],
) -> Grades:  # fmt: skip
    """Grades and levels as arrays; a judgement that named no level counts 0, as everywhere."""
    every: dict[tuple[str, str], list[float]] = defaultdict(list)
    single: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for line in levels:
        key = line["way"], line["example"]
        every[key].append(line["score"] or 0.0)
        single[(*key, line["repeat"])].append(line["score"] or 0.0)
    place = {example: k for k, example in enumerate(examples)}
    top = max(line["levels"] for line in graded.values()) - 1

    def same(way: str, example: str) -> float:
        answer = single.get((way, example, graded[way, example]["repeat"])) or every[way, example]
        return float(np.mean(answer))

    return Grades(
        hand=np.array([[graded[way, e]["level"] / top for e in inputs] for way in ways]),
        same=np.array([[same(way, e) for e in inputs] for way in ways]),
        levels=np.array([[float(np.mean(every[way, e])) for e in examples] for way in ways]),
        places=np.array([place[e] for e in inputs], dtype=np.int64),
        step=1 / top,
        look=latest_look(list(graded.values())),
    )


def _grading(table: GradedTable, lines: Sequence[Line]) -> Grading:
    """What the grades say, and how far the judge agrees."""
    grades, count = table.grades, table.grades.hand.size
    near = np.rint(grades.same / grades.step) == np.rint(grades.hand / grades.step)
    ends = stats.wilson(float(near.sum()), count, table.confidence)
    varied = grades.hand.std() > 0 and grades.same.std() > 0
    both = float(np.corrcoef(grades.hand.ravel(), grades.same.ravel())[0, 1]) if varied else None
    return Grading(
        inputs=len(grades.places),
        rows=table.n,
        answers=len({(line["example"], line["text"]) for line in lines}),
        enough=table.graded_clusters >= ENOUGH,
        weight=clean(table.corrected.weight) or 0.0,
        same_level=clean(float(near.mean())) or 0.0,
        same_low=clean(ends[0]) if ends else None,
        same_high=clean(ends[1]) if ends else None,
        correlation=clean(both),
        worth=clean(_worth(table)),
        scores=tuple(_score(table, k) for k in range(len(table.arms))),
        look=grades.look,
    )


def _score(table: GradedTable, k: int) -> GradedScore:
    grades = table.grades
    low, high = table.interval(k) or (None, None)
    hand, same = float(grades.hand[k].mean()), float(grades.same[k].mean())
    return GradedScore(
        way=table.arms[k].way,
        judged=clean(float(grades.levels[k].mean())) or 0.0,
        graded=clean(hand) or 0.0,
        excess=clean(same - hand) or 0.0,
        score=clean(table.value(k)) or 0.0,
        low=clean(low),
        high=clean(high),
    )


def _worth(table: GradedTable) -> float | None:
    """Graded inputs that would be as sure about the differences without the judge; None with one way."""
    if len(table.arms) < 2 or table.graded_clusters < 2:
        return None
    alone = GradedTable(table.arms, table.grades, table.confidence, tune=False)
    pairs = list(combinations(range(len(table.arms)), 2))
    with_judge, without = (sum(t.row_variance(t.rows[j] - t.rows[i]) for i, j in pairs) for t in (table, alone))
    return len(table.grades.places) * without / with_judge
