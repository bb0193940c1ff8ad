"""The verdict in a terminal: a table of ways, and a panel that says what to do and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from whichway.nouns import Standing, Verdict
from whichway.report import estimates, formatting
from whichway.report.formatting import ScoreText
from whichway.runs.run import Run, as_run

WIDE = 104  # columns from which notes have a place of their own
LOW = 20  # lines below which what was paid is left out
SPARE = ("Per row", "To make", "Kind", "Dev", "Per 1000")  # columns that a narrow terminal does without, in this order
STYLES = {"prompt": "blue", "fine-tune": "dark_orange", "both": "magenta", "baseline": "bright_black"}


@dataclass(frozen=True, slots=True)
class TerminalLayout:
    """How the verdict stands on a terminal.

    Attributes:
        plain: without frames and rules, for screen readers and logs.
        lines: so many at most, the best reasons first; None: everything.
    """

    plain: bool = False
    lines: int | None = None


def show(
    run: Run | Path,
    console: Console,
    verdict: Verdict | None = None,
    page: Path | None = None,
    layout: TerminalLayout | None = None,
) -> None:
    """Print the table of ways and the verdict of a finished run.

    Args:
        run: the run, or its folder.
        console: where to; colour is decoration only.
        verdict: another verdict on the run than the one it holds.
        page: where its report was written; None: in its folder.
        layout: frames or none, and how many lines; None: frames, and everything.

    Raises:
        UserError: the folder holds no finished run.
    """
    run, layout = as_run(run), layout or TerminalLayout()
    if verdict is not None:
        run = run.with_verdict(verdict)
    table = _table(run, console.width, layout.plain)
    parts: list[RenderableType] = [Text(), table, Text(), _panel(run.verdict, layout.plain)]
    end = _end(run)
    if layout.lines is not None and _height(console, [*parts, *end]) >= layout.lines:
        end = [*end[-1:]] if layout.lines < LOW else end
        parts = _fitted(run, console, table, layout.lines - 1 - _height(console, end))
    for part in (*parts, *end):
        console.print(part)
    report = page or run.path / "report.html"
    # A path is no prose: no wrapping, so that it can be clicked and copied.
    place = f"Report: {report}" if report.exists() else f"Run: {run.path}"
    console.print(Text(place), soft_wrap=True)


def _end(run: Run) -> list[RenderableType]:
    """What was estimated and paid."""
    usd, seconds = run.paid
    lines = []
    if run.estimate is not None:
        rows = estimates.lines_of(run.estimate, run.wall_seconds)
        lines.append(estimates.after(rows, not run.clock.get("missing")))
    total = f"Paid {formatting.usd(usd)} and {formatting.seconds(seconds)} of computing for this run"
    return [Text(line, style="dim") for line in (*lines, f"{total}, all starts together.")]


def _height(console: Console, parts: Sequence[RenderableType]) -> int:
    return sum(len(console.render_lines(part, pad=False)) for part in parts)


def _fitted(run: Run, console: Console, table: Table, lines: int) -> list[RenderableType]:
    """Ways, the verdict's headline, then as many of its sentences as there is room for, in so many lines."""
    verdict = run.verdict
    heading = Text(f"{formatting.title(verdict)} ", style="bold").append(Text(formatting.headline(verdict), "not bold"))
    more = Text(f"All reasons, and what would change it: whichway verdict {run.path}", style="dim")
    room = lines - _height(console, [heading, more]) - 2  # blank lines above and below the table
    hidden = _height(console, [table]) - room
    if hidden > 0:
        table = _table(run, console.width, table.box is None, max(2, len(verdict.standings) - hidden - 1))
    parts: list[RenderableType] = [Text(), table, Text(), heading]
    room = lines - _height(console, parts) - _height(console, [more])
    for sentence in (*verdict.reasons[1:], *verdict.dissent, *verdict.would_decide):  # the first is the headline's
        line = Text(f"- {sentence}")
        room -= _height(console, [line])
        if room < 0:
            break
        parts.append(line)
    return [*parts, more]


def _table(run: Run, width: int, plain: bool = False, most: int | None = None) -> Table:
    """The ways; at most so many, the choice among them, and then how many more there are."""
    gap = 2 if width >= WIDE else 1
    table = Table(box=None if plain else box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0))
    score = f"{formatting.score(run.plan, run.verdict)} ({100 * run.verdict.confidence:g} %)"
    titles = ("Way", "Kind", score, "Dev", "To make", "Per row", "Per 1000", "Note")
    lines, scores = run.verdict.standings, formatting.scores(run.plan, run.verdict)
    rows = [dict(zip(titles, _cells(s, s.way == run.verdict.choice, scores), strict=True)) for s in lines]
    shown = _shown(titles, rows, width, gap)
    for title in shown:
        right, fold = title in ("Dev", "To make", "Per row", "Per 1000"), title in ("Way", score, "Note")
        table.add_column(title, justify="right" if right else "left", no_wrap=not fold, overflow="fold")
    few = list(zip(lines, rows, strict=True))[:most]
    if most is not None and all(standing.way != run.verdict.choice for standing, _ in few):
        few[-1:] = [pair for pair in zip(lines, rows, strict=True) if pair[0].way == run.verdict.choice] or few[-1:]
    for standing, cells in few:
        chosen = standing.way == run.verdict.choice
        style = "bold" if chosen else "dim" if standing.status == "failed" else ""
        table.add_row(*(cells[title] for title in shown), style=style)
    if most is not None and most < len(lines):
        table.add_row(Text(f"  and {len(lines) - most} more"), style="dim")
    return table


def _shown(titles: Sequence[str], rows: Sequence[Mapping[str, Text]], width: int, gap: int) -> list[str]:
    """The columns that fit; the note has room of its own on a wide terminal, and folds."""
    shown = [title for title in titles if title != "Note" or width >= WIDE]
    for spare in SPARE:
        fixed = [title for title in shown if title != "Note"]
        wide = [max(len(title), *(len(row[title]) for row in rows), 0) for title in fixed]
        if sum(wide) + (gap + 1) * len(wide) - 1 <= width:
            break
        shown.remove(spare)
    return shown


def _cells(s: Standing, chosen: bool, scores: ScoreText) -> list[Text]:
    return [
        Text(("> " if chosen else "  ") + s.way),
        Text(s.kind, style=STYLES[s.kind]),
        Text("failed" if s.score is None else _score(s, scores)),
        Text(scores.value(s.dev_score)),
        Text(formatting.seconds(s.seconds_fit)),
        Text(formatting.NOTHING if s.score is None else formatting.seconds(s.seconds_per_row)),
        Text(formatting.NOTHING if s.score is None else formatting.usd(s.usd_per_1000)),
        Text(_note(s, scores)),
    ]


def _score(s: Standing, scores: ScoreText) -> str:
    score = f"{scores.value(s.score):>5}"
    if s.low is None or s.high is None:
        return score
    return f"{score}  {scores.span(s.low, s.high)}"


def _note(s: Standing, scores: ScoreText) -> str:
    parts = [
        f"failed: {s.reason}" if s.status == "failed" else s.note,
        f"{formatting.share(s.unparsed)} unparsed" if s.unparsed else "",
        f"seeds ±{scores.value(s.seed_sd)}" if s.seed_sd is not None and s.score is not None else "",
        f"folds ±{scores.value(s.fold_sd)}" if s.fold_sd is not None and s.score is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _panel(verdict: Verdict, plain: bool) -> Panel | Group:
    parts = [Text(formatting.headline(verdict)), *_list("Why", verdict.reasons)]
    parts += _list("Variety or sameness", formatting.diversity_advice(verdict))
    parts += _list("On the other hand", verdict.dissent)
    title = "What would decide it" if verdict.answer == "undecided" else "What would change it"
    parts += _list(title, verdict.would_decide)
    parts += _list("Keep in mind", verdict.warnings)
    heading = Text(formatting.title(verdict).rstrip("."), style="bold")
    if plain:
        return Group(heading, *parts, Text())
    return Panel(Group(*parts), title=heading, title_align="left", box=box.ROUNDED, padding=(1, 2))


def _list(title: str, sentences: tuple[str, ...]) -> list[Table | Text]:
    if not sentences:
        return []
    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        grid.add_row(Text("-"), Text(sentence))
    return [Text(), Text(title, style="bold"), grid]
