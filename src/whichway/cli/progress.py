"""What a person sees while a contest runs and when it is over. Progress goes to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from whichway.cli.standings import StandingsView

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from rich.console import Console, Group
    from rich.progress import Progress, TaskID

    from whichway.contracts import Listener
    from whichway.events import (
        CandidateEntered,
        CellEnded,
        CheckpointSaved,
        CurvePointBegan,
        Event,
        PlanFixed,
        ProbeBegan,
        PurchaseBegan,
        RaceEnded,
        RaceLooked,
        RatesHalved,
        RowsAnswered,
        StandingsChanged,
        TrainingBegan,
        TrainingStep,
        WarningGiven,
        WayBegan,
        WayRefused,
        WaySaid,
        WayTested,
    )
    from whichway.runs.run import Run

WIDE = 104  # columns from which bars are long
BELOW = 2  # lines that stand below the verdict: what this start paid, and the shell's own
EVERY = 60.0  # seconds between lines on a training where there are no bars
WORDS = {"score": "dev", "ask": "calibrating", "test": "test"}


class WarningsOnly(AbstractContextManager["Listener"]):
    """A listener that shows warnings alone, a line each: whoever wants no bars still wants to know of a fault."""

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def __call__(self, event: Event) -> None:
        """Show the warnings of a plan, and each that comes later."""
        from whichway.events import PlanFixed, WarningGiven

        messages: tuple[str, ...] = ()
        if isinstance(event, PlanFixed):
            messages = event.plan.warnings
        elif isinstance(event, WarningGiven):
            messages = (event.message,)
        for message in messages:
            print(f"warning: {message}", file=sys.stderr)


class ProgressScreen(AbstractContextManager["Listener"]):
    """A bar with an ETA for each way on a terminal; plain lines elsewhere, such as in a log file.

    Args:
        plain: plain lines on a terminal as well.
    """

    def __init__(self, plain: bool = False) -> None:
        from rich.live import Live

        self._console = console_of(plain, stderr=True)
        self._bars = bars_on(self._console)
        self._standings = StandingsView()
        self._screen = Live(console=self._console, get_renderable=self._shown, refresh_per_second=4)
        self._of: dict[str, TaskID] = {}
        self._last_line_at = time.monotonic()
        self._since: dict[str, float] = {}
        self._at: dict[str, str] = {}
        self._probed = False
        self._folded = False
        self._length: dict[str, tuple[float, int]] = {}  # way -> epochs and steps of its training

    def __enter__(self) -> Listener:
        if self._console.is_terminal:
            self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they stand."""
        self._screen.stop()

    def _shown(self) -> Group:
        """Standings, what is running and the time left of a contest against the clock; then a bar for each way."""
        from rich.console import Group
        from rich.text import Text

        parts: list[Any] = [self._standings.table(), self._standings.status and Text(self._standings.status)]
        return Group(*(part for part in parts if part), self._bars)

    def __call__(self, event: Event) -> None:
        """Show one event of the contest; those that nobody needs to see are passed over."""
        show: Callable[[Any], None] | None = getattr(self, f"_{event.name}", None)
        if show is not None:
            show(event)

    def _plan(self, event: PlanFixed) -> None:
        plan = event.plan
        self._folded = plan.folds > 1
        self._standings.plain = plan.metric_plain
        rows = ", ".join(f"{plan.rows[name]} {name}" for name in ("train", "dev", "test"))
        model = ", ".join(plan.models) or plan.model
        self._line(f"{plan.task}: {rows}; model {model}; {len(plan.ways)} ways; run folder {event.folder}")
        for warning in plan.warnings:
            self._line(f"warning: {warning}")

    def _probe(self, event: ProbeBegan) -> None:
        if not self._probed:
            self._probed = True
            self._line("Estimating what it will take, from a probe of this machine (--no-probe leaves it out)")

    def _way(self, event: WayBegan) -> None:
        way = event.way
        if not self._console.is_terminal:
            self._line(f"[{event.index + 1}/{event.of}] {way}")
        if way in self._of:  # begun anew for the next fold
            # fields that are given take the place of all others
            self._bars.reset(self._of[way], total=None, description="starting", way=way, spent="")
            self._since[way] = time.monotonic()
            return
        self._of[way] = self._bars.add_task("starting", total=None, way=way, spent="")
        self._since[way] = time.monotonic()

    def _purchase(self, event: PurchaseBegan) -> None:
        line = self._standings.begins(event)
        if event.way and event.way not in self._of:
            self._of[event.way] = self._bars.add_task("starting", total=None, way=event.way, spent="")
            self._since[event.way] = time.monotonic()
        if not self._console.is_terminal:
            self._line(line)

    def _standings_changed(self, event: StandingsChanged) -> None:
        line = self._standings.changes(event)
        if not self._console.is_terminal:
            self._line(line)

    def _say(self, event: WaySaid) -> None:
        self._line(f"  {event.way}: {event.message}")

    def _score(self, event: RowsAnswered) -> None:
        what = WORDS.get(event.what, event.what)
        self._move(event.way, what, f"{what} {event.done}/{event.of}", event.done, event.of)

    def _training(self, event: TrainingBegan) -> None:
        self._length[event.way] = (event.epochs, event.steps)
        text = f"training, {event.steps} steps, {event.epochs:.3g} epochs"
        self._move(event.way, "training", text, 0, event.steps)

    def _train(self, event: CheckpointSaved) -> None:
        loss = "" if event.loss is None else f", loss {event.loss:.3f}"
        way = event.way
        epochs, steps = self._length.get(way, (0.0, 0))
        done = steps * event.epoch / epochs if epochs else 0.0
        self._move(way, "training", f"training, epoch {event.epoch:.1f}{loss}", done, steps or None)

    def _step(self, event: TrainingStep) -> None:
        minutes, seconds = divmod(int(event.seconds_left), 60)
        rate, left = f"{event.tokens_per_second:,.0f} tokens/s", f"{minutes}:{seconds:02d} left"
        text = f"training, step {event.step}/{event.steps}, loss {event.loss:.3f}, {rate}, {left}"
        self._move(event.way, "training", text, event.step, event.steps)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last_line_at >= EVERY:  # a log file: a line a minute
            self._last_line_at = now
            self._line(f"  {event.way}: {text}")

    def _candidate(self, event: CandidateEntered) -> None:
        note = f" ({event.note})" if event.note else ""
        rows = "" if event.rows == event.of else f" on {event.rows} rows"
        dev = f"dev {event.dev:.3f}{rows}" if event.rows else "a candidate"
        where = f"fold {event.seed + 1}" if self._folded else f"seed {event.seed}"  # folds take the place of seeds
        self._line(f"  {event.way}: {dev}{note}, {where}")

    def _halved(self, event: RatesHalved) -> None:
        cost = f"{event.runs:.3g} whole runs instead of {event.full_runs}"
        self._line(f"  {event.way}: one of {event.trials} rates chosen by successive halving, {cost}")

    def _race(self, event: RaceLooked) -> None:
        on = f"{event.going} of {event.entries} candidates go on" if event.going else "settled"
        self._line(f"race: after {event.rows} of {event.of} dev rows, {on}")

    def _raced(self, event: RaceEnded) -> None:
        done, full = event.race["evaluations"], event.race["full_evaluations"]
        if done < full:
            self._line(f"race: {done} row evaluations instead of {full}, {1 - done / full:.0%} saved")

    def _cell(self, event: CellEnded) -> None:
        self._line(f"[{event.count}/{event.of}] {event.title}: {'done' if event.done else 'failed'}")

    def _curve(self, event: CurvePointBegan) -> None:
        self._move(event.way, "curve", f"curve, {event.n} rows, seed {event.seed}", 0, None)

    def _failed(self, event: WayRefused) -> None:
        self._line(f"  {event.way}: failed: {event.reason}")
        self._move(event.way, "end", "failed", 1, 1)

    def _test(self, event: WayTested) -> None:
        if event.finalists:
            self._move(event.way, "end", f"done, {event.finalists} on test", 1, 1)

    def _warning(self, event: WarningGiven) -> None:
        self._line(f"warning: {event.message}")

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


def console_of(plain: bool, stderr: bool = False) -> Console:
    """A console; a plain one takes a terminal for a file: no colours, no escapes, nothing that moves."""
    from rich.console import Console

    terminal = False if plain else None  # None: looked at
    return Console(stderr=stderr, highlight=False, force_terminal=terminal, no_color=True if plain else None)


def bars_on(console: Console) -> Progress:
    """A line for each way: bar, share, time spent and left, and what it is at, which gives way where room is short."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    return Progress(
        TextColumn("{task.fields[way]:<14}"),
        BarColumn(bar_width=24 if console.width >= WIDE else 10),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[spent]:>6}"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        console=console,
        expand=True,
    )


def follow(bars: bool, plain: bool = False) -> AbstractContextManager[Listener]:
    """A listener that shows progress, or warnings alone."""
    return ProgressScreen(plain) if bars else WarningsOnly()


def show(run: Run, page: Path | None = None, plain: bool = False, fit: bool = False) -> None:
    """The verdict of a finished run on the terminal.

    Args:
        run: a finished run.
        page: where its report was written; None: in its folder.
        plain: no colours, frames or rules.
        fit: on a terminal, only what its height shows, and how to see the rest.
    """
    from whichway.report import terminal

    console = console_of(plain)
    least = console.height - BELOW if fit and console.is_terminal else None
    terminal.show(run, console, page=page, layout=terminal.TerminalLayout(plain, least))
