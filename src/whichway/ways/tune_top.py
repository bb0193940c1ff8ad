"""LoRA on the top layers, or all weights of them: everything below is frozen, run once, and kept for epochs and trials.

Trains the part of a model that is most about the task, at a fraction of the time: neither forward nor backward reaches
the layers below. Rates are searched as in `tune_lora`.

With `deeper` it goes from the top down: after `layers`, further numbers of layers are trained in their order on the
first seed, for as long as dev gets better, and the best number is trained for every seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, TrainDevView
from whichway.plurals import plural
from whichway.prompts.plain import base_prompt
from whichway.ways._train import RateTraining, TrainingOptions, rates_of, trained

KIND = "fine-tune"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """What is trained, and how long."""

    layers: int = field(default=2, metadata={"help": "layers to train, counted from the top", "least": 1})
    deeper: tuple[int, ...] = field(
        default=(),
        metadata={"help": "further numbers of layers, tried in this order while dev gets better", "least": 1},
    )
    all_weights: bool = field(default=False, metadata={"help": "train all weights of these layers, not an adapter"})
    rank: int = field(default=16, metadata={"help": "rank of the adapter", "least": 1})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    kind = "top_full" if options.all_weights else "top"
    if not bench.has(kind):
        raise WayFailed("this model's backend cannot train its top layers alone")
    more: dict[str, Any] = {} if options.all_weights else {"rank": options.rank}
    yield from trained(task, bench, kind, options, layers=_depth(task, bench, kind, options, more), **more)


def _depth(task: TrainDevView, bench: Bench, kind: str, options: Options, more: dict[str, Any]) -> int:
    """The number of layers that is trained for every seed."""
    best, chosen = -math.inf, options.layers
    for layers in dict.fromkeys((options.layers, *options.deeper)) if options.deeper else ():
        prompt, numbers = base_prompt(task), {"layers": layers, **more}
        run = RateTraining(task, bench, kind, options, prompt, task.train, numbers, label=plural(layers, "layer"))
        value = max(bench.value(candidate) for candidate in run(rates_of(options, len(task.train))[0], bench.seeds[0]))
        no_better = "" if value > best else ", no better"
        bench.say(f"{plural(layers, 'layer')} from the top: dev {value:.3f}{no_better}")
        if value <= best:
            break
        best, chosen = value, layers
    return chosen
