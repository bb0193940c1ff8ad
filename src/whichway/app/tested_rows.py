"""What a contest on a task would test on, and which difference so many rows can show: told before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from whichway.app.folds import test_rows, tested

if TYPE_CHECKING:
    from whichway.nouns import Task
    from whichway.tasks import Examined


def for_contest(examined: Examined) -> Examined:
    """The same without the warnings about the single split, where a run would be cross-fitted and they do not hold."""
    from whichway.tasks.check import of_split

    if test_rows(examined.task) == len(examined.task.test):
        return examined
    single, findings = of_split(examined.task), examined.findings
    warnings = tuple(warning for warning in findings.warnings if warning not in single)
    return replace(examined, findings=replace(findings, warnings=warnings))


def tested_lines(task: Task) -> Iterator[str]:
    """The rows that a run would test on, and the smallest difference between ways that they can show."""
    from whichway.app.advice_inputs import situation
    from whichway.report.advice import gaps
    from whichway.verdict.advice import advise

    yield f"tested    {tested(task)}"
    advice = advise(situation(task))
    if advice.smallest_gap is not None and advice.detectable is not None:
        yield f"can show  {gaps(advice.smallest_gap, advice.detectable)}"
