"""Seconds that models take to answer on this machine, kept in the model cache once they were measured."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from whichway.models import model_cache
from whichway.nouns import digest

FILE = "speed.json"


@dataclass(frozen=True, slots=True)
class Speed:
    """What a thousand rows took, in which run."""

    seconds_per_1000: float
    way: str  # the way whose finalists answered
    task: str
    rows: int  # measured
    measured: str  # the day


def machine() -> str:
    """This machine in a few characters: a cache that moves to another one is not believed there."""
    import psutil

    return digest([platform.machine(), platform.node(), psutil.cpu_count(), psutil.virtual_memory().total], 8)


def record(word: str, seconds_per_row: float, way: str, task: str, rows: int) -> None:
    """Keep what a model took; the newest measurement stands."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    facts = asdict(Speed(round(1000 * seconds_per_row, 3), way, task, rows, day))

    def change(known: dict[str, Any]) -> None:
        known.setdefault(machine(), {})[word] = facts

    model_cache.update_json(FILE, change)


def of(word: str) -> Speed | None:
    """What a model took on this machine; None where it was not measured."""
    measured_values = model_cache.read_json(FILE).get(machine(), {}).get(word)
    try:
        return Speed(**measured_values) if measured_values else None
    except TypeError:  # of another version
        return None
