"""The verdict in a terminal: a table of ways, and a panel that says what to do and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from whichway.nouns import Standing, Verdict
from whichway.report import estimates, formatting
from whichway.report.formatting import ScoreText
from whichway.runs.run import Run, as_run

WIDE = 104  # columns from which notes have a place of their own
SPARE = ("Per row", "To make", "Kind", "Dev", "Per 1000")  # columns that a narrow terminal does without, in this order
STYLES = {"prompt": "blue", "fine-tune": "dark_orange", "both": "magenta", "baseline": "bright_black"}


def show(run: Run | Path, console: Console, verdict: Verdict | None = None, page: Path | None = None) -> None:
    """Print the table of ways and the verdict of a finished run.

    Args:
        run: the run, or its folder.
        console: where to; colour is decoration only.
        verdict: another verdict on the run than the one it holds.
        page: where its report was written; None: in its folder.

    Raises:
        UserError: the folder holds no finished run.
    """
    run = as_run(run)
    if verdict is not None:
        run = run.with_verdict(verdict)
    console.print()
    console.print(_table(run, console.width))
    console.print()
    console.print(_panel(run.verdict))
    usd, seconds = run.paid
    if run.estimate is not None:
        rows = estimates.lines_of(run.estimate, run.wall_seconds)
        console.print(Text(estimates.after(rows, not run.clock.get("missing")), style="dim"))
    report = page or run.path / "report.html"
    paid_text = (
        f"Paid {formatting.usd(usd)} and {formatting.seconds(seconds)} of computing for this run, all starts together."
    )
    console.print(Text(paid_text, style="dim"))
    # A path is no prose: no wrapping, so that it can be clicked and copied.
    place = f"Report: {report}" if report.exists() else f"Run: {run.path}"
    console.print(Text(place), soft_wrap=True)


def _table(run: Run, width: int) -> Table:
    gap = 2 if width >= WIDE else 1
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0))
    score = f"{formatting.score(run.plan, run.verdict)} ({100 * run.verdict.confidence:g} %)"
    titles = ("Way", "Kind", score, "Dev", "To make", "Per row", "Per 1000", "Note")
    lines, scores = run.verdict.standings, formatting.scores(run.plan, run.verdict)
    rows = [dict(zip(titles, _cells(s, s.way == run.verdict.choice, scores), strict=True)) for s in lines]
    shown = _shown(titles, rows, width, gap)
    for title in shown:
        right, fold = title in ("Dev", "To make", "Per row", "Per 1000"), title in ("Way", score, "Note")
        table.add_column(title, justify="right" if right else "left", no_wrap=not fold, overflow="fold")
    for standing, cells in zip(lines, rows, strict=True):
        chosen = standing.way == run.verdict.choice
        style = "bold" if chosen else "dim" if standing.status == "failed" else ""
        table.add_row(*(cells[title] for title in shown), style=style)
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


def _panel(verdict: Verdict) -> Panel:
    parts = [Text(formatting.headline(verdict)), *_list("Why", verdict.reasons)]
    parts += _list("Variety or sameness", formatting.diversity_advice(verdict))
    parts += _list("On the other hand", verdict.dissent)
    title = "What would decide it" if verdict.answer == "undecided" else "What would change it"
    parts += _list(title, verdict.would_decide)
    parts += _list("Keep in mind", verdict.warnings)
    heading = Text(formatting.title(verdict).rstrip("."), style="bold")
    return Panel(Group(*parts), title=heading, title_align="left", box=box.ROUNDED, padding=(1, 2))


def _list(title: str, sentences: tuple[str, ...]) -> list[Table | Text]:
    if not sentences:
        return []
    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        grid.add_row(Text("-"), Text(sentence))
    return [Text(), Text(title, style="bold"), grid]
