"""What stands in a contest against the clock, what is running, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from whichway.events import PurchaseBegan, StandingsChanged
    from whichway.nouns import Standing, Verdict

MOST = 8  # ways that are shown
PIECES = {
    "way": "{way}",
    "search": "further settings of {way}",
    "seed": "another seed of {way}",
    "fold": "another fold",
}


class StandingsView:
    """Follows a contest against the clock.

    Args:
        now: seconds of a clock that only goes forward.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._verdict: Verdict | None = None
        self._running = ""
        self._end: float | None = None  # of the clock, by `now`
        self.plain = False  # whether scores are written as plain numbers, not in percent

    def begins(self, event: PurchaseBegan) -> str:
        """Take a new piece of work up; the line that a log gets."""
        self._time(event.seconds_left)
        piece = PIECES[event.what].format(way=event.way)
        self._running = f"{piece}, about {_clock(event.seconds)}"
        return f"{self.time_left}now {self._running}"

    def changes(self, event: StandingsChanged) -> str:
        """Take a new verdict up; the line that a log gets."""
        self._time(event.seconds_left)
        self._verdict, self._running = event.verdict, ""
        scores = [f"{s.way} {self._score(s)}" for s in self._shown()]
        return f"{self.time_left}{self._sureness()}: {'; '.join(scores) or 'no way has a score yet'}"

    @property
    def time_left(self) -> str:
        """The time left and a comma; nothing where there is no end."""
        return "" if self._end is None else f"{_clock(max(0.0, self._end - self._now()))} left, "

    @property
    def status(self) -> str:
        """What is running and the time that is left, in one line; "" before anything began."""
        running = f"now {self._running}" if self._running else ""
        return f"{self.time_left}{running}".removesuffix(", ")

    def table(self) -> Table | None:
        """The best ways so far with their intervals; None before anything stands."""
        from rich import box
        from rich.table import Table

        if self._verdict is None or not self._shown():
            return None
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(f"So far: {self._sureness()}")
        table.add_column(f"Test ({100 * self._verdict.confidence:g} %)")
        table.add_column("Rows", justify="right")
        table.add_column("Seeds or folds", justify="right")
        for line in self._shown():
            chosen = line.way == self._verdict.choice
            count = str(max(line.seeds, line.folds))
            cells = (("> " if chosen else "  ") + line.way, self._score(line), str(line.rows), count)
            table.add_row(*cells, style="bold" if chosen else "")
        return table

    def _time(self, left: float | None) -> None:
        self._end = None if left is None else self._now() + left

    def _shown(self) -> list[Standing]:
        standings = self._verdict.standings if self._verdict else ()
        return [line for line in standings if line.status == "ok" and line.score is not None][:MOST]

    def _sureness(self) -> str:
        assert self._verdict is not None
        return self._verdict.sureness or "one way so far"

    def _score(self, line: Standing) -> str:
        from whichway.report.formatting import ScoreText
        from whichway.verdict.explain.number_format import score_format

        scores = ScoreText(score_format(self.plain))
        score = scores.value(line.score)
        return score if line.low is None or line.high is None else f"{score} ({scores.span(line.low, line.high)})"


def _clock(seconds: float) -> str:
    """Minutes and seconds: "2:31"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
