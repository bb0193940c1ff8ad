"""LoRA on the top layers, or all weights of them: everything below is frozen, run once, and kept for epochs and trials.

Trains the part of a model that is most about the task, at a fraction of the time: neither forward nor backward reaches
the layers below. Rates are searched as in `tune_lora`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, TrainDevView
from whichway.ways._train import TrainingOptions, trained

KIND = "fine-tune"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """What is trained, and how long."""

    layers: int = field(default=2, metadata={"help": "layers to train, counted from the top", "least": 1})
    all_weights: bool = field(default=False, metadata={"help": "train all weights of these layers, not an adapter"})
    rank: int = field(default=16, metadata={"help": "rank of the adapter", "least": 1})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    kind = "top_full" if options.all_weights else "top"
    if not bench.has(kind):
        raise WayFailed("this model's backend cannot train its top layers alone")
    more: dict[str, Any] = {} if options.all_weights else {"rank": options.rank}
    yield from trained(task, bench, kind, options, layers=options.layers, **more)
