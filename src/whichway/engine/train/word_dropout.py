"""Word dropout (Iyyer et al. 2015; random deletion of Wei & Zou 2019): each step leaves out some of a row's own words.

A few hundred rows are soon known by heart, by whatever single word tells them apart. What is left out is drawn anew at
every step, from the seed and the step alone. Instructions, labels, marks of the chat and the answer always stay.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from whichway.engine.model import packing
from whichway.engine.train.adapter_check import Encoded


@dataclass(frozen=True, slots=True)
class WordDropout:
    """Leaves out tokens between what all prompts begin with and what all of them end with."""

    share: float  # of the tokens in between
    head: int  # tokens that all prompts begin with
    tail: int  # tokens that all prompts end with
    marks: Collection[int]  # ids that always stay

    @classmethod
    def of(cls, rows: Sequence[Encoded], share: float, head: int, marks: Collection[int]) -> WordDropout:
        """For a training on `rows`, which share their first `head` tokens."""
        same = packing.agree([row.prompt[::-1] for row in rows])
        shortest = min(len(row.prompt) for row in rows)
        return cls(share, head, min(same, shortest - head), frozenset(marks))

    def __call__(self, rows: Sequence[Encoded], drawn: random.Random) -> list[Encoded]:
        """The rows without some of their tokens; at least one stays."""
        return [self._thinned(row, drawn) for row in rows]

    def _thinned(self, row: Encoded, drawn: random.Random) -> Encoded:
        end = len(row.prompt) - self.tail
        own = row.prompt[self.head : end]
        remaining = [token for token in own if token in self.marks or drawn.random() >= self.share]
        return Encoded([*row.prompt[: self.head], *(remaining or own), *row.prompt[end:]], row.answer)
