"""Preference: the share of rows whose chosen answer the model finds likelier than the rejected one.

The answer that is judged is the likelier of the two, each by the log-probability of all its tokens: summed, or per
token, which does not favour short answers (`per_token`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from whichway.nouns import Example, Score
from whichway.tasks.metrics._text import Base


@dataclass(frozen=True, slots=True)
class Options:
    """How the two answers are compared."""

    per_token: bool = field(default=False, metadata={"help": "compare log-probabilities per token, not their sums"})


class Metric(Base):
    """1 when the chosen answer is the likelier one."""

    name = "preference"

    def __init__(self, options: Options) -> None:
        self.per_token = options.per_token

    def normal(self, text: str) -> str:
        """The answer as it is: two answers may differ in little."""
        return text.strip()

    def __call__(self, example: Example, text: str) -> Score:
        """Compare the likelier answer with the chosen one."""
        answer = self.normal(text)
        if not answer:
            return Score(None, "empty answer")
        return Score(float(answer == self.normal(example.target)))
