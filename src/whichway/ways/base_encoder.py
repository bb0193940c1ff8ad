"""A small sentence encoder of the user's choice, and a logistic head on its mean-pooled states: no language model.

SetFit's second half (Tunstall et al. 2022, arXiv 2209.11055); its contrastive tuning of the encoder is left out. No
encoder comes along, so it must be named: `--set base_encoder.model=FOLDER` or a hub name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Decoding, Practice, Prompt

KIND = "baseline"
RANDOM = False


@dataclass(frozen=True, slots=True)
class Options:
    """Which encoder."""

    model: str = field(default="", metadata={"help": "folder or hub name of a sentence encoder; must be given"})


def adapt(task: Practice, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield one candidate."""
    if not options.model:
        raise WayFailed("no sentence encoder was named; give one with --set base_encoder.model=FOLDER or a hub name")
    if not task.labels:
        raise WayFailed("an encoder's head needs a closed set of labels")
    base = bench.weights("encoder", options.model)
    for adapter in bench.train("encoder", base, Prompt(), task.train, seed=0):
        yield Candidate(Prompt(), adapter.weights, Decoding("choose"), note=f"logistic head on {options.model}")
