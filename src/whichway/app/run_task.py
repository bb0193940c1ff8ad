"""The task of a run that was held before: what was said about it lies in the run folder, its rows where they were."""

from __future__ import annotations

import os
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.errors import UserError

if TYPE_CHECKING:
    from whichway.runs.run import Run
    from whichway.tasks import Spec

_LEFT_OUT = {"prompt", "ways", "minutes", "executor", "track"}  # prompts are in the plan, the others of the run


def spec_file(spec: Spec, folder: Path) -> dict[str, Any]:
    """What the run folder keeps of a spec: its keys, and the folder that their paths are relative to.

    Args:
        spec: with paths as they can be opened from the working folder.
        folder: of the run; the working folder is written as it is seen from there, so that both can be moved together.
    """
    try:
        place = os.path.relpath(Path.cwd(), folder.absolute())
    except ValueError:  # two drives of Windows
        place = str(Path.cwd())
    return {"folder": place, "keys": spec.model_dump(mode="json", exclude_unset=True, exclude=_LEFT_OUT)}


def spec_of_run(run: Run) -> Spec:
    """What was said about a run's task, with paths as they can be opened from here, and the user's own prompts.

    Raises:
        UserError: the run folder does not hold it.
    """
    from whichway.tasks.spec import Spec, rebased

    facts = run.spec_data
    if facts is None:
        raise UserError(
            f"{run.path} does not say where its rows lie: they were in memory, or an older version made it. "
            "`whichway try` opens a playground on a task."
        )
    spec: Spec = rebased(Spec.model_validate(facts["keys"]), run.path.absolute() / facts["folder"])
    with_own: Spec = spec.model_copy(update={"prompt": run.plan.prompts})
    return with_own


def missing_rows(run: Run, ids: Set[str]) -> int:
    """How many of a run's dev and test rows are not among these: the data were changed since then."""
    return sum(row.id not in ids for row in run.rows)
