"""What a training will see of some rows: token counts, what is cut, and which tokens carry the loss.

Rows go through the trainer's own rendering (`render.py`, `live.encode`); only the tokenizer is read, no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whichway.engine.model import tokenizer_files
from whichway.engine.model.chat_template import Renderer
from whichway.engine.train import encoded_rows
from whichway.engine.train.encoded_rows import Targets
from whichway.nouns import Message

Rows = Sequence[tuple[Sequence[Message], str]]


@dataclass(frozen=True, slots=True)
class PromptReader:
    """A model's tokenizer and chat template, and how long a row may be."""

    renderer: Renderer
    context: int
    limit: str = ""  # why that is less than the model states; "" where it is not


@dataclass(frozen=True, slots=True)
class TokenLengths:
    """Rows as token counts."""

    tokens: tuple[int, ...]  # of prompt and answer, row by row
    trained: tuple[int, ...]  # those that carry the loss
    context: int  # what the model can read; longer rows are left out of the training
    trimmed: tuple[int, ...] = ()  # oldest turns left out of each conversation, so that it fits

    @property
    def too_long(self) -> list[int]:
        """Places of rows that do not fit: the last answer token is predicted, never read."""
        return [i for i, count in enumerate(self.tokens) if count - 1 > self.context]

    @property
    def untrained(self) -> list[int]:
        """Places of rows whose answer gets no trained token."""
        return [i for i, count in enumerate(self.trained) if count == 0]


def reader(folder: Path) -> PromptReader:
    """Open a model's tokenizer.

    Raises:
        ModelError: it cannot be read.
    """
    tokenizer_files.check(folder)
    tokenizer, ends, context = tokenizer_files.tokenizer_and_context(folder)
    config = tokenizer_files.config_of(folder)
    limit = tokenizer_files.limit_of(config.get("text_config") or config)
    return PromptReader(Renderer(tokenizer, ends), context, limit)


def lengths(read: PromptReader, rows: Rows, targets: Targets = "last") -> TokenLengths:
    """Token counts of rows. An answer's turn end alone is no answer: it does not count."""
    encoded = encoded_rows.encode(read.renderer, rows, targets, read.context)
    ends = read.renderer.ends
    earlier = (sum(i not in ends for span in row.earlier for i in row.prompt[slice(*span)]) for row in encoded)
    trained = tuple(sum(i not in ends for i in row.answer) + more for row, more in zip(encoded, earlier, strict=True))
    sizes = tuple(len(row.prompt) + len(row.answer) for row in encoded)
    return TokenLengths(sizes, trained, read.context, tuple(row.trimmed for row in encoded))


def tokens(
    read: PromptReader, messages: Sequence[Message], answer: str, targets: Targets = "last"
) -> list[tuple[str, bool]]:
    """A row in order: what is only read, as one text up to the next answer, and each token that carries the loss."""
    row = encoded_rows.encode(read.renderer, [(messages, answer)], targets)[0]
    ids, read_to = [*row.prompt, *row.answer], 0
    parts: list[tuple[str, bool]] = []
    for start, end in (*row.earlier, (len(row.prompt), len(ids))):
        parts.append((_text(read, ids[read_to:start]), False))
        parts += [(piece, True) for piece in pieces(read, ids[start:end])]
        read_to = end
    return parts


def pieces(read: PromptReader, ids: Sequence[int]) -> list[str]:
    """The text of each token; a token that ends inside a character shows nothing, the last of the character all of it.

    Byte-level tokens cut characters in two (emoji, Cyrillic), and half of one decodes to "\ufffd". Tokens are joined
    until they decode to whole characters, or as far as four bytes can reach.
    """
    texts: list[str] = []
    pending: list[int] = []
    for i in ids:
        pending.append(i)
        text = _text(read, pending)
        if not text.endswith("\ufffd") or len(pending) == 4:
            texts += [*[""] * (len(pending) - 1), text]
            pending = []
    return texts + ([*[""] * (len(pending) - 1), _text(read, pending)] if pending else [])


def _text(read: PromptReader, ids: Sequence[int]) -> str:
    return str(read.renderer.tokenizer.decode(list(ids), skip_special_tokens=False))
