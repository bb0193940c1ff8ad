"""Ask on a terminal before a model is fetched, and show how far it is; everything goes to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

from whichway.errors import ModelMissing

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from whichway.models.fetch import Progress
    from whichway.models.shelf import ShelfEntry

T = TypeVar("T")
STEPS = {"download": "downloading", "unpack": "checking its digest", "convert": "converting, once"}


class Terminal(AbstractContextManager["Terminal"]):
    """Questions, bars on a terminal, and plain lines elsewhere.

    Args:
        yes: every question is answered with yes, but for terms that want to be accepted by name.
    """

    def __init__(self, yes: bool = False) -> None:
        self.yes = yes
        self.asks = sys.stdin.isatty() and sys.stderr.isatty()
        self._bars: Bars | None = None
        self._bar: TaskID | None = None
        self._last = ("", "", "")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they stand."""
        if self._bars is not None:
            if self._bar is not None and error is None:
                self._bars.update(self._bar, total=1, completed=1)
            self._bars.stop()

    def confirm(self, entries: Sequence[ShelfEntry]) -> bool | None:
        """Say what would be fetched; ask where that was not answered by --yes."""
        if not (self.yes or self.asks):
            return None
        for entry in entries:
            self.say(f"{entry.name} is not on this machine yet: {entry.what}; {entry.fetch_mb:.0f} MB, {entry.licence}")
        if self.yes:
            return True
        return self._read("Fetch it now? [Y/n] " if len(entries) == 1 else "Fetch them now? [Y/n] ") in ("", "y", "yes")

    def accept(self, entry: ShelfEntry) -> bool | None:
        """Ask for the name of a model's terms."""
        if not self.asks:
            return None
        self.say(f"{entry.name} is under the {entry.licence}: {entry.terms_url}")
        return self._read(f"If you have read and accept them, type their name, {entry.terms}: ") == entry.terms

    def watch(self, progress: Progress) -> None:
        """Draw a bar, or say each step once."""
        if progress.step == "wait":
            self.say(f"Another process is fetching {progress.model}; waiting for it")
            return
        now = (progress.model, progress.step, progress.source)
        begins, self._last = now != self._last, now
        if not sys.stderr.isatty():
            if begins:
                size = f", {progress.of / 1e6:.0f} MB" if progress.of else ""
                from_ = f" from {progress.source}{size}" if progress.step == "download" else ""
                self.say(f"{progress.model}: {STEPS[progress.step]}{from_}")
            return
        self._draw(progress, begins)

    def say(self, message: str) -> None:
        """Print one line."""
        print(message, file=sys.stderr, flush=True)

    def _draw(self, progress: Progress, begins: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        if self._bars is None:
            text, size = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[size]}")
            self._bars = Bars(text, BarColumn(bar_width=24), size, console=Console(stderr=True, highlight=False))
            self._bars.start()
        if begins:
            if self._bar is not None:  # the step before is done, whatever its size was said to be
                self._bars.update(self._bar, total=1, completed=1)
            self._bar = self._bars.add_task(f"{progress.model}: {STEPS[progress.step]}", total=None, size="")
        assert self._bar is not None  # the first progress begins
        size_ = f"{progress.done / 1e6:.0f} of {progress.of / 1e6:.0f} MB" if progress.of else ""
        self._bars.update(self._bar, total=progress.of or None, completed=progress.done, size=size_)

    def _read(self, question: str) -> str:
        print(question, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        return line.strip().lower() if line else "n"  # the input ended: nobody said yes


def with_models(action: Callable[[], T], yes: bool) -> T:
    """What an action gives; a model of the shelf that it lacks is fetched, after asking, and it begins again.

    Args:
        action: reads the task and opens its models; must be safe to call twice.
        yes: do not ask.

    Raises:
        ModelError: nobody can be asked, or the answer was no; names the command that fetches.
    """
    from whichway.app import models

    while True:
        try:
            return action()
        except ModelMissing as error:
            with Terminal(yes) as terminal:
                models.ensure([error.name], terminal)
