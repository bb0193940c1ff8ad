"""Rows of an uploaded training file, as OpenAI describes them: chats, or pairs of answers to one chat.

A row of "supervised" is `{"messages": [...]}`; an assistant's message with `"weight": 0` is context and not learned.
A row of "dpo" is `{"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from whichway.nouns import Message, TrainRow
from whichway.ship.protocol import text_of_parts

Method = Literal["supervised", "dpo"]


class InvalidTrainingFile(Exception):
    """A file that cannot be trained on; the message names the line."""


class _ChatTurn(BaseModel):
    """One message; what we cannot train on (tools, images) is refused by name."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["system", "developer", "user", "assistant"]
    content: str
    weight: Literal[0, 1] = 1
    name: str | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        return text_of_parts(value)

    @property
    def message(self) -> Message:
        """The turn as the noun."""
        role = "system" if self.role == "developer" else self.role
        return Message(role, self.content, untrained=role == "assistant" and not self.weight)


class _ChatLine(BaseModel):
    model_config = ConfigDict(extra="ignore")
    messages: list[_ChatTurn] = Field(min_length=2)


class _PairInput(BaseModel):
    model_config = ConfigDict(extra="ignore")
    messages: list[_ChatTurn] = Field(min_length=1)


class _PairLine(BaseModel):
    model_config = ConfigDict(extra="forbid")
    input: _PairInput
    preferred_output: list[_ChatTurn] = Field(min_length=1, max_length=1)
    non_preferred_output: list[_ChatTurn] = Field(min_length=1, max_length=1)


def read(path: Path, method: Method) -> tuple[TrainRow, ...]:
    """The rows of a file; those of "dpo" in pairs, the wanted answer first.

    Raises:
        InvalidTrainingFile: a line is no row of this method, or there is none.
    """
    rows: list[TrainRow] = []
    for number, line in _lines(path):
        try:
            rows += _chat(line) if method == "supervised" else _pair(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidTrainingFile(f"line {number}: {where}: {first['msg']}.{_other(line, method)}") from error
        except ValueError as error:
            raise InvalidTrainingFile(f"line {number}: {error}") from error
    if not rows:
        raise InvalidTrainingFile("there is no row in the file; write one JSON object on each line")
    return tuple(rows)


def trains_earlier(rows: tuple[TrainRow, ...]) -> bool:
    """Whether an answer of an earlier turn is to be learned as well."""
    return any(turn.role == "assistant" and not turn.untrained for row in rows for turn in row.messages)


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _object(line, number)
        except UnicodeDecodeError as error:
            raise InvalidTrainingFile(f"the file is not UTF-8 text: {error.reason} at byte {error.start}") from error


def _object(line: str, number: int) -> Any:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidTrainingFile(f"line {number} is no JSON: {error}. Write one object on each line.") from error
    if not isinstance(value, dict):
        raise InvalidTrainingFile(f"line {number} is no JSON object. Write one object on each line.")
    return value


def _chat(line: Any) -> list[TrainRow]:
    turns = [turn.message for turn in _ChatLine.model_validate(line).messages]
    answers = [place for place, turn in enumerate(turns) if turn.role == "assistant" and not turn.untrained]
    if not answers:
        raise ValueError("no message of the assistant is to be learned (none has weight 1)")
    last = answers[-1]
    if last == 0:
        raise ValueError("the first message is the assistant's; a user's or system's message comes before it")
    if not turns[last].content:
        raise ValueError("the assistant's last message is empty")
    return [TrainRow(tuple(turns[:last]), turns[last].content)]


def _pair(line: Any) -> list[TrainRow]:
    pair = _PairLine.model_validate(line)
    answers = [pair.preferred_output[0], pair.non_preferred_output[0]]
    if any(turn.role != "assistant" for turn in answers):
        raise ValueError("preferred_output and non_preferred_output are messages of the assistant")
    if any(not turn.content for turn in answers):
        raise ValueError("an answer is empty")
    messages = tuple(turn.message for turn in pair.input.messages)
    return [TrainRow(messages, turn.content) for turn in answers]


def _other(line: Any, method: Method) -> str:
    """A hint where the row is one of the other method."""
    if method == "supervised" and "preferred_output" in line:
        return ' These are preferences: create the job with method {"type": "dpo"}.'
    if method == "dpo" and "messages" in line:
        return ' These are chats: create the job with method {"type": "supervised"}.'
    return ""
