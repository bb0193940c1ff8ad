"""The test rows of a finished run side by side, a page at a time, and what a reader says of their answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.run_chat import SERVED
from whichway.errors import OptionError, did_you_mean
from whichway.nouns import Example
from whichway.report.rows import RowView, side_by_side
from whichway.runs.run import Run
from whichway.ship.feedback.feedback_log import FeedbackLog
from whichway.ship.feedback.feedback_routes import FeedbackRoutes
from whichway.ship.parity.reference import example_of
from whichway.ship.protocol import Refused
from whichway.ship.served_models import ServedModel

if TYPE_CHECKING:
    from starlette.requests import Request as Call
    from starlette.responses import Response

AT_ONCE = 25  # rows of a page
FILTERS: Mapping[str, tuple[str, Callable[[RowView], bool]]] = {
    "all": ("all rows", lambda _: True),
    "wrong": ("the choice is wrong", lambda row: row.wrong),
    "differ": ("ways disagree", lambda row: row.differ),
    "none": ("no way is right", lambda row: row.all_wrong),
    "flips": ("seeds disagree", lambda row: row.flips),
    "doubtful": ("its label is doubtful", lambda row: bool(row.believed)),
}


@dataclass(frozen=True, slots=True)
class RowPage:
    """Some rows of a filtered list."""

    rows: tuple[RowView, ...]
    count: int  # of all that fit the filters
    number: int  # of this page, from 1
    pages: int


class RunRows:
    """The rows of a finished run, read once.

    Args:
        folder: of the run.

    Raises:
        UserError: the run is not finished.
    """

    def __init__(self, folder: Path) -> None:
        self._run = Run(folder)
        self.rows = side_by_side(self._run)
        self.labels = self._run.plan.labels
        self._log = FeedbackLog(folder / SERVED, str(folder))
        self._feedback = FeedbackRoutes(self._log)

    def page(self, show: str, find: str, number: int) -> RowPage:
        """The rows that fit.

        Args:
            show: a name of `FILTERS`.
            find: words in the text, the wanted answer or an answer; "": any.
            number: of the page, from 1; the last one where there are fewer.

        Raises:
            OptionError: there is no such filter.
        """
        if show not in FILTERS:
            raise OptionError(f"there is no filter '{show}'.{did_you_mean(show, FILTERS)}")
        fits, words = FILTERS[show][1], find.casefold()
        rows = [row for row in self.rows if fits(row) and (not words or _holds(row, words))]
        pages = max(1, -(-len(rows) // AT_ONCE))
        number = min(max(1, number), pages)
        return RowPage(tuple(rows[(number - 1) * AT_ONCE : number * AT_ONCE]), len(rows), number, pages)

    async def feedback(self, call: Call) -> Response:
        """Take up a thumb or a correction; `completion_id` is "row NUMBER WAY"."""
        from starlette.responses import JSONResponse

        try:
            name = str(json.loads(await call.body()).get("completion_id", ""))
            self._note(name)
            return await self._feedback.give(call)
        except Refused as refusal:
            return JSONResponse(refusal.body(), refusal.status)
        except (ValueError, AttributeError):
            return JSONResponse(Refused("the body is no JSON object").body(), 400)

    def _note(self, name: str) -> None:
        """Let feedback to an answer of the run come, as if it had just been served."""
        number, _, way = name.removeprefix("row ").partition(" ")
        view = next((row for row in self.rows if str(row.number) == number), None)
        answer = next((one for one in view.answers if one.way == way), None) if view else None
        if self._log.find(name) is not None or view is None or answer is None:
            return
        row = self._run.test[view.number - 1]
        standing = next(one for one in self._run.verdict.standings if one.way == way)
        records = self._run.answers(standing, row.id)
        record = next((one for one in records if one.text == answer.text), records[0] if records else None)
        if record is not None:
            candidate = self._run.candidates[record.candidate]
            served = ServedModel(candidate.weights, None, candidate, self.labels)
            self._log.note(name, way, served, self._example(row.id), [record.text])

    def _example(self, row: str) -> Example:
        return example_of(next(line for line in self._run.row_lines if line["id"] == row))


def _holds(row: RowView, words: str) -> bool:
    texts = (row.text, row.gold, row.origin, *(answer.text for answer in row.answers))
    return any(words in text.casefold() for text in texts)
