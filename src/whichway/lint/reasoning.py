"""Reasoning: when it is asked for, and whether there is room for it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from whichway.lint.edits import instructing, without
from whichway.lint.registry import Hit, rule
from whichway.lint.scene import Scene
from whichway.lint.wording import sentence_at

THINK = re.compile(
    r"\b(?:step[- ]by[- ]step|let['’]s think|chain[- ]of[- ]thought|think (?:it |this )?(?:through|carefully|aloud|"
    r"out loud)|"
    r"(?:explain|show|write(?: down| out)?) your (?:reasoning|thinking|work(?:ing)?|thoughts|thought process)|"
    r"reason (?:through|about|before)|think before)\b",
    re.I,
)
ONLY = re.compile(
    r"\b(?:answer|reply|respond|output|return|write|give)\b[^.\n]{0,30}\bonly\b|\bonly (?:the|with|a|"
    r"one)\b[^.\n]{0,40}|"
    r"\bnothing else\b|\b(?:no|without(?: any)?|do not|don['’]t) expla\w+|\bjust the (?:answer|label|number)\b",
    re.I,
)
_SYMBOLIC = re.compile(
    r"\b(?:calculat\w+|comput\w+|arithmetic|math\w*|how (?:many|much)|equation|solve|puzzle|logic\w*|proof|prove|"
    r"algebra|"
    r"geometry|sum|total|percentage|code|program|algorithm|date arithmetic|count)\b",
    re.I,
)
_JSON = re.compile(r"\bJSON\b|\bXML\b", re.I)
_FIELD = re.compile(r"\b(?:reason(?:s|ing)?|rationale|explanation|steps|thoughts?|thinking|working|analysis)\b", re.I)


def symbolic(scene: Scene) -> bool:
    """Whether the task calculates, by its metric or its words."""
    numeric = scene.data is not None and scene.data.metric.name == "numeric"
    return numeric or bool(_SYMBOLIC.search(scene.instruction_text))


@rule(
    "PL014",
    "Reasoning asked for where it does not pay",
    "S,M",
    "info",
    why="Over 100 papers, chain of thought gains on mathematics and symbols and about nothing elsewhere, for many "
    "tokens; "
    "asked together with “the answer only” it cannot happen at all.",
    source="Sprague et al. 2024, arXiv 2409.12183",
    suggestion="Drop it on tasks that do not calculate; or let the model reason before the answer.",
)
def needless_reasoning(scene: Scene) -> Iterator[Hit]:
    """Chain of thought on a task that does not calculate, or together with "answer only"."""
    only = ONLY.search(THINK.sub("", scene.instruction_text))
    for piece, match in scene.search(THINK):
        start, end = sentence_at(piece, match.start())
        edit = without(piece.text[start:end], "drop the call to reason")
        if only:
            yield Hit(f"asks to reason, and for “{only.group().strip()}”", piece, *match.span(), edit)
        elif scene.closed and not symbolic(scene):
            yield Hit("asks to reason on a task that does not calculate", piece, *match.span(), edit)


@rule(
    "PL015",
    "Reasoning asked of a reasoning model",
    "P",
    "info",
    why="A model that thinks by itself gains nothing from being told to, and may think twice.",
    source="OpenAI, reasoning best practices (avoid chain-of-thought prompts)",
    suggestion="Leave it out for this model.",
)
def reasoning_model(scene: Scene) -> Iterator[Hit]:
    """Chain of thought asked of a model that reasons anyway."""
    if scene.provider and scene.provider.reasoning:
        for piece, match in scene.search(THINK):
            start, end = sentence_at(piece, match.start())
            yield Hit("this model reasons by itself", piece, *match.span(), without(piece.text[start:end]))


@rule(
    "PL016",
    "Format without room to reason",
    "S,M",
    "warn",
    why="A strict format that begins with the answer takes away the steps before it: accuracy on reasoning tasks "
    "falls.",
    source="Tam et al. 2024, arXiv 2408.02442; arXiv 2604.03616",
    suggestion='Put a "reasoning" field before the answer.',
)
def no_room(scene: Scene) -> Iterator[Hit]:
    """JSON or XML demanded on a task that calculates, with no field for steps."""
    if symbolic(scene) and not _FIELD.search(scene.instruction_text):
        for piece, match in list(scene.search(_JSON))[:1]:
            edit = instructing('Begin the object with a "reasoning" field, then give the answer.')
            yield Hit(
                f"{match.group()} without a field for steps, on a task that calculates", piece, *match.span(), edit
            )
