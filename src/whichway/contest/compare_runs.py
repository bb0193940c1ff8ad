"""Two runs against each other: paired on the test rows that both have, as independent samples on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from whichway.errors import UserError, did_you_mean
from whichway.nouns import LATE
from whichway.runs.results import RunResults
from whichway.verdict import stats
from whichway.verdict.compare import Arm, Table
from whichway.verdict.explain.number_format import clean
from whichway.verdict.folds import folds_on


@dataclass(frozen=True, slots=True)
class WayResult:
    """The result of one way of one run."""

    run: str
    way: str
    rows: int
    score: float
    low: float | None
    high: float | None
    usd_per_1000: float


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two ways of two runs; the difference is second minus first."""

    first: WayResult
    second: WayResult
    metric: str
    shared: int  # test rows of the same content in both
    paired: bool  # the difference is over the shared rows
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    wins: int
    losses: int
    unlike: tuple[str, ...]  # what else differs between the plans
    plain: bool = field(default=False, metadata=LATE)  # scores of the metric are plain numbers, not read in percent


WATCHED = ("ask", "metric", "model", "revision", "models", "labels", "price_per_hour")


def compare_ways(
    first: RunResults, second: RunResults, one: str, two: str, confidence: float, folders: tuple[Path, Path]
) -> RunComparison:
    """Compare way `one` of the first run with way `two` of the second.

    Raises:
        UserError: a run has no result of the way, or the metrics differ.
    """
    a, b = competing_arm(first, one, folders[0]), competing_arm(second, two, folders[1])
    if first.plan["metric"] != second.plan["metric"]:
        names = [plan["metric"]["name"] for plan in (first.plan, second.plan)]
        raise UserError(f"the runs were judged by other metrics, {names[0]} and {names[1]}: nothing can be compared.")
    place = {key: i for i, key in enumerate(second.extras.rows.ids)}
    rows = [(i, place[key]) for i, key in enumerate(first.extras.rows.ids) if key in place]
    paired = len(rows) >= 2
    result = paired_difference(a, b, rows, confidence) if paired else independent_difference(a, b, confidence)
    differ = tuple(key for key in WATCHED if first.plan.get(key) != second.plan.get(key))
    return RunComparison(
        first=way_result(a, confidence, folders[0]),
        second=way_result(b, confidence, folders[1]),
        metric=str(first.plan["metric"]["name"]),
        shared=len(rows),
        paired=paired,
        difference=clean(result[0]),
        low=clean(result[1]),
        high=clean(result[2]),
        p=clean(result[3]),
        wins=result[4],
        losses=result[5],
        unlike=differ,
        plain=a.plain,
    )


def competing_arm(run: RunResults, way: str, folder: Path) -> Arm:
    """The arm of a way that competed.

    Raises:
        UserError: it did not.
    """
    arms = {arm.way: arm for arm in run.arms if arm.competes}
    if way not in arms:
        raise UserError(f"{folder} has no result of '{way}'.{did_you_mean(way, arms)}")
    return arms[way]


Difference = tuple[float, float | None, float | None, float | None, int, int]


def paired_difference(a: Arm, b: Arm, rows: Sequence[tuple[int, int]], confidence: float) -> Difference:
    """The paired difference on shared rows."""
    places = np.array(rows)
    one, two = cut(a, places[:, 0]), cut(b, places[:, 1])
    folds = two.folds if one.folds is None else one.folds  # of two cross-fits, the first one's
    one, two = replace(one, folds=folds), replace(two, groups=one.groups, folds=folds)
    c = Table([one, two], confidence).compare(0, 1)
    return c.value, c.low, c.high, c.p, c.wins, c.losses


def cut(arm: Arm, rows: np.ndarray) -> Arm:
    """An arm on some of its rows."""
    groups = arm.groups and tuple(arm.groups[i] for i in rows)
    targets = None if arm.targets is None else arm.targets[..., rows]
    answers = None if arm.answers is None else arm.answers[:, rows]
    folds = folds_on(arm.folds, rows)
    return replace(arm, scores=arm.scores[:, rows], groups=groups, targets=targets, answers=answers, folds=folds)


def independent_difference(a: Arm, b: Arm, confidence: float) -> Difference:
    """The difference of independent samples: Newcombe's interval at each arm's effective number of rows."""
    one, two = Table([a], confidence), Table([b], confidence)
    value = two.value(0) - one.value(0)
    if one.clusters < 2 or two.clusters < 2:
        return value, None, None, None, 0, 0
    if one.pooled or not (one.binary[0] and two.binary[0]):
        parts = [t.error(t.row_variance(t.draws[0] if t.pooled else t.rows[0]), 0) for t in (one, two)]
        se, df = stats.satterthwaite([(se**2, df) for se, df in parts])
        estimate = stats.estimate(value, se, df, confidence)
        most = 1 - one.lowest
        return value, max(-most, estimate.low), min(most, estimate.high), stats.t_test(value, se, df), 0, 0
    n_one, n_two = one.effective(0), two.effective(0)
    ends = stats.newcombe(one.value(0) * n_one, n_one, two.value(0) * n_two, n_two, confidence)
    return (value, None, None, None, 0, 0) if ends is None else (value, ends[0], ends[1], None, 0, 0)


def way_result(arm: Arm, confidence: float, folder: Path) -> WayResult:
    """The result of one arm."""
    table = Table([arm], confidence)
    ends = table.interval(0)
    return WayResult(
        run=str(folder),
        way=arm.way,
        rows=table.n,
        score=clean(table.value(0)) or 0.0,
        low=clean(ends[0]) if ends else None,
        high=clean(ends[1]) if ends else None,
        usd_per_1000=arm.usd_per_1000,
    )
