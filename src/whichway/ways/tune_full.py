"""Full fine-tune: every weight moves. Its rate is about a tenth of an adapter's; searched the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, TrainDevView
from whichway.ways._train import TrainingOptions, trained

KIND = "fine-tune"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """What is trained, and how long."""

    epochs: int = field(default=4, metadata={"help": "passes over the training rows", "least": 1})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    if not bench.has("full"):
        raise WayFailed("this model's backend cannot train all weights")
    yield from trained(task, bench, "full", options)
