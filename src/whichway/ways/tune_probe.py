"""Logistic regression on the frozen model's hidden states: one forward pass, seconds; often all a classifier needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Decoding, TrainDevView
from whichway.prompts.plain import base_prompt

KIND = "fine-tune"
RANDOM = False


@dataclass(frozen=True, slots=True)
class Options:
    """This way has no options: the regularisation is chosen by cross-validation on the training rows."""


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield one candidate: a classifier on the frozen model's hidden states."""
    if not task.labels:
        raise WayFailed("a probe needs a closed set of labels")
    if not bench.has("probe"):
        raise WayFailed("this model's backend cannot train a probe")
    prompt = base_prompt(task)
    for adapter in bench.train("probe", bench.base, prompt, task.train, seed=0):
        yield Candidate(prompt, adapter.weights, Decoding(mode="choose"), note="head on hidden states")
