"""What a rule sees: the prompt in pieces, where each stands in the file, and what is known of data, model and seed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from whichway.contracts import Metric
from whichway.nouns import Example, Message, Prompt, TrainDevView
from whichway.prompts.variables import VARIABLE as VARIABLE

Form = Literal["text", "slots", "messages"]
SHOT_PARTS = ("shot_text", "shot_answer")
_NO_WORDS = ("layout", "protected", "labels", "shots", "variables")  # slots that hold no sentences
MANY = 10**9


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a prompt: its slot, its text, and where it starts in the file."""

    part: str  # a slot's name, or "shot_text", "shot_answer"
    text: str
    start: int  # characters into the file
    index: int = 0  # which instruction, which shot


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt as a file holds it.

    Attributes:
        prompt: its slots. A row's place in plain text cuts it: what stands before is the objective, what stands after
            the reminder.
        source: the whole text of the file, for spans.
        form: plain text with `{{variables}}`, slots, or chat messages.
        turns: the chat messages as given; empty where the prompt is rendered from slots.
        settings: decoding that stands beside the prompt: temperature, max_tokens, stop, response_format, repeats.
        fields: names of the values that a row brings; None: not known.
    """

    prompt: Prompt
    source: str
    path: str = "prompt"
    form: Form = "slots"
    turns: tuple[Message, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """What the rules may know of the rows: train and dev, the metric, and a test for held-out words.

    Attributes:
        practice: train and dev.
        metric: judges an answer.
        held: `held(text)` gives the spans of `text` whose words stand in a test or dev row, from hashes alone.
    """

    practice: TrainDevView
    metric: Metric
    held_out: Callable[[str], Sequence[tuple[int, int, str]]] | None = None

    @property
    def rows(self) -> tuple[Example, ...]:
        """Train and dev rows."""
        return (*self.practice.train, *self.practice.dev)


@dataclass(frozen=True, slots=True)
class Provider:
    """What is known of the model that will read the prompt. None: not known."""

    name: str = "unknown"
    local: bool = False
    tokens: Callable[[str], int] | None = None
    context: int | None = None  # tokens
    chat: bool | None = None  # whether it has a chat template
    system: bool | None = None  # whether the template takes system messages
    bos: str | None = None
    specials: frozenset[str] = frozenset()  # the tokenizer's own control tokens
    reasoning: bool | None = None  # thinks before it answers, by itself
    max_temperature: float | None = None
    max_stops: int | None = None
    cache_tokens: int | None = None  # a shared prefix shorter than this is not cached
    usd_per_million: float | None = None  # prompt tokens
    ends_first: bool = False  # wants long material first and the question last

    def count(self, text: str) -> int:
        """Tokens of a text: counted where there is a tokenizer, else a quarter of its characters."""
        return self.tokens(text) if self.tokens else -(-len(text) // 4)


@dataclass(frozen=True, slots=True)
class FormatScores:
    """Scores of one prompt in several formats on the same dev rows."""

    scores: Mapping[str, float]  # format -> score
    rows: int

    @property
    def spread(self) -> float:
        """Best minus worst."""
        return max(self.scores.values()) - min(self.scores.values())


@dataclass(frozen=True)
class Scene:
    """All that a rule may look at."""

    draft: Draft
    data: Data | None = None
    provider: Provider | None = None
    seed: Prompt | None = None  # the prompt that an optimiser started from
    formats: FormatScores | None = None

    @property
    def prompt(self) -> Prompt:
        """The slots."""
        return self.draft.prompt

    @property
    def labels(self) -> tuple[str, ...]:
        """The closed label set of the data; empty when it is open or unknown."""
        return self.data.practice.labels if self.data else ()

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The prompt's texts in order of the slots, placed in the file."""
        placed, cursor = [], 0
        for part, text, index in texts(self.prompt):
            start = place(self.draft.source, text, cursor)
            if start is None:
                start = place(self.draft.source, text, 0)
            else:
                cursor = start
            placed.append(Piece(part, text, start or 0, index))
        return tuple(placed)

    @property
    def rules(self) -> tuple[Piece, ...]:
        """The pieces that instruct: all but worked examples."""
        return tuple(piece for piece in self.pieces if piece.part not in SHOT_PARTS)

    @cached_property
    def instruction_text(self) -> str:
        """All that instructs, as one text."""
        return "\n".join(piece.text for piece in self.rules)

    @cached_property
    def whole(self) -> str:
        """All pieces and the listed labels, as one text."""
        return "\n".join([*(piece.text for piece in self.pieces), ", ".join(self.prompt.labels)])

    @property
    def closed(self) -> bool:
        """Whether the answer is one of a few labels, by the data or by the prompt's own words."""
        if self.data:
            return bool(self.labels)
        return (
            bool(self.prompt.labels)
            or re.search(r"\b(?:one of\b|classify|categori[sz]e)", self.instruction_text, re.I) is not None
        )

    def search(
        self, form: re.Pattern[str], within: Sequence[Piece] | None = None
    ) -> Iterator[tuple[Piece, re.Match[str]]]:
        """Every match in the instructing pieces, or in those given."""
        for piece in self.rules if within is None else within:
            for match in form.finditer(piece.text):
                yield piece, match

    def count(self, text: str) -> int:
        """Tokens of a text, estimated when the model is not known."""
        return (self.provider or Provider()).count(text)


def texts(prompt: Prompt) -> Iterator[tuple[str, str, int]]:
    """Slot, text, index of everything that holds words; worked examples stand before the reminder."""
    for field_ in dataclasses.fields(prompt):
        value = getattr(prompt, field_.name)
        if field_.name == "shots":
            for index, shot in enumerate(prompt.shots):
                yield "shot_text", shot.text, index
                yield "shot_answer", shot.answer, index
        elif field_.name in _NO_WORDS or not value:
            continue
        elif field_.name == "row":
            yield from _row(prompt.row)
        elif field_.name == "lead":
            yield from (("lead", turn.content, index) for index, turn in enumerate(prompt.lead))
        elif isinstance(value, str):
            yield field_.name, value, 0
        elif isinstance(value, tuple) and all(isinstance(item, str) for item in value):
            yield from ((field_.name, item, index) for index, item in enumerate(value))


def _row(row: str) -> Iterator[tuple[str, str, int]]:
    """The words around the last variable of the message that brings the row: what follows it is a reminder."""
    last = list(VARIABLE.finditer(row))[-1:]
    before, after = (row[: last[0].start()], row[last[0].end() :]) if last else (row, "")
    yield from ((part, text, 0) for part, text in (("row", before), ("reminder", after)) if text.strip())


def place(source: str, text: str, begin: int) -> int | None:
    """Where a text starts in a file, written as it is, or its first line alone, or as a JSON string."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    for form in (text, first, json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(first)[1:-1]):
        at = source.find(form, begin) if form else -1
        if at >= 0:
            return at
    return None


def locate(source: str, piece: Piece, start: int, end: int) -> tuple[int, int]:
    """The span of `piece.text[start:end]` in the file, in characters."""
    snippet = piece.text[start:end]
    if source.startswith(piece.text, piece.start):
        return piece.start + start, piece.start + max(end, start + 1)
    head = (
        snippet.splitlines()[0] if snippet.strip() else piece.text.strip().splitlines()[0] if piece.text.strip() else ""
    )
    for form in (snippet, head.strip(), json.dumps(snippet, ensure_ascii=False)[1:-1]):
        at = source.find(form, piece.start) if form else -1
        if at >= 0:
            return at, at + len(form)
    return piece.start, min(len(source), piece.start + 1)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Spans of sentences; a line's end ends one too."""
    for match in re.finditer(r"[^\s].*?(?:[.!?](?=[\s\"')\]]|$)|$)", text, re.M):
        if match.group().strip():
            yield match.span()
