"""Where a training stands, and how its caller stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Where a training stands."""

    step: int
    steps: int
    loss: float  # of this step, nats per trained token
    tokens: int
    seconds: float


ProgressWatcher = Callable[[TrainProgress], None]


class StopTraining(Exception):
    """A watcher wants to stop: the state is saved, and the same job goes on from there another time."""
