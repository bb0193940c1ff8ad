"""What a training will see of a task, on a terminal: what carries the loss stands out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from whichway.app.data_report import DataReport

PROMPT = 700  # characters of a prompt shown before and after what is left out


def show(report: DataReport, console: Console) -> None:
    """Print the whole report."""
    if report.note:
        console.print(f"tokens    {report.note}", markup=False, soft_wrap=True)
    for part in report.parts:
        for row in part.rows:
            console.print(f"row       {row.title}", markup=False)
            console.print(coloured(row.tokens), soft_wrap=True)
            console.print()
        _lines(part.lines, console)
    _lines(report.lines, console)


def _lines(lines: Sequence[str], console: Console) -> None:
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def coloured(tokens: Sequence[tuple[str, bool]]) -> Text:
    """A row as text: what carries the loss stands out, token by token, and is bracketed where there are no colours."""
    text_out = Text("  ")
    for trained, part in groupby(tokens, key=itemgetter(1)):
        texts = [text for text, _ in part]
        if not trained:
            prompt = "".join(texts)
            if len(prompt) > 2 * PROMPT:
                prompt = f"{prompt[:PROMPT]} … {prompt[-PROMPT:]}"
            text_out.append(prompt.replace("\n", "\n  "), style="dim")
            continue
        text_out.append("⟦", style="bold")
        for place, text in enumerate(texts):
            text_out.append(text.replace("\n", "⏎"), style="bold black on green" if place % 2 else "bold black on cyan")
        text_out.append("⟧", style="bold")
    return text_out
