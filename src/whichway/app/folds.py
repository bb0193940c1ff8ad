"""Whether a run is cross-fitted: what the user said, what the run was begun with, and what its rows allow."""

from __future__ import annotations

from pathlib import Path

from whichway.errors import DataError, OptionError
from whichway.nouns import Task
from whichway.options import AUTO
from whichway.verdict.folds import BELOW, FEWEST, USUAL


def folded(task: Task, folder: Path) -> Task:
    """The task with folds where its run is to be cross-fitted, else as it is.

    Args:
        task: with the options that were said.
        folder: of the run; one that was begun goes on as it was.

    Raises:
        OptionError: folds were asked for, and the task or another option of it cannot have them.
        DataError: the rows are too few for so many folds.
    """
    from whichway.runs.folder import plan_of
    from whichway.tasks.folds import cut

    asked_folds = task.options.get("folds", AUTO)
    if asked_folds == 1:
        return task
    reason = _reason(task)
    if asked_folds != AUTO:
        if reason:
            raise OptionError(f"--folds {asked_folds}: {reason}, or --folds 1.")
        return cut(task, asked_folds)
    begun = plan_of(folder)
    count = begun.get("folds", 1) if begun else USUAL
    if reason or count == 1 or not (begun or FEWEST <= _rows(task) < BELOW):
        return task
    try:
        return cut(task, count)
    except DataError:
        return task


def test_rows(task: Task) -> int:
    """How many rows a run of the task would test on: all of them where it is cross-fitted."""
    asked_folds = task.options.get("folds", AUTO)
    folds = asked_folds > 1 if asked_folds != AUTO else FEWEST <= _rows(task) < BELOW
    return _rows(task) if folds and not _reason(task) else len(task.test)


def tested(task: Task) -> str:
    """Which rows a run of the task would test on, for a reader."""
    rows, own = test_rows(task), len(task.test)
    if rows == own:
        return f"the {own} test rows of this split"
    count = task.options.get("folds", AUTO) or USUAL
    return f"all {rows} rows, each once, in {count} folds (whichway run --folds 1: the {own} test rows of this split)"


def _rows(task: Task) -> int:
    from whichway.tasks.folds import free_rows

    return len(free_rows(task))


def _reason(task: Task) -> str:
    """What speaks against folds, and what to do; "" where nothing does."""
    if task.reference_free:
        return "no row has a wanted answer, so nothing is fitted and every input is test already. Leave it out"
    if any(e.rejected is not None for e in task.train):
        return "preferences are compared on one split. Leave it out"
    if not task.foldable:
        return "the split is yours. Leave it out (split:, a split column, files for test), so that ours can be folds"
    if "seeds" in task.options:
        return "folds take the place of seeds. Leave out --seeds"
    if task.options.get("curve"):
        return (
            "learning curves fit every way again at each size and measure all of it on one test split; in folds that "
            "would be five times as long. Leave out --curve, or run it in a folder of its own"
        )
    if task.judge is not None:
        return "a judge compares answers of one finalist of each way. Leave out judge:"
    return ""
