"""What the closed-label metrics share: read a label off an answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from whichway.nouns import Example, Score
from whichway.tasks.metrics._text import Base


@dataclass(frozen=True, slots=True)
class Options:
    """Options of closed-label metrics."""

    labels: tuple[str, ...] = field(
        default=(), metadata={"help": "allowed answers; filled in from the task. Empty: any answer can be read"}
    )


class Closed(Base):
    """1 when the answer is the target's label, 0 when it is another label, none when it is no label."""

    closed = True

    def __init__(self, options: Options) -> None:
        self.labels = frozenset(self.normal(label) for label in options.labels)

    def __call__(self, example: Example, text: str) -> Score:
        """Compare an answer with the target, as labels."""
        answer = self.normal(text)
        if not answer:
            return Score(None, "empty answer")
        if self.labels and answer not in self.labels:
            return Score(None, f"no label: {text.strip()[:60]!r}")
        return Score(float(answer == self.normal(example.target)))
