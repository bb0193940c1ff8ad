"""Multi-label: F1 of the set of labels in an answer against the target's, row by row (sample-averaged F1).

Godbole & Sarawagi 2004, "Discriminative methods for multi-labeled classification". With `exact`, a row counts only
when the sets are equal (subset accuracy).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from whichway.nouns import Example, Score
from whichway.tasks.metrics._text import Base, plain

_MARKS = re.compile(r"[;|\n]|(?<!\d),|,(?!\d)|^\s*[-*•]\s+", re.MULTILINE)
_EMPTY = frozenset({"none", "[]", "no label", "no labels"})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of multi_label."""

    labels: tuple[str, ...] = field(
        default=(), metadata={"help": "allowed labels; filled in from the task. Empty: any word can be one"}
    )
    exact: bool = field(default=False, metadata={"help": "a row counts only when all labels are right"})


class Metric(Base):
    """F1 of two sets of labels; an answer without any allowed label is unread, unless it says none."""

    name = "multi_label"

    def __init__(self, options: Options) -> None:
        self.exact = options.exact
        self.labels = {plain(label): label for label in options.labels}

    def normal(self, text: str) -> str:
        """The labels in one spelling and order."""
        return ", ".join(sorted(self.read(text)))

    def __call__(self, example: Example, text: str) -> Score:
        """Compare an answer's labels with the target's; labels that are not allowed count as wrong ones."""
        answer, wanted = self.read(text), self.read(example.target)
        if not answer and plain(text) not in _EMPTY:
            return Score(None, f"no label: {text.strip()[:60]!r}")
        if self.labels and answer and not answer & self.labels.keys():
            return Score(None, f"no label: {text.strip()[:60]!r}")
        if self.exact:
            return Score(float(answer == wanted))
        if not answer and not wanted:
            return Score(1.0)
        return Score(2 * len(answer & wanted) / (len(answer) + len(wanted)))

    def read(self, text: str) -> frozenset[str]:
        """The labels that an answer names: divided at commas, semicolons, bars, lines and bullets."""
        bare = text.strip()
        whole = plain(bare)
        if whole in self.labels:
            return frozenset({whole})
        if whole in _EMPTY:
            return frozenset()
        inner = bare[1:-1] if bare.startswith("[") and bare.endswith("]") else bare
        marks = re.compile(r"[;\n]|^\s*[-*•]\s+", re.MULTILINE) if self._commas and ";" in inner else _MARKS
        parts = {plain(part) for part in marks.split(inner)}
        return frozenset(part for part in parts if part and part not in _EMPTY - self.labels.keys())

    @property
    def _commas(self) -> bool:
        """Whether a label holds a comma, so that labels are divided by semicolons."""
        return any("," in label for label in self.labels)
