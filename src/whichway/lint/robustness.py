"""Robustness: how far the score moves when only the format of the prompt does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from whichway.lint.edits import each_text
from whichway.lint.registry import Hit, rule
from whichway.lint.scene import Scene
from whichway.nouns import Layout, Prompt

SPREAD = 0.05  # of the metric: five points


@rule(
    "PL048",
    "The score hangs on the format",
    "M",
    "warn",
    why="Changes that mean nothing (a line break, a letter's case, where the instructions stand) moved accuracy by "
    "up to 76 points; "
    "a prompt is known only with its spread.",
    source="Sclar et al. 2023, arXiv 2310.11324 (FormatSpread)",
    suggestion="Report the spread; choose the format on dev, as prompt_framework does.",
)
def spread(scene: Scene) -> Iterator[Hit]:
    """Formats of equal meaning differ on dev by more than five points."""
    formats = scene.formats
    if formats is not None and len(formats.scores) > 1 and formats.spread > SPREAD:
        best, worst = (f(formats.scores, key=lambda name: formats.scores[name]) for f in (max, min))
        piece = scene.rules[0] if scene.rules else None
        yield Hit(
            f"{len(formats.scores)} formats of the same words score {100 * formats.scores[worst]:.1f} ({worst}) to "
            f"{100 * formats.scores[best]:.1f} ({best}) on {formats.rows} dev rows",
            piece,
            0,
            60,
        )


def formats_of(prompt: Prompt) -> dict[str, Prompt]:
    """The prompt in formats that mean the same: name -> prompt."""
    other: Layout = "user" if prompt.layout == "system" else "system"
    formats = {
        "as written": prompt,
        f"in the {other} message": replace(prompt, layout=other),
        "lower case": each_text(prompt, str.lower),
        "on one line": each_text(prompt, lambda text: " ".join(text.split())),
        "with headings": each_text(prompt, lambda text: f"## Task\n{text}"),
        "a sentence a line": each_text(prompt, lambda text: text.replace(". ", ".\n")),
    }
    return {name: one for n, (name, one) in enumerate(formats.items()) if n == 0 or one != prompt}
