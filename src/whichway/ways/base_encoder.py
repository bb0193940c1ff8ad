"""A small sentence encoder, and a logistic head on its mean-pooled states: no language model.

SetFit's second half (Tunstall et al. 2022, arXiv 2209.11055); `tune_encoder` trains the encoder too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Decoding, Prompt, TrainDevView
from whichway.prompts.nearest import DEFAULT, MODEL, named, not_here

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
    if not task.labels:
        raise WayFailed("an encoder's head needs a closed set of labels")
    for adapter in bench.train("encoder", base, Prompt(), task.train, seed=0):
        yield Candidate(Prompt(), adapter.weights, Decoding("choose"), note=f"logistic head on {named(base)}")
