"""Personas: who the model is told to be."""

from __future__ import annotations

import re
from collections.abc import Iterator

from whichway.lint.edits import setting, short, without
from whichway.lint.registry import Edit, Hit, rule
from whichway.lint.scene import Piece, Scene
from whichway.lint.wording import sentence_at

_YOU_ARE = re.compile(
    r"\b(?:you are|you['’]re|act as|pretend (?:to be|you are)|imagine (?:that )?you are|take (?:on )?the role of|"
    r"behave (?:as|like))\s+"
    r"(?:an?|the|my|our)\s+(?!given\b|provided\b|asked\b|shown\b)",
    re.I,
)
_LOW = re.compile(
    r"\b(?:toddler|child|kid|(?:five|three|six|ten)[- ]year[- ]old|beginner|novice|newbie|amateur|layperson|layman|"
    r"intern|"
    r"trainee|high[- ]school(?:er| student)?|(?:lazy|dumb|stupid|ignorant|drunk|confused|bored|tired|mediocre|bad) "
    r"\w+)\b",
    re.I,
)
_IDENTITY = re.compile(
    r"\byou(?: are|['’]re) (?:chatgpt|gpt-?\d[\w.-]*|claude|gemini|bard|copilot|llama|mistral|qwen|deepseek|grok)\b"
    r"|\b(?:made|created|trained|developed) by (?:openai|anthropic|google|meta|microsoft|mistral(?: ai)?|alibaba)\b",
    re.I,
)


def personas(scene: Scene) -> Iterator[tuple[Piece, int, int, Edit]]:
    """Each persona: the role slot, or a sentence that says who the model is, with the edit that drops it."""
    for piece in scene.rules:
        if piece.part == "role":
            yield piece, 0, len(piece.text), setting("drop the persona", role="")
            continue
        for match in _YOU_ARE.finditer(piece.text):
            start, end = sentence_at(piece, match.start())
            yield piece, start, end, without(piece.text[start:end], "drop the persona")


@rule(
    "PL012",
    "Persona on a closed or factual task",
    "S,M",
    "info",
    why="162 personas on 2,410 factual questions brought no gain over none, and picking the best one is near chance. "
    "Roles do move tone and style.",
    source="Zheng et al. 2024, arXiv 2311.10054; arXiv 2512.05858",
    suggestion="Drop the persona unless it is measured to help (--measure tells).",
)
def persona_on_facts(scene: Scene) -> Iterator[Hit]:
    """A persona where one answer is right."""
    factual = scene.data is not None and scene.data.metric.name in ("numeric", "exact_match", "accuracy", "macro_f1")
    if scene.closed or factual:
        for piece, start, end, edit in personas(scene):
            yield Hit("a persona on a task with one right answer", piece, start, end, edit)


@rule(
    "PL013",
    "Low-capability persona",
    "S",
    "warn",
    why="A persona that knows little answers like one: such roles lower accuracy.",
    source="arXiv 2512.05858",
    suggestion="Ask for the style (simple words, short sentences) instead of for the person.",
)
def low_persona(scene: Scene) -> Iterator[Hit]:
    """The model is told to be someone who knows little."""
    for piece, start, end, edit in personas(scene):
        match = _LOW.search(piece.text, start, end)
        if match and not re.search(
            r"\b(?:teach|tutor|parent|doctor|for|to|help)\w*\W+(?:\w+\W+){0,3}$",
            piece.text[start : match.start()],
            re.I,
        ):
            yield Hit(f"a persona that knows little: “{short(match.group())}”", piece, *match.span(), edit)


@rule(
    "PL038",
    "Hard-coded identity",
    "S",
    "warn",
    why="A prompt that names one vendor's assistant misleads any other model, and says nothing about the task.",
    source="nac7 prompt-lint; vendors' own system prompts are theirs",
    suggestion="Leave the identity out, or say the role instead.",
)
def identity(scene: Scene) -> Iterator[Hit]:
    """The prompt tells the model which product it is."""
    for piece, match in scene.search(_IDENTITY):
        start, end = sentence_at(piece, match.start())
        yield Hit(f"“{match.group()}”", piece, *match.span(), without(piece.text[start:end]))
