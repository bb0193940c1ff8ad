"""Differences between two ways turned so that they read as the report asks: the choice first, or the better way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whichway.nouns import Pair


@dataclass(frozen=True, slots=True)
class Contrast:
    """A pair turned so that the choice, or else the better way, stands first: first minus second."""

    first: str
    second: str
    difference: float | None
    low: float | None
    high: float | None
    p_holm: float | None
    wins: int
    losses: int


def _turn(pair: Pair, forward: bool) -> Contrast:
    """A pair as second minus first (forward, as stored) or as first minus second."""
    if forward:
        values = (pair.second, pair.first, pair.difference, pair.low, pair.high)
        return Contrast(*values, pair.p_holm, pair.wins, pair.losses)
    low, high = (None if value is None else 0.0 - value for value in (pair.high, pair.low))
    difference = None if pair.difference is None else 0.0 - pair.difference
    return Contrast(pair.first, pair.second, difference, low, high, pair.p_holm, pair.losses, pair.wins)


def contrasts(pairs: Sequence[Pair], choice: str | None) -> tuple[list[Contrast], list[Contrast]]:
    """The choice against each other way, and all other pairs with the better way first.

    Args:
        pairs: of the verdict.
        choice: the way that it takes.
    """
    with_choice = [_turn(p, p.second == choice) for p in pairs if choice in (p.first, p.second)]
    others = [_turn(p, (p.difference or 0.0) > 0) for p in pairs if choice not in (p.first, p.second)]
    with_choice.sort(key=lambda c: (c.difference is None, c.difference or 0.0, c.second))
    others.sort(key=lambda c: (c.difference is None, -(c.difference or 0.0), c.first, c.second))
    return with_choice, others
