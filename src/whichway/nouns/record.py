"""One question to a model, its reply, and the record of how it was judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from whichway.nouns.candidate import Decoding
from whichway.nouns.example import Message, Split
from whichway.nouns.json_form import LATE

Outcome = Literal["ok", "unparsed", "error"]


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a session: rendered messages; with `labels`, the answer is one of them."""

    messages: tuple[Message, ...]
    decoding: Decoding
    labels: tuple[str, ...] = ()
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a session answers. Tokens are counted, not estimated; seconds are this row's share of its batch."""

    text: str
    tokens_in: int = 0  # prompt tokens computed for this row
    tokens_cached: int = 0  # prompt tokens reused from a shared prefix
    tokens_out: int = 0
    seconds: float = 0.0
    scores: Mapping[str, float] = field(
        default_factory=dict
    )  # label -> log-probability among the labels, when choosing
    finish: Literal["stop", "length", "error"] = "stop"
    error: str = ""
    thoughts: str = field(default="", metadata=LATE)  # what was written, where the answer was read off it
    unread: str = field(default="", metadata=LATE)  # why no answer could be read off what was written
    trimmed: int = field(default=0, metadata=LATE)  # oldest turns left out, so that the conversation fits the model
    # by the clock, where `seconds` are the list price of counted work; None: they are those of the clock
    wall: float | None = field(default=None, metadata=LATE)
    # the row was read before, for another way: the seconds are those of that reading, and nothing is paid
    recalled: bool = field(default=False, metadata=LATE)
    # of a cascade whose first answer was not sure enough: the answers of its stages so far, the last of which counts;
    # tokens and seconds are theirs together
    stages: tuple[Reply, ...] = field(default=(), metadata=LATE)

    @property
    def stage(self) -> int:
        """Which stage of its candidate answered; 0: the first, or the only one."""
        return max(0, len(self.stages) - 1)


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's judgement of one answer: a value in 0..1, or None with the reason (no answer could be read)."""

    value: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One row: what one candidate did on one example, once. Every number anyone sees comes from records."""

    candidate: str
    example: str
    split: Split
    repeat: int
    outcome: Outcome
    score: float | None
    text: str
    why: str  # why there is no score; the thoughts, where the answer was read off some
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    seconds: float  # list price: counted work where the backend counts it, else by the clock
    usd: float  # list price
    cached: bool = False  # answered from the cache when this line was written
    # label -> log-probability among the labels; kept where the metric reads it
    scores: Mapping[str, float] = field(default_factory=dict, metadata=LATE)
    wall: float | None = field(default=None, metadata=LATE)  # seconds by the clock, where `seconds` are counted work
    stage: int = field(default=0, metadata=LATE)  # which stage of a cascade answered; 0: the first, or the only one

    @property
    def points(self) -> float:
        """The score; 0 for an answer that could not be read, whose share is always reported beside it."""
        return self.score or 0.0
