"""One of several labels read off an answer: off a JSON object, off plain text, and off log-probabilities.

A label's log-probability is that of its tokens where, at each of them, only those may be chosen that lead to some
label: the same that the engine on this machine computes. The written tokens tell it as far as they spell the label;
where it parts from them, the alternatives do. Labels that part at the same alternative share its probability, as what
follows was not asked. A label that is not among the alternatives shown is taken to be a little less likely than the
last of them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whichway.prompts.answer_extraction import EDGE

FIELD = "answer"  # of the JSON object that holds the label
UNSEEN = 1.0  # nats below the least likely alternative that is shown, for a label that is not among them


@dataclass(frozen=True, slots=True)
class Token:
    """A written token with the likeliest ones in its place, log-probabilities in nats."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...]


def schema(labels: Sequence[str]) -> dict[str, object]:
    """The JSON schema of an object that holds one of the labels."""
    return {
        "type": "object",
        "properties": {FIELD: {"type": "string", "enum": list(labels)}},
        "required": [FIELD],
        "additionalProperties": False,
    }


def grammar(labels: Sequence[str]) -> str:
    """The grammar of an answer that is one of the labels, in llama.cpp's notation (GBNF)."""
    return "root ::= " + " | ".join(json.dumps(label, ensure_ascii=False) for label in labels)


def longest(labels: Sequence[str]) -> int:
    """Tokens that the longest answer can take, as JSON: no token is shorter than a byte."""
    return max(len(_json(label).encode()) for label in labels) + 8


def _json(label: str) -> str:
    return json.dumps({FIELD: label}, ensure_ascii=False)


def read(text: str, labels: Sequence[str]) -> str | None:
    """The label that a text names; None where it names none, or several.

    A JSON object with the answer, then the whole text, then the label at its start, then the only one that stands in it
    as a word. Case and marks around a label do not matter.
    """
    label_of_object = _of_object(text)
    plain = label_of_object if label_of_object is not None else text
    exact = {_same(label): label for label in labels}
    if _same(plain) in exact:
        return exact[_same(plain)]
    line = next((line for line in plain.splitlines() if line.strip(EDGE)), "").strip(EDGE)
    line = re.sub(r"^(?:answer|label)\s*[:=]\s*", "", line, flags=re.IGNORECASE).strip(EDGE)
    starts = [label for label in labels if re.match(rf"{re.escape(label)}(?!\w)", line, re.IGNORECASE)]
    if starts:
        return max(starts, key=len)
    named = [label for label in labels if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", plain, re.IGNORECASE)]
    whole = [label for label in named if not any(label != other and label in other for other in named)]
    return whole[0] if len(whole) == 1 else None


def _of_object(text: str) -> str | None:
    """The answer in the first JSON object of a text."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:])
    except ValueError:
        return None
    label = value.get(FIELD) if isinstance(value, dict) else None
    return label if isinstance(label, str) else None


def _same(text: str) -> str:
    return " ".join(text.casefold().split()).strip(EDGE)


def scores(tokens: Sequence[Token], labels: Sequence[str]) -> dict[str, float]:
    """Log-probability of each label among them, which sum to one; {} where the tokens spell none of them.

    Args:
        tokens: of an answer, from its first.
        labels: the closed set.
    """
    text = "".join(token.text for token in tokens)
    head, closing = _head(text)
    wanted = {label: head + (json.dumps(label, ensure_ascii=False)[1:] if closing else label) for label in labels}
    if not any(_along(whole, text[: len(whole)]) for whole in wanted.values()):
        return {}
    by_label: dict[str, float] = {}
    alive, before, reached = dict(wanted), "", 0.0
    for token in tokens:
        after = before + token.text
        if len(alive) == 1:
            break
        if len(after) > len(head):  # the head is the same for all
            parted, step = _node(token, before, alive)
            by_label |= {label: reached + value for label, value in parted.items()}
            alive = {label: whole for label, whole in alive.items() if label not in parted}
            reached += step
        before = after
    for label, whole in alive.items():
        by_label[label] = reached if len(alive) == 1 or text.startswith(whole) else reached - UNSEEN
    return among(by_label)


def _node(token: Token, before: str, alive: Mapping[str, str]) -> tuple[dict[str, float], float]:
    """One token: log-probability of each label that parts from the text here, and of going on with the text.

    Both among the tokens that lead to a label: an endpoint that limits its answers may still tell what the model would
    have liked to write without the limit.
    """
    going = [label for label, whole in alive.items() if _along(whole, before + token.text)]
    options = {text: logprob for text, logprob in token.alternatives if text and text != token.text}
    leads = {label: [o for o in options if _along(whole, before + o)] for label, whole in alive.items()}
    parting = [label for label in alive if label not in going]
    unseen = [label for label in parting if not leads[label]]
    floor = min([token.logprob, *options.values()]) - UNSEEN
    used = {option for label in parting for option in leads[label]}
    whole_mass = _log_sum([token.logprob, *(options[o] for o in used), *([floor] if unseen else [])])
    sharing = {option: sum(option in leads[label] for label in parting) for option in used}
    parted = {
        label: _log_sum([options[o] - math.log(sharing[o]) for o in leads[label]])
        if leads[label]
        else floor - math.log(len(unseen))
        for label in parting
    }
    return {label: value - whole_mass for label, value in parted.items()}, token.logprob - whole_mass


def _log_sum(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def among(logprobs: Mapping[str, float]) -> dict[str, float]:
    """Log-probabilities of labels, moved so that the labels' probabilities sum to one."""
    whole = _log_sum(list(logprobs.values()))
    return {label: value - whole for label, value in logprobs.items()}


def told_apart(label: str, labels: Sequence[str]) -> int:
    """Characters of a label up to the one that tells it from all others; what follows has no alternative."""
    others = [other for other in labels if other != label]
    return next((n for n in range(1, len(label)) if not any(o.startswith(label[:n]) for o in others)), len(label))


def _head(text: str) -> tuple[str, bool]:
    """What stands before the label, and whether a quotation mark closes it."""
    match = re.match(rf'\s*\{{\s*"{FIELD}"\s*:\s*"', text)
    if match:
        return match[0], True
    return text[: len(text) - len(text.lstrip())], False


def _along(whole: str, text: str) -> bool:
    """Whether a text is the beginning of a label with its head, or goes beyond it."""
    return whole.startswith(text) or text.startswith(whole)
