"""Numeric: the last number in the answer is the target's number, within a tolerance."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from whichway.nouns import Example, Score
from whichway.tasks.metrics._text import Base

_NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of numeric."""

    tolerance: float = field(default=0.0, metadata={"help": "largest difference that counts as right"})
    relative: float = field(default=1e-6, metadata={"help": "the same as a share of the target"})


class Metric(Base):
    """1 when the numbers agree, else 0; none when the answer holds no number."""

    name = "numeric"

    def __init__(self, options: Options) -> None:
        self.options = options

    def normal(self, text: str) -> str:
        """The last number in one spelling, or "" without one."""
        value = number(text)
        return "" if value is None else f"{value:.12g}"

    def __call__(self, example: Example, text: str) -> Score:
        """Compare the last number in an answer with the last one in the target."""
        answer, target = number(text), number(example.target)
        if answer is None or target is None:
            return Score(None, f"no number in {'the answer' if answer is None else 'the target'}")
        allowed = max(self.options.tolerance, self.options.relative * abs(target))
        return Score(float(abs(answer - target) <= allowed))


def number(text: str) -> float | None:
    """The last number in a text: signs, decimals, exponents and thousands commas are read; None without one."""
    numbers = _NUMBER.findall(text)
    value = float(numbers[-1].replace(",", "").replace("−", "-")) if numbers else math.inf
    return value if math.isfinite(value) else None


def is_number(text: str) -> bool:
    """Whether a text is one number and nothing else."""
    return _NUMBER.fullmatch(text.strip()) is not None and number(text) is not None
