"""Decide again from a run's records alone: another margin, volume, confidence, slices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from whichway.cli.flags import Plain

if TYPE_CHECKING:
    from whichway.nouns import Verdict
    from whichway.runs.run import Run


def verdict(
    run: Annotated[Path, Argument(help="A finished run folder.")],
    margin: Annotated[float | None, Option(min=0, help="A difference that does not matter: 0.01 is one point.")] = None,
    volume: Annotated[str | None, Option(help="Requests, such as 2000/day or 60000/month.")] = None,
    confidence: Annotated[float | None, Option(min=0.5, max=0.999, help="Of the intervals.")] = None,
    wrong_answer_costs: Annotated[float, Option(min=0, help="Dollars that one wrong answer costs.")] = 0.0,
    months: Annotated[float | None, Option(min=0.1, help="Horizon of the break-even; default 30 days.")] = None,
    slice_: Annotated[
        list[str] | None, Option("--slice", metavar="COLUMN", help="Input column to slice by; repeatable.")
    ] = None,
    grades: Annotated[
        Path | None, Option(help="A filled-in sheet of `whichway grade`: its grades decide, with the judge.")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print the verdict as JSON, as verdict.json holds it.")] = False,
    write: Annotated[bool, Option("--write", help="Write verdict.json and report.html anew; grades are kept.")] = False,
    plain: Plain = False,
) -> None:
    """Recompute the verdict from the run folder. No model is called; without options it gives verdict.json again."""
    from whichway.app.grading_sheet import keep_grades, read_sheet
    from whichway.app.open_results import results_of
    from whichway.cli.units import MONTH, per_day
    from whichway.runs.folder import json_text
    from whichway.runs.run import Run
    from whichway.verdict.breakeven import Terms

    finished = Run(run)
    sheet = None if grades is None else read_sheet(finished, grades)
    if sheet is not None:
        finished = finished.with_grades(sheet.lines)
    results = results_of(finished, slice_)
    requests_per_day = float(results.plan["volume"]) if volume is None else per_day(volume)
    changed = wrong_answer_costs > 0 or months is not None
    days = 30.0 if months is None else months * MONTH
    terms = Terms(volume=requests_per_day, days=days, wrong_answer_usd=wrong_answer_costs) if changed else None
    decided = results.verdict(margin, requests_per_day, confidence, terms)
    text = json_text(decided)
    if json:
        print(text, end="")
    else:
        for note in sheet.notes if sheet else ():
            print(note)
        _show(finished, decided, text, plain)
    if write:
        if sheet is not None:
            keep_grades(finished, sheet)
        from whichway.report import html
        from whichway.runs.folder import write_text

        write_text(run / "verdict.json", text)
        html.write(finished.with_verdict(decided))


def _show(run: Run, decided: Verdict, text: str, plain: bool) -> None:
    from whichway.cli.progress import console_of
    from whichway.report import terminal

    terminal.show(run, console_of(plain), decided, layout=terminal.TerminalLayout(plain))
    stored = run.path / "verdict.json"
    if stored.exists():
        same = stored.read_text(encoding="utf-8") == text
        print(f"{stored}: {'the same, byte for byte' if same else 'another one (--write replaces it)'}.")
