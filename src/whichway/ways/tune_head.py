"""LoRA with a linear head over the labels on the last token's state (arXiv 2512.12677), for closed label sets.

An answer is one forward pass without label tokens, and the prompt need not list the labels. By default the adapter is
on the upper half of the layers: what the lower half computes is kept for all epochs, trials and seeds, so that a step
takes four tenths of `tune_lora`'s. Rates are searched as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, TrainDevView
from whichway.prompts.plain import base_prompt
from whichway.ways._train import FEW, SEARCHED_FROM, TrainingOptions, trained

KIND = "fine-tune"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """What is trained, and how long."""

    search_from: int = field(default=FEW, metadata=SEARCHED_FROM)
    rank: int = field(default=16, metadata={"help": "rank of the adapter", "least": 1})
    share: float = field(
        default=0.5,
        metadata={
            "help": "share of the layers, counted from the top, that get the adapter; what lies below is run once",
            "above": 0,
        },
    )
    init: Literal["zeros", "logistic"] = field(
        default="zeros", metadata={"help": "start of the head: zeros, or a logistic fit on the frozen states"}
    )
    list_labels: bool = field(default=False, metadata={"help": "list the labels in the prompt"})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    if not task.labels:
        raise WayFailed("a head needs a closed set of labels")
    if not bench.has("head"):
        raise WayFailed("this model's backend cannot train a head over the labels")
    prompt = base_prompt(task)
    if not (options.list_labels or task.prompts):
        prompt = replace(prompt, labels=())
    more: dict[str, Any] = {"rank": options.rank, "init": options.init, "share": options.share}
    yield from trained(task, bench, "head", options, prompt=prompt, **more)
