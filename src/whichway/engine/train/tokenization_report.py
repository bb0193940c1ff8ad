"""What a training will see of some rows: token counts, what is cut, and which tokens carry the loss.

Rows go through the trainer's own rendering (`render.py`, `live.encode`); only the tokenizer is read, no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whichway.engine.model import load
from whichway.engine.model.chat_template import Renderer
from whichway.engine.train import adapter_check
from whichway.nouns import Message

Rows = Sequence[tuple[Sequence[Message], str]]


@dataclass(frozen=True, slots=True)
class Reader:
    """A model's tokenizer and chat template, and how long a row may be."""

    renderer: Renderer
    context: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Rows as token counts."""

    tokens: tuple[int, ...]  # of prompt and answer, row by row
    trained: tuple[int, ...]  # those that carry the loss
    context: int  # what the model can read; longer rows are left out of the training

    @property
    def too_long(self) -> list[int]:
        """Places of rows that do not fit: the last answer token is predicted, never read."""
        return [i for i, count in enumerate(self.tokens) if count - 1 > self.context]

    @property
    def untrained(self) -> list[int]:
        """Places of rows whose answer gets no trained token."""
        return [i for i, count in enumerate(self.trained) if count == 0]


def reader(folder: Path) -> Reader:
    """Open a model's tokenizer.

    Raises:
        ModelError: it cannot be read.
    """
    tokenizer, ends, context = load.reading(folder)
    return Reader(Renderer(tokenizer, ends), context)


def lengths(read: Reader, rows: Rows) -> Lengths:
    """Token counts of rows. An answer's turn end alone is no answer: it does not count."""
    found = adapter_check.encode(read.renderer, rows)
    ends = read.renderer.ends
    trained = tuple(sum(i not in ends for i in row.answer) for row in found)
    return Lengths(tuple(len(row.prompt) + len(row.answer) for row in found), trained, read.context)


def tokens(read: Reader, messages: Sequence[Message], answer: str) -> list[tuple[str, bool]]:
    """A row token by token: its text, and whether it carries the loss."""
    row = adapter_check.encode(read.renderer, [(messages, answer)])[0]
    decode = read.renderer.tokenizer.decode
    prompt = str(decode(row.prompt, skip_special_tokens=False))
    return [(prompt, False), *((str(decode([i], skip_special_tokens=False)), True) for i in row.answer)]
