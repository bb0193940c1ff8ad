"""Which mutations to draw next: those that helped, and those not tried yet; one that never helps is paused.

A bandit with few pulls: an idea's chance is its weight at first times its share of proposals that beat the prompt they
started from (with one success and one failure assumed: Laplace's rule). No idea is drawn twice in a batch before all
others were. Batches are drawn before anybody has looked at their scores, which selects less by luck.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class MutationStats:
    """The record of one mutation: tries, wins, and batches since the last win."""

    weight: float
    tries: int = 0
    wins: int = 0
    barren: int = 0  # batches since the last win

    @property
    def chance(self) -> float:
        """Relative chance to be drawn."""
        return self.weight * (self.wins + 1) / (self.tries + 2)


@dataclass(slots=True)
class Bandit:
    """A bandit over the mutations of one search.

    Args:
        weights: idea -> weight at first.
        patience: batches without a win after which an idea is rested.
    """

    weights: Mapping[str, float]
    patience: int = 2
    records: dict[str, MutationStats] = field(init=False)

    def __post_init__(self) -> None:
        self.records = {name: MutationStats(weight) for name, weight in self.weights.items()}

    @property
    def live(self) -> list[str]:
        """Mutations that are not paused."""
        return [name for name, record in self.records.items() if record.barren < self.patience]

    def order(self, rng: random.Random) -> list[str]:
        """All live mutations, once each: those not tried yet by weight, then the others drawn by their chances."""
        fresh = [name for name in self.live if not self.records[name].tries]
        rest = [name for name in self.live if self.records[name].tries]
        keys = {name: rng.random() ** (1 / self.records[name].chance) for name in rest}  # Efraimidis & Spirakis 2006
        return sorted(fresh, key=lambda name: -self.records[name].weight) + sorted(rest, key=lambda name: -keys[name])

    def learn(self, won: Mapping[str, bool]) -> None:
        """Update the statistics of each mutation with the results of a batch.

        Args:
            won: idea -> whether a proposal of it beat the prompt that it started from.
        """
        for name, success in won.items():
            record = self.records[name]
            record.tries += 1
            record.wins += success
            record.barren = 0 if success else record.barren + 1

    def fail(self, name: str) -> None:
        """Count a try of a mutation that proposed nothing, or whose proposal a guard refused."""
        self.records[name].barren += 1
