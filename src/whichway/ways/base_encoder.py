"""A small sentence encoder, and a logistic head on its mean-pooled states: no language model.

Where a row may have several labels, each label has a head of its own and the training rows choose the threshold.
SetFit's second half (Tunstall et al. 2022, arXiv 2209.11055); `tune_encoder` trains the encoder too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Decoding, Prompt, TrainDevView
from whichway.prompts.nearest import DEFAULT, MODEL, named, not_here
from whichway.ways._train import label_set_options

KIND = "baseline"
RANDOM = False


@dataclass(frozen=True, slots=True)
class Options:
    """The encoder to use."""

    model: str = field(default=DEFAULT, metadata=MODEL)


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield one candidate: a classifier on the encoder's vectors."""
    base = bench.encoder(options.model)
    if base is None:
        raise WayFailed(not_here(options.model, "base_encoder"))
    options_of_task = label_set_options(task)
    if not task.labels and not options_of_task:
        raise WayFailed("an encoder's head needs a closed set of labels")
    kind, note = "encoder", f"logistic head on {named(base)}"
    if options_of_task:
        kind, note = "encoder_multi_label", f"logistic head for each label on {named(base)}"
    for adapter in bench.train(kind, base, Prompt(), task.train, seed=0, **options_of_task):
        yield Candidate(Prompt(), adapter.weights, Decoding(task.mode), note=note)
