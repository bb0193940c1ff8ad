"""The most frequent answer of the training rows, whatever the input: what every other way has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Decoding, Prompt, TrainDevView

KIND = "baseline"
RANDOM = False
LEARNS = False  # no row's input plays a part


@dataclass(frozen=True, slots=True)
class Options:
    """This way has no options."""


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield one candidate: the most frequent answer."""
    if task.is_preference:
        raise WayFailed("there is no most frequent answer to preferences")
    base = bench.weights("classical", "majority")
    for adapter in bench.train("majority", base, Prompt(), task.train, seed=0):
        yield Candidate(Prompt(), adapter.weights, Decoding(task.mode), note="most frequent answer")
