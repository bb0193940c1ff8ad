"""Would the verdict change now? A run whose ways train on what users corrected, against the run that was served.

Feedback rows are trained on and never tested on: people correct what is wrong, so a test of corrected rows would count
against whatever was served. The test rows are those of the data, the same in both runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.errors import UserError
from whichway.nouns import Example, Task, digest

if TYPE_CHECKING:
    from whichway.runs.run import Run
    from whichway.ship.feedback.feedback_log import FeedbackLine


@dataclass(frozen=True, slots=True)
class FeedbackRows:
    """What a feedback file adds to a task.

    Attributes:
        path: the file.
        rows: to train on, the latest word on each input.
        corrected: how many of them have an answer of the user's own; the others were approved.
        left_out: how many lines give no row, by reason.
    """

    path: Path
    rows: tuple[Example, ...]
    corrected: int
    left_out: dict[str, int]

    @property
    def mark(self) -> str:
        """What tells this feedback from other feedback, in a folder's name."""
        return digest([example.id for example in self.rows], 6)

    @property
    def line(self) -> str:
        """What was taken up, for a reader."""
        others = "".join(f"; {count} left out: {reason}" for reason, count in sorted(self.left_out.items()))
        return (
            f"{len(self.rows)} rows of feedback are trained on as well ({self.corrected} corrected, "
            f"{len(self.rows) - self.corrected} approved){others}. They are not tested on: people correct what is "
            "wrong."
        )


def feedback_file(place: Path) -> Path:
    """The feedback file that a path names: itself, or that of a served run folder or of a server's own folder.

    Raises:
        UserError: there is none.
    """
    from whichway.ship.feedback.feedback_log import FILE

    files = (place, place / FILE, place / "serve" / FILE)
    for file in files:
        if file.is_file():
            return file
    raise UserError(
        f"{place}: there is no feedback. Name a file {FILE}, or the folder of a run that was served: clients send "
        "feedback to POST /v1/feedback."
    )


def read_rows(place: Path, task: Task) -> FeedbackRows:
    """The rows that feedback adds to a task.

    Args:
        place: a feedback file, or a folder that has one.
        task: with its rows; none of them is repeated.

    Raises:
        UserError: there is no feedback, or nothing of it can be trained on.
    """
    from whichway.ship.feedback.feedback_log import read_feedback

    path = feedback_file(place)
    known = {_key(example) for example in (*task.train, *task.dev, *task.test)}
    fields, left_out = set((*task.train, *task.dev, *task.test)[0].input), dict[str, int]()
    rows: dict[str, tuple[Example, bool]] = {}
    for number, line in enumerate(read_feedback(path), 1):
        reason = _unfit(line, task, fields)
        example = Example(dict(line.input), line.target or "", origin=f"{path.name}:{number}", turns=line.turns)
        reason = reason or ("its input is a row of the data already" if _key(example) in known else "")
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            rows[_key(example)] = (example, line.corrected)
    if not rows:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in left_out.items()) or "it is empty"
        raise UserError(f"{path}: nothing here can be trained on ({reasons}).")
    corrected = sum(own for _, own in rows.values())
    return FeedbackRows(path, tuple(example for example, _ in rows.values()), corrected, left_out)


def with_rows(task: Task, feedback: FeedbackRows) -> Task:
    """The task with feedback to train on, in its one split or in every fold."""
    if task.folds:
        return replace(task, extra_train=(*task.extra_train, *feedback.rows))
    return replace(task, train=(*task.train, *feedback.rows))


def change_lines(before: Run, now: Run, feedback: FeedbackRows, confidence: float) -> list[str]:
    """The answer: what was chosen, what would be now, and by how much that differs on the rows of both."""
    from whichway.app.compare import compare
    from whichway.verdict.explain.number_format import score_format

    first, second = before.verdict, now.verdict
    lines = [f"feedback: {feedback.line}"]
    if first.choice is None or second.choice is None:
        lines.append(f"Before: {first.headline} Now: {second.headline}")
        return lines
    result = compare(before, now, None, confidence)
    form = score_format(result.plain)
    interval = "" if result.low is None or result.high is None else (
        f" ({form.signed(result.low)} to {form.signed(result.high)})")  # fmt: skip
    gap = "" if result.difference is None else f", {form.signed(result.difference)}{form.unit}{interval}"
    word = "stay" if first.choice == second.choice else "change"
    lines.append(
        f"The verdict would {word}: {first.choice} {form.bare(result.first.score)} → {second.choice} "
        f"{form.bare(result.second.score)}{gap} on {result.shared} shared test rows; "
        f"{first.sureness} before, {second.sureness} now."
    )
    return lines


def _unfit(line: FeedbackLine, task: Task, fields: set[str]) -> str:
    if not line.input:
        return "the bare model was asked, without a row"
    if line.target is None:
        return "thumbs down without the right answer"
    if set(line.input) != fields:
        return "its fields are others than the data's"
    if task.labels and line.target not in task.labels:
        return "its answer is no label of the task"
    return ""


def _key(example: Example) -> str:
    """What makes two inputs one: case and spaces do not."""
    return " ".join(example.text.casefold().split())


def served_run(place: Path, usual: Path) -> Path | None:
    """The finished run that the feedback is about: that of the folder, else the usual one; None: there is none."""
    folders: Sequence[Path] = (place, place.parent, place.parent.parent, usual)
    return next((folder for folder in folders if (folder / "verdict.json").is_file()), None)
