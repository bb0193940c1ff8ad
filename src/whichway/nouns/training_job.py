"""A training: its rows, its job, and the checkpoints that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whichway.nouns.candidate import Weights
from whichway.nouns.example import Message
from whichway.nouns.json_form import LATE, digest


@dataclass(frozen=True, slots=True)
class TrainRow:
    """One row as the trainer and the evaluator both see it: rendered messages and the answer that follows."""

    messages: tuple[Message, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class TrainJob:
    """A training: what to train, on which rows, with which numbers. Its digest is the cache key.

    Rows of the kind "dpo" come in pairs: the wanted answer, then the rejected one.
    """

    kind: str  # "lora", "full", "probe", "tfidf", "majority", ...
    weights: Weights  # the start
    rows: tuple[TrainRow, ...]
    labels: tuple[str, ...]
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)  # rate, epochs, rank, ...; each kind refuses unknown ones

    @property
    def id(self) -> str:
        """The digest of its content, which is the key in the cache."""
        return digest([self.kind, self.weights.key, self.rows, self.labels, self.seed, self.options], 32)

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of the steps that are done at each checkpoint: the option `checkpoints`, a number or the shares."""
        checkpoints = self.options.get("checkpoints") or 1
        return (
            tuple((k + 1) / checkpoints for k in range(checkpoints))
            if isinstance(checkpoints, int)
            else tuple(checkpoints)
        )


@dataclass(frozen=True, slots=True)
class Adapter:
    """A checkpoint that a training gives: weights that can answer, and what they cost so far."""

    weights: Weights
    step: int
    epoch: float
    loss: float | None  # mean training loss since the last checkpoint, nats per trained token
    seconds: float  # since the start of the training
    tokens: int  # trained and read so far
    bytes: int  # size of the trained part on disk
    peak_bytes: int | None = field(default=None, metadata=LATE)  # memory of the training process at its most
    # counted work since the start: "read", "train" or "fit" -> units, and seconds without a busy moment of the machine
    work: Mapping[str, tuple[float, float]] = field(default_factory=dict, metadata=LATE)
    name: str = field(default="", metadata=LATE)  # what the service that trained it calls the model
    notice: str = field(default="", metadata=LATE)  # what this service says of the model's future, as a sentence
    # of the frozen weights' products, where the job asked for int8: "int8", or "exact" where its rows did not allow it
    precision: str = field(default="", metadata=LATE)
