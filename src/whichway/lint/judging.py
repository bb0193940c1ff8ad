"""Judges: prompts that ask a model to judge answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from whichway.lint.registry import Hit, rule
from whichway.lint.scene import Piece, Scene

_JUDGE = re.compile(
    r"\b(?:rate|score|grade|judge|evaluate|assess|rank|compare)\b[^.\n]{0,60}\b(?:responses?|answers?|outputs?|"
    r"summar(?:y|ies)|completions?|assistants?|essays?|texts?)\b"
    r"|\bwhich (?:of the (?:two )?)?(?:response|answer|output|summary|one|assistant)s? is (?:better|best)\b",
    re.I,
)
_SCALED = re.compile(r"\b(?:scale|from \d+ to \d+|\d+ ?[-–] ?\d+|out of \d+|\d+/\d+|score|rate|grade)\b", re.I)
_LEVEL = re.compile(
    r"(?m)^\W*(?:score |level |grade )?\d+\W{0,3}\s*(?:[:=–-]|means|points?)\s*\w+|\b\d+ (?:means|=|is for)\b", re.I
)
_PAIR = re.compile(
    r"\b(?:which\b[^.\n?]{0,40}\b(?:better|best)|(?:response|answer|output|assistant|summary) [AB]\b|(?:response|"
    r"answer|output) [12]\b)",
    re.I,
)
_SWAP = re.compile(r"\b(?:swap\w*|both orders|order (?:of|in which)|position|regardless of (?:the )?order)\b", re.I)


@rule(
    "PL047",
    "A judge without a ruler",
    "S",
    "warn",
    why="A scale without described levels is read differently each time; of two answers judges prefer the first; "
    "and a model "
    "prefers its own.",
    source="Zheng et al. 2023, arXiv 2306.05685 (position and self-preference bias); Deus #1286; mutagent",
    suggestion="Describe each level, judge in both orders, and let another model judge than the one that wrote.",
)
def judge(scene: Scene) -> Iterator[Hit]:
    """A judging prompt without levels, without swapped positions, or with the proposer as its judge."""
    first_match = next(scene.search(_JUDGE), None)
    if first_match is None or scene.labels:
        return
    piece, match = first_match
    paired = bool(_PAIR.search(scene.instruction_text))
    if _SCALED.search(scene.instruction_text) and not paired and len(_LEVEL.findall(scene.instruction_text)) < 2:
        yield Hit("a scale whose levels are not described", piece, *match.span())
    if paired and not _SWAP.search(scene.instruction_text):
        yield Hit("two answers in one order: judge them in the other one too", piece, *match.span())
    settings = scene.draft.settings
    if settings.get("judge") and settings.get("judge") == settings.get("model"):
        at = scene.draft.source.find("judge")
        yield Hit(
            "the judge is the model that wrote the answers",
            Piece("text", scene.draft.source, 0),
            max(at, 0),
            max(at, 0) + 5,
        )
