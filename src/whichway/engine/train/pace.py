"""The counted work of a training: its tokens, and the seconds they take while the machine does nothing else.

A busy moment makes some steps slow, never fast; so what a token takes is the median over the steps of a checkpoint.
"""

from __future__ import annotations

import statistics
from typing import Protocol


class CountedSteps(Protocol):
    """Where a training stands, as far as its work is counted."""

    tokens: int
    paces: list[float]  # seconds of a token in each step since the last checkpoint
    work_tokens: int  # up to the last checkpoint
    work_seconds: float


def count_step(at: CountedSteps, tokens: int, seconds: float) -> None:
    """Note a step of some tokens."""
    at.paces.append(seconds / max(1, tokens))


def settle(at: CountedSteps) -> tuple[float, float]:
    """Tokens since the start of the training, and the seconds that they take; called at a checkpoint."""
    if at.paces:
        at.work_seconds += statistics.median(at.paces) * (at.tokens - at.work_tokens)
    at.work_tokens = at.tokens
    at.paces.clear()
    return float(at.tokens), at.work_seconds
