"""Exact match: the answer is the target, up to spacing, and unless asked otherwise case and trailing punctuation."""

from __future__ import annotations

from dataclasses import dataclass, field

from whichway.nouns import Example, Score
from whichway.tasks.metrics._text import Base, plain


@dataclass(frozen=True, slots=True)
class Options:
    """Options of exact match."""

    strict: bool = field(default=False, metadata={"help": "case and punctuation count"})


class Metric(Base):
    """1 when the answer is the target, else 0."""

    name = "exact_match"
    title = "Exact match"

    def __init__(self, options: Options) -> None:
        self.strict = options.strict

    def normal(self, text: str) -> str:
        """Single spaces; without case and trailing punctuation unless strict."""
        return " ".join(text.split()) if self.strict else plain(text)

    def __call__(self, example: Example, text: str) -> Score:
        """Compare an answer with the target."""
        if not text.strip():
            return Score(None, "empty answer")
        return Score(float(self.normal(text) == self.normal(example.target)))
