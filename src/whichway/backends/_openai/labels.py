"""One of several labels read off an answer: off a JSON object, off plain text, and off log-probabilities.

The log-probability of a label is that of the tokens that were written as far as they spell it, and where it parts from
them, that of the alternatives that go on with it. Labels that part at the same alternative share its probability: what
follows was not asked. So scores are exact up to the token by which a label is told from all others.
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
    found = _of_object(text)
    plain = found if found is not None else text
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
    found = value.get(FIELD) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


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
    begun = len(head)
    found = {label: _along_the_way(tokens, whole, begun, wanted) for label, whole in wanted.items()}
    return among(found)


def among(found: Mapping[str, float]) -> dict[str, float]:
    """Log-probabilities of labels, moved so that the labels' probabilities sum to one."""
    top = max(found.values())
    whole = top + math.log(sum(math.exp(value - top) for value in found.values()))
    return {label: value - whole for label, value in found.items()}


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


def _along_the_way(tokens: Sequence[Token], whole: str, begun: int, wanted: Mapping[str, str]) -> float:
    """Log-probability of one label with its head."""
    total, before = 0.0, ""
    for token in tokens:
        after = before + token.text
        if len(after) <= begun:  # the head is the same for all
            before = after
            continue
        if len(before) >= len(whole):
            break
        if not _along(whole, after):
            return total + _parted(token, before, whole, wanted)
        total += token.logprob
        before = after
    return total


def _parted(token: Token, before: str, whole: str, wanted: Mapping[str, str]) -> float:
    """Log-probability of going on with a label where another one was written."""
    shares = []
    for text, logprob in token.alternatives:
        if text and text != token.text and _along(whole, before + text):
            sharing = sum(other.startswith(before) and _along(other, before + text) for other in wanted.values())
            shares.append(logprob - math.log(max(1, sharing)))
    if shares:
        top = max(shares)
        return top + math.log(sum(math.exp(share - top) for share in shares))
    return min([token.logprob, *(logprob for _, logprob in token.alternatives)]) - UNSEEN
