"""The answer at the end of written thoughts, and the vote of several. Needs nothing but Python, as `use.py` does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

EDGE = " \t\n*_`\"'.:;,!()[]<>"


def extract(text: str, mark: str, labels: Sequence[str] = ()) -> str | None:
    """The answer after the last `mark`, or None when there is none.

    Args:
        text: thoughts, the mark, the answer. Case does not matter in the mark.
        mark: such as "Answer:".
        labels: of a closed task; a label that starts the line is the answer, in its own spelling.
    """
    at = text.lower().rfind(mark.lower())
    rest = text[at + len(mark) :].strip() if at >= 0 else ""
    if not labels:
        return rest or None
    line = next((line for line in rest.splitlines() if line.strip(EDGE)), "").strip(EDGE)
    fits = [label for label in labels if re.match(re.escape(label) + r"(?!\w)", line, re.IGNORECASE)]
    return max(fits, key=len) if fits else line or None


def vote(answers: Sequence[str | None]) -> tuple[str | None, int]:
    """The most frequent answer (the earliest of equals) and its votes. Those that are None do not vote."""
    readable = [answer for answer in answers if answer is not None]
    counts = Counter(_same(answer) for answer in readable)
    if not readable:
        return None, 0
    best = max(readable, key=lambda answer: counts[_same(answer)])
    return best, counts[_same(best)]


def _same(answer: str) -> str:
    return " ".join(answer.casefold().split()).strip(EDGE)


OPEN, CLOSE = "<think>", "</think>"  # around the reasoning that a model writes before its answer


def spoken(text: str) -> tuple[str, str]:
    """The answer of a text and the reasoning before it; no answer where reasoning is begun and not ended."""
    before, mark, after = text.rpartition(CLOSE)
    if mark:
        return after.strip(), before.strip().removeprefix(OPEN).strip()
    return ("", text.strip().removeprefix(OPEN).strip()) if text.lstrip().startswith(OPEN) else (text, "")


def thinks(answer: str) -> bool:
    """Whether an answer begins with reasoning."""
    return answer.lstrip().startswith(OPEN) and CLOSE in answer
