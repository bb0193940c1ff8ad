"""What a person sees while a contest runs and when it is over. Progress goes to standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from whichway.contracts import Listener
    from whichway.runs.run import Run

EVERY = 60.0  # seconds between lines on a training where there are no bars
WORDS = {"score": "dev", "ask": "calibrating", "test": "test"}


class Quiet(AbstractContextManager["Listener"]):
    """Follows nothing."""

    def __enter__(self) -> Listener:
        return lambda event, facts: None  # noqa: ARG005

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


class Screen(AbstractContextManager["Listener"]):
    """A bar with an ETA for each way on a terminal; plain lines elsewhere, such as in a log file."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False)
        self._bars: Progress = Progress(
            TextColumn("{task.fields[way]:<14}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[spent]:>6}"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._of: dict[str, TaskID] = {}
        self._told = time.monotonic()
        self._since: dict[str, float] = {}
        self._at: dict[str, str] = {}
        self._probed = False

    def __enter__(self) -> Listener:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they stand."""
        self._bars.stop()

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        """Show one event of the contest; events that are not known are passed over."""
        show: Callable[[Mapping[str, Any]], None] | None = getattr(self, f"_{event}", None)
        if show is not None and event in EVENTS:
            show(facts)

    def _plan(self, facts: Mapping[str, Any]) -> None:
        plan = facts["plan"]
        rows = ", ".join(f"{plan.rows[name]} {name}" for name in ("train", "dev", "test"))
        model = ", ".join(plan.models) or plan.model
        self._line(f"{plan.task}: {rows}; model {model}; {len(plan.ways)} ways; run folder {facts['folder']}")
        for warning in plan.warnings:
            self._line(f"warning: {warning}")

    def _probe(self, facts: Mapping[str, Any]) -> None:
        if not self._probed:
            self._probed = True
            self._line("Estimating what it will take, from a probe of this machine (--no-probe leaves it out)")

    def _way(self, facts: Mapping[str, Any]) -> None:
        way = facts["way"]
        if not self._console.is_terminal:
            self._line(f"[{facts['index'] + 1}/{facts['of']}] {way}")
        self._of[way] = self._bars.add_task("starting", total=None, way=way, spent="")
        self._since[way] = time.monotonic()

    def _say(self, facts: Mapping[str, Any]) -> None:
        self._line(f"  {facts['way']}: {facts['message']}")

    def _score(self, facts: Mapping[str, Any]) -> None:
        what = WORDS.get(facts["what"], facts["what"])
        self._move(facts["way"], what, f"{what} {facts['done']}/{facts['of']}", facts["done"], facts["of"])

    def _train(self, facts: Mapping[str, Any]) -> None:
        loss = "" if facts["loss"] is None else f", loss {facts['loss']:.3f}"
        way = facts["way"]
        bar = self._bars.tasks[self._of[way]] if self._at.get(way) == "training" else None
        done, of = (bar.completed, bar.total) if bar else (0.0, None)  # steps tell how far it is, where they are told
        self._move(way, "training", f"training, epoch {facts['epoch']:.1f}{loss}", done, of)

    def _step(self, facts: Mapping[str, Any]) -> None:
        minutes, seconds = divmod(int(facts["seconds_left"]), 60)
        rate, left = f"{facts['tokens_per_second']:,.0f} tokens/s", f"{minutes}:{seconds:02d} left"
        told = f"training, step {facts['step']}/{facts['steps']}, loss {facts['loss']:.3f}, {rate}, {left}"
        self._move(facts["way"], "training", told, facts["step"], facts["steps"])
        now = time.monotonic()
        if not self._console.is_terminal and now - self._told >= EVERY:  # a log file: a line a minute
            self._told = now
            self._line(f"  {facts['way']}: {told}")

    def _candidate(self, facts: Mapping[str, Any]) -> None:
        note = f" ({facts['note']})" if facts["note"] else ""
        rows = "" if facts["rows"] == facts["of"] else f" on {facts['rows']} rows"
        dev = f"dev {facts['dev']:.3f}{rows}" if facts["rows"] else "a candidate"
        self._line(f"  {facts['way']}: {dev}{note}, seed {facts['seed']}")

    def _halved(self, facts: Mapping[str, Any]) -> None:
        cost = f"{facts['runs']:.3g} whole runs instead of {facts['full_runs']}"
        self._line(f"  {facts['way']}: {facts['trials']} rates thinned out to one, {cost}")

    def _race(self, facts: Mapping[str, Any]) -> None:
        on = f"{facts['going']} of {facts['entries']} candidates go on" if facts["going"] else "settled"
        self._line(f"race: after {facts['rows']} of {facts['of']} dev rows, {on}")

    def _raced(self, facts: Mapping[str, Any]) -> None:
        done, full = facts["evaluations"], facts["full_evaluations"]
        if done < full:
            self._line(f"race: {done} row evaluations instead of {full}, {1 - done / full:.0%} saved")

    def _curve(self, facts: Mapping[str, Any]) -> None:
        self._move(facts["way"], "curve", f"curve, {facts['n']} rows, seed {facts['seed']}", 0, None)

    def _failed(self, facts: Mapping[str, Any]) -> None:
        self._line(f"  {facts['way']}: failed: {facts['reason']}")
        self._move(facts["way"], "end", "failed", 1, 1)

    def _test(self, facts: Mapping[str, Any]) -> None:
        if facts["finalists"]:
            self._move(facts["way"], "end", f"done, {facts['finalists']} on test", 1, 1)

    def _warning(self, facts: Mapping[str, Any]) -> None:
        self._line(f"warning: {facts.get('message', facts)}")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def _move(self, way: str, what: str, text: str, done: float, of: float | None) -> None:
        """Move a way's bar; each activity (`what`) has its own, so that its ETA is not the last one's."""
        if way not in self._of:
            return
        if what != self._at.get(way) or done < self._bars.tasks[self._of[way]].completed:
            self._at[way] = what
            self._bars.reset(self._of[way], total=of, completed=0)
        minutes, seconds = divmod(int(time.monotonic() - self._since[way]), 60)
        self._bars.update(
            self._of[way], description=text, completed=done, total=of, spent=f"{minutes}:{seconds:02d}"
        )  # fmt: skip


EVENTS = (
    *("plan", "way", "say", "score", "train", "halved", "candidate", "race", "raced", "failed", "test", "curve"),
    *("warning", "probe", "step"),
)


def follow(bars: bool) -> AbstractContextManager[Listener]:
    """A listener that shows progress, or one that does not."""
    return Screen() if bars else Quiet()


def show(run: Run) -> None:
    """The verdict of a finished run on the terminal."""
    from rich.console import Console

    from whichway.report import terminal

    terminal.show(run, Console(highlight=False))
