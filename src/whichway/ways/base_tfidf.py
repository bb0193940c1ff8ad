"""Word and character TF-IDF with logistic regression: does the task need a language model at all?

Without a closed label set it answers with the target of the most similar training row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Decoding, Prompt, TrainDevView

KIND = "baseline"
RANDOM = False


@dataclass(frozen=True, slots=True)
class Options:
    """This way has no options."""


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield one candidate: a classifier on TF-IDF."""
    if task.is_preference:
        raise WayFailed("word counts cannot tell which of two answers is preferred")
    base = bench.weights("classical", "tfidf")
    note = "word and character TF-IDF, logistic regression" if task.labels else "answer of the most similar row"
    for adapter in bench.train("tfidf", base, Prompt(), task.train, seed=0):
        yield Candidate(Prompt(), adapter.weights, Decoding(task.mode), note=note)
