"""Findings in a terminal: the line, the span underlined, why, what to do, and what the edit was measured to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from whichway.app.lint_effect import Effect
from whichway.lint import SEVERITIES, Finding
from whichway.plurals import plural
from whichway.report.formatting import ScoreText
from whichway.verdict.explain.number_format import score_format

STYLES = {"error": "bold red", "warn": "yellow", "info": "cyan"}
WIDTH = 100  # of a shown line


def show(console: Console, path: str, source: str, findings: Sequence[Finding], effects: Mapping[str, Effect]) -> None:
    """All findings of one prompt."""
    lines = source.splitlines()
    for finding in findings:
        _one(console, path, lines, finding, effects.get(finding.fingerprint))


def _one(console: Console, path: str, lines: Sequence[str], finding: Finding, effect: Effect | None) -> None:
    style = STYLES[finding.severity]
    console.print(
        Text.assemble(
            (f"{path}:{finding.line}:{finding.column}  ", "bold"),
            (f"{finding.severity} {finding.id}  ", style),
            finding.message,
        )
    )
    if finding.snippet and finding.line <= len(lines):
        line, mark = underlined(lines[finding.line - 1], finding)
        console.print(Text.assemble((f"{finding.line:>5} │ ", "dim"), line))
        console.print(Text.assemble(("      │ ", "dim"), (mark, style)))
    console.print(Text(f"        why: {finding.why} ({finding.source})", "dim"))
    what = f" [{finding.edit.what}]" if finding.edit else ""
    console.print(Text(f"        do:  {finding.suggestion}{what}"))
    if effect is not None:
        console.print(
            Text(
                f"        measured: {effect_text(effect)}",
                "bold green" if effect.clear and effect.difference > 0 else "bold",
            )
        )
    console.print()


def underlined(line: str, finding: Finding) -> tuple[str, str]:
    """A line cut to fit, and the marks under the span."""
    start = finding.column - 1
    end = finding.end_column - 1 if finding.end_line == finding.line else len(line)
    shift = max(0, start - WIDTH // 3) if len(line) > WIDTH else 0
    shown = line[shift : shift + WIDTH].replace("\t", " ")
    begin = min(max(start - shift, 0), len(shown))
    return shown, " " * begin + "~" * max(1, min(end - shift, len(shown)) - begin)


def effect_text(effect: Effect) -> str:
    """The effect of an edit, as text."""
    scores = ScoreText(score_format(effect.plain))
    ends = [] if effect.low is None or effect.high is None else [effect.low, effect.high]
    span = f" ({' to '.join(map(scores.signed, ends))})" if ends else ""
    verdict = "" if effect.clear else ", not clear"
    return (
        f"{scores.signed(effect.difference)}{scores.format.unit}{span} on {effect.rows} dev rows, "
        f"{scores.value(effect.before)} -> {scores.value(effect.after)}; {plural(effect.wins, 'row')} better, "
        f"{effect.losses} worse{verdict}"
    )


def summary(findings: Sequence[Finding], left_out: int) -> str:
    """The last line: how many findings of each severity."""
    counts = Counter(f.severity for f in findings)
    words = {"error": "errors", "warn": "warnings", "info": "notes"}
    parts = [f"{counts[s]} {words[s] if counts[s] != 1 else words[s][:-1]}" for s in SEVERITIES if counts[s]]
    rest = f"; {left_out} ignored" if left_out else ""
    return (", ".join(parts) or "nothing found") + rest
