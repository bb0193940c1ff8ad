"""Preferences: direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) of a LoRA adapter.

Rows have a wanted and a rejected answer. The adapter learns to make the wanted one likelier than the frozen base does,
and the rejected one less likely. Rates are searched as in `tune_lora`, a tenth as high.
"""

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

    epochs: int = field(default=3, metadata={"help": "passes over the training rows", "least": 1})
    rank: int = field(default=16, metadata={"help": "rank of the adapter", "least": 1})
    beta: float = field(
        default=0.1,
        metadata={"help": "strength of the pull towards the base model: a larger beta keeps the policy closer to it"},
    )


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    if not task.is_preference:
        raise WayFailed("preferences want rows with a chosen and a rejected answer; use tune_lora for answers alone")
    if not bench.has("dpo"):
        raise WayFailed("this model's backend cannot train on preferences")
    yield from trained(task, bench, "dpo", options, rank=options.rank, beta=options.beta)
