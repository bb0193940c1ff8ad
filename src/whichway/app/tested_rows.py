"""What a contest on a task would test on, and which difference so many rows can show: told before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.folds import test_rows, tested
from whichway.errors import UserError

if TYPE_CHECKING:
    from whichway.nouns import Task
    from whichway.tasks import Examined

NOWHERE = Path("no-run-was-begun")
BUILT_IN = "embedded"  # the model that is on every machine


def for_contest(examined: Examined) -> Examined:
    """The same without the warnings about the single split, where a run would be cross-fitted and they do not hold."""
    from whichway.tasks.check import of_split

    if test_rows(examined.task) == len(examined.task.test):
        return examined
    single, findings = of_split(examined.task), examined.findings
    warnings = tuple(warning for warning in findings.warnings if warning not in single)
    return replace(examined, findings=replace(findings, warnings=warnings))


def tested_lines(task: Task) -> Iterator[str]:
    """The rows that a run would test on, and the smallest difference between ways that they show, as its plan says."""
    from whichway.app.run import can_show
    from whichway.contest.plan import smallest_gap
    from whichway.options import defaults
    from whichway.tasks import metrics
    from whichway.verdict.explain.number_format import score_format

    yield f"tested    {tested(task)}"
    metric, ways = metrics.load(task.metric), _ways(task)
    seeds = task.options.get("seeds", defaults()["seeds"])
    gap = smallest_gap(_cut(task), metric, ways, len(seeds))
    yield f"can show  {can_show(gap, ways, score_format(metric.plain))}"


def _cut(task: Task) -> Task:
    """The task in the folds of its run, where that has some."""
    from whichway.app.folds import folded

    with suppress(UserError):  # folds that cannot be are refused by the run
        return folded(task, NOWHERE)
    return task


def _ways(task: Task) -> int:
    """How many ways a run of the task tries, also where its model is not on this machine yet."""
    from whichway.app.advice_inputs import size
    from whichway.app.configure import FULL, SMALL, build, chosen_ways
    from whichway.app.request import RunRequest

    with suppress(UserError):
        return len(chosen_ways(task, RunRequest(), build(task, ())))
    other = replace(task, model=BUILT_IN, models=())
    names = set(chosen_ways(other, RunRequest(), build(other, ())))
    small = (size(task.model) or SMALL) < SMALL
    return len(names if small or FULL in task.ways else names - {FULL})
