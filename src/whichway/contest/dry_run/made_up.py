"""Answers and vectors of a simulated contest: made up from the rows alone, the same on the same rows for everybody."""

from __future__ import annotations

import math
from typing import Any

from whichway.nouns import Example, Task, digest

CHARACTERS_PER_TOKEN = 3.0  # careful: most texts have four
SUREST, LEAST_SURE = 0.95, 0.6  # of the easiest row, and of the hardest


def made_up(text: str) -> Any:
    """A direction of its own for each text."""
    import numpy as np

    vector = np.random.default_rng(int(digest(["rehearsed", text]), 16)).normal(size=16).astype(np.float32)
    return vector / np.linalg.norm(vector)


def own_text(row: Example) -> str:
    """The row's own words: its text, or the last turn of a conversation."""
    return row.turns[-1].content if row.turns else row.text


def answer_tokens(task: Task) -> int:
    """Tokens that a trained model will write for nearly every row."""
    sizes = sorted(len(row.target) for row in (*task.train, *task.dev, *task.test))
    return math.ceil(sizes[int(0.95 * (len(sizes) - 1))] / CHARACTERS_PER_TOKEN) + 2


def right(row: str, share: float) -> bool:
    """Whether a made-up answer to this row is right, where this share of all rows is."""
    return _difficulty(row) < share


def chance(row: str) -> float:
    """The probability that a made-up answer gives itself: everybody is surest on the rows that everybody gets right."""
    return SUREST - (SUREST - LEAST_SURE) * _difficulty(row)


def _difficulty(row: str) -> float:
    """From 0, the easiest row, to 1."""
    return int(digest(["rehearsed", row], 8), 16) / 16**8
