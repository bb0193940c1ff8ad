"""Where a training stands, and how its caller stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Now:
    """Where a training stands."""

    step: int
    steps: int
    loss: float  # of this step, nats per trained token
    tokens: int
    seconds: float


Watch = Callable[[Now], None]


class Stop(Exception):
    """A watcher's wish to stop: the state is saved, and the same job goes on from there another time."""
