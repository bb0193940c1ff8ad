"""Rows of a task: a row's input, alone or as a conversation, and the wanted answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from whichway.nouns.json_form import LATE, digest

Split = Literal["train", "dev", "test"]
Role = Literal["system", "user", "assistant"]


@lru_cache(maxsize=100_000)
def _example_id(
    items: tuple[tuple[str, str], ...],
    target: str,
    group: str | None,
    rejected: str | None,
    turns: tuple[Message, ...],
) -> str:
    return digest([list(items), target, group, *([] if rejected is None else [rejected]), *([turns] if turns else [])])


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Role
    content: str
    # a turn of the row's own conversation before its last: left out, the oldest first, where the whole is too long
    earlier: bool = field(default=False, metadata=LATE)
    untrained: bool = field(default=False, metadata=LATE)  # an answer of weight 0: context, never learned


def transcript(turns: Sequence[Message]) -> str:
    """A conversation as one text, for all that reads words: "role: text" lines; a single turn is its text alone."""
    if len(turns) == 1:
        return turns[0].content
    return "\n".join(f"{turn.role}: {turn.content}" for turn in turns)


def row_text(messages: Sequence[Message]) -> str:
    """The row in the messages that ask a bare prompt of it, as one text: its last message, with all said before it."""
    return transcript([*(m for m in messages[:-1] if m.earlier), messages[-1]])


@dataclass(frozen=True, slots=True)
class Example:
    """One row: input fields, the wanted answer, and the group (customer, document) that it must not be split from."""

    input: Mapping[str, str]
    target: str
    group: str | None = None
    origin: str = ""  # "tickets.csv:57", for messages; not part of the id
    rejected: str | None = None  # in preference data: the answer that `target` was preferred to
    # a conversation as its turns, a system message of its own first and the last user's message last; its column in
    # `input` holds the transcript. Empty where the input is one text
    turns: tuple[Message, ...] = field(default=(), metadata=LATE)

    @property
    def id(self) -> str:
        """Digest of content (input, target, group, rejected answer, turns), never a position."""
        return _example_id(tuple(self.input.items()), self.target, self.group, self.rejected, self.turns)

    @property
    def text(self) -> str:
        """The input as one text: the value of a single field, else "name: value" lines."""
        if len(self.input) == 1:
            return next(iter(self.input.values()))
        return "\n".join(f"{name}: {value}" for name, value in self.input.items())
