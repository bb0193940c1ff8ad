"""Word and character TF-IDF with logistic regression: does the task need a language model at all?

Where a row may have several labels, each label has a regression of its own and the training rows choose the threshold.
Without labels it answers with the target of the most similar training row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Decoding, Prompt, TrainDevView
from whichway.ways._train import label_set_options

KIND = "baseline"
RANDOM = False


@dataclass(frozen=True, slots=True)
class Options:
    """This way has no options."""


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield one candidate: a classifier on TF-IDF."""
    if task.is_preference:
        raise WayFailed("word counts cannot tell which of two answers is preferred")
    base, options_of_task = bench.weights("classical", "tfidf"), label_set_options(task)
    kind = "tfidf_multi_label" if options_of_task else "tfidf"
    note = "word and character TF-IDF, logistic regression" if task.labels else "answer of the most similar row"
    note = "word and character TF-IDF, logistic regression for each label" if options_of_task else note
    for adapter in bench.train(kind, base, Prompt(), task.train, seed=0, **options_of_task):
        yield Candidate(Prompt(), adapter.weights, Decoding(task.mode), note=note)
