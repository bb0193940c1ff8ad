"""A task and its components for work outside a contest: lint, the playground, the gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.request import RunRequest
from whichway.errors import UserError

if TYPE_CHECKING:
    from whichway.contest import Components, Settings
    from whichway.nouns import Task
    from whichway.tasks import Spec


def with_dev(task: Task) -> Task:
    """The task, if it has dev rows to score prompts on.

    Raises:
        UserError: it has none.
    """
    if not task.dev:
        raise UserError(f"{task.name} has no dev rows: with so few inputs all are test. Add some, or use whichway run.")
    return task


def components_of(spec: Spec, cache: Path | None = None) -> tuple[Task, Components, Settings]:
    """The task, its components, and settings with the given cache (default: that of `runs/`).

    Raises:
        UserError: the task or the model cannot be used.
    """
    from whichway.app.run import RUNS, prepare

    ready = prepare(spec, RunRequest(ways=("prompt_plain",), cache=cache or RUNS / ".cache"))
    return ready.task, ready.components, replace(ready.settings, ways={})
