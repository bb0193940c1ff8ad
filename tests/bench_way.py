"""A way for tests of the bench: it hands its bench to a function and yields the candidate that this returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from whichway.contracts import Bench
from whichway.nouns import Candidate, TrainDevView


class BenchWay:
    """A prompt way whose work is given."""

    KIND = "prompt"
    RANDOM = False

    def __init__(self, work: Callable[[TrainDevView, Bench], Candidate]) -> None:
        from whichway.ways.prompt_plain import Options

        self.Options, self.work = Options, work

    def adapt(self, task: TrainDevView, bench: Bench, options: Any) -> Iterator[Candidate]:
        """Do the work."""
        yield self.work(task, bench)
