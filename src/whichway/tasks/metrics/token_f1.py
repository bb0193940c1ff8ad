"""Token F1: overlap of the words of answer and target (Rajpurkar et al. 2016, arXiv 1606.05250).

Departs from SQuAD's script in keeping articles and in splitting Chinese and Japanese by character.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from whichway.nouns import Example, Score
from whichway.tasks.metrics._text import Base, words


@dataclass(frozen=True, slots=True)
class Options:
    """Token F1 has no options."""


class Metric(Base):
    """Harmonic mean of the share of answer words in the target and of target words in the answer."""

    name = "token_f1"
    title = "Token F1"

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, example: Example, text: str) -> Score:
        """Compare an answer with the target, word by word."""
        if not text.strip():
            return Score(None, "empty answer")
        answer, target = Counter(words(text)), Counter(words(example.target))
        if not answer or not target:  # symbols only
            return Score(float(self.normal(text) == self.normal(example.target)))
        return Score(2 * (answer & target).total() / (answer.total() + target.total()))
