"""What hosted models will take, counted in a dry run: tokens of answers and of trainings, and their money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from whichway.contest.plan import Components
from whichway.contracts import TrainsHosted
from whichway.nouns import Adapter, TrainJob, Weights, digest

WITHIN = 1.5  # the factor within which nine of ten estimates came out: benchmarks/results/estimates.md
KEPT = 3  # checkpoints that a service keeps, one for each of the last epochs
WAITED = 900.0  # seconds of a job at a service, which is not probed: a guess

Account = tuple[bool, str]  # whether candidates race, and the contestant


@dataclass(slots=True)
class HostedUsage:
    """What one contestant takes, about and at most."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_trained: int = 0
    usd: float = 0.0
    usd_most: float = 0.0
    priced: bool = True  # whether all of it has a known price


@dataclass(slots=True)
class HostedWork:
    """Counts calls and trainings of hosted models.

    Args:
        components: whose prices count; None: there are none.
    """

    components: Components | None = None
    _usage: dict[Account, HostedUsage] = field(default_factory=dict)

    def ask(self, account: Account, weights: Weights, about: tuple[int, int], most: tuple[int, int]) -> None:
        """Count a call: tokens in and out, about and at most."""
        usage = self._usage.setdefault(account, HostedUsage())
        usage.tokens_in += about[0]
        usage.tokens_out += about[1]
        price = self.components.price_of(weights) if self.components else None
        if price is None:
            usage.priced = False
            return
        usage.usd += price.usd(about[0], 0, about[1])
        usage.usd_most += price.usd(most[0], 0, most[1])

    def train(self, account: Account, service: TrainsHosted, job: TrainJob) -> Iterator[tuple[Adapter, float]]:
        """Made-up checkpoints of a job at a service, each with its share of the training; the job counts once."""
        usage = self._usage.setdefault(account, HostedUsage())
        about, most = service.training_tokens(job)
        usage.tokens_trained += about
        price = self.components.prices.get(job.weights.base) if self.components else None
        usd = None if price is None else price.training_usd(about)
        if price is None or usd is None:
            usage.priced = False
        else:
            usage.usd += usd
            usage.usd_most += price.training_usd(most) or 0.0
        epochs = int(job.options.get("n_epochs", 1))
        for epoch in range(max(1, epochs - KEPT + 1), epochs + 1):
            weights = replace(job.weights, adapter=digest(["rehearsed", job.id, epoch]), kind=job.kind)
            yield Adapter(weights, epoch, float(epoch), None, WAITED, about, 0), epoch / epochs

    def of(self, contestant: str, cap: float | None) -> dict[str, Any] | None:
        """What a contestant takes, as fields of its estimate; None where it asks no hosted model.

        The most is that of the contest without racing, which nothing drops.
        """
        usages = [usage for (_, name), usage in sorted(self._usage.items()) if name == contestant]
        if not usages:
            return None
        raced, whole = usages[-1], usages[0]
        counts = {name: getattr(raced, name) for name in ("tokens_in", "tokens_out", "tokens_trained")}
        if not raced.priced:
            return counts
        most = whole.usd_most if cap is None else min(whole.usd_most, cap)
        usd = min(raced.usd, most)
        return {**counts, "usd": usd, "usd_low": usd / WITHIN, "usd_high": most}
