"""A small sentence encoder trained as a whole, with a linear head over the labels: no language model.

The tuning that many users should take: a 22 M encoder answers in milliseconds and is trained in minutes (SetFit,
Tunstall et al. 2022, arXiv 2209.11055; encoders above larger decoders on classification: arXiv 2507.11412). The head
starts as `base_encoder`'s; where a row may have several labels, each has a probability of its own. The rate is searched
as for language models; `contrastive` is SetFit's warm-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Prompt, TrainDevView
from whichway.prompts.nearest import DEFAULT, MODEL, not_here
from whichway.ways._train import TrainingOptions, label_set_options, trained

KIND = "fine-tune"
RANDOM = True
OWN_MODEL = True  # the model under trial plays no part


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """Which encoder, and how long it is trained."""

    model: str = field(default=DEFAULT, metadata=MODEL)
    epochs: int = field(default=8, metadata={"help": "passes over the training rows", "least": 1})
    checkpoints: int = field(
        default=3,
        metadata={
            "help": "checkpoints of a run, one is kept by dev; successive halving drops rates at the first two",
            "least": 1,
        },
    )
    contrastive: float = field(
        default=0.0,
        metadata={"help": "share of the steps that come first and pull texts of one label together", "below": 1},
    )
    init: Literal["logistic", "zeros"] = field(
        default="logistic", metadata={"help": "the head at the start: logistic (fitted on the encoder's states), zeros"}
    )


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the runs, seed by seed."""
    base = bench.encoder(options.model)
    if base is None:
        raise WayFailed(not_here(options.model, "tune_encoder"))
    options_of_task = label_set_options(task)
    if not task.labels and not options_of_task:
        raise WayFailed("an encoder's head needs a closed set of labels")
    more: dict[str, Any] = {"init": options.init} if options.init != "logistic" else {}
    more |= {"contrastive": options.contrastive} if options.contrastive else {}
    kind = "encoder_full_multi_label" if options_of_task else "encoder_full"
    yield from trained(task, bench, kind, options, Prompt(), start=base, **more, **options_of_task)
