"""What a run with feedback says about the run that was served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whichway.app.run import Ready
    from whichway.runs.run import Run


def feedback_verdict(place: Path, ready: Ready, now: Run) -> list[str]:
    """Whether the verdict would change, in lines for a reader.

    Args:
        place: where the feedback came from.
        ready: the run with feedback.
        now: the same, finished.
    """
    from whichway.app.feedback import change_lines, served_run
    from whichway.app.request import RunRequest
    from whichway.app.run import usual_folder
    from whichway.runs.run import Run

    feedback = ready.feedback
    assert feedback is not None
    before = served_run(place, usual_folder(ready.task, RunRequest()))
    if before is None:
        return [f"feedback: {feedback.line}", "There is no finished run without it, so nothing to compare with."]
    return change_lines(Run(before), now, feedback, now.plan.confidence)
