"""Texts as sentences."""

from __future__ import annotations

import re

from whichway.nouns import Prompt
from whichway.search.context import free, text_of

_END = re.compile(r"(?<=[.!?])\s+|\n+")


def sentences(text: str) -> list[str]:
    """A text cut after full stops, question marks and line ends."""
    return [part.strip() for part in _END.split(text) if part.strip()]


def places(prompt: Prompt) -> list[tuple[str, int]]:
    """(slot, number of the sentence) of all sentences that may be changed."""
    return [(slot, n) for slot in free(prompt) for n in range(len(sentences(text_of(prompt, slot))))]
