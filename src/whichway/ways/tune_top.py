"""LoRA on the top layers, or all weights of them: everything below is frozen, run once, and kept for epochs and trials.

Trains the part of a model that is most about the task, at a fraction of the time: neither forward nor backward reaches
the layers below. Rates are searched as in `tune_lora`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Practice
from whichway.ways._train import trained

KIND = "fine-tune"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options:
    """What is trained, and how long."""

    rate: float = field(default=0.0, metadata={"help": "learning rate; 0: searched"})
    factors: tuple[float, ...] = field(
        default=(0.5, 1.0, 2.0), metadata={"help": "rates to search, times the rule of thumb for the model's width"}
    )
    layers: int = field(default=2, metadata={"help": "layers to train, counted from the top"})
    all_weights: bool = field(default=False, metadata={"help": "train all weights of these layers, not an adapter"})
    rank: int = field(default=16, metadata={"help": "rank of the adapter"})
    epochs: int = field(default=6, metadata={"help": "passes over the training rows"})
    steps: int = field(default=100, metadata={"help": "steps at least; few rows are passed over more often for it"})
    batch: int = field(default=16, metadata={"help": "rows per step"})
    checkpoints: int = field(
        default=4, metadata={"help": "checkpoints of a run, the best is kept; rates are thinned out at 1/4 and 1/2"}
    )
    max_tokens: int = field(default=128, metadata={"help": "longest written answer, in tokens (free text only)"})


def adapt(task: Practice, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    kind = "top_full" if options.all_weights else "top"
    if not bench.has(kind):
        raise WayFailed("this model's backend cannot train its top layers alone")
    more = {} if options.all_weights else {"rank": options.rank}
    yield from trained(task, bench, kind, options, layers=options.layers, **more)
