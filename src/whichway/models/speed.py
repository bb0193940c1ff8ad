"""Seconds that models take to answer on this machine, kept in the model cache once they were measured.

Other programs only ever make work slower, so of the same rows the faster time stands for a month, unless the slower one
is measured twice.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from whichway.measurements import AGREE, DAYS
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
    doubted: bool = False  # whether the last measurement was much slower

    @property
    def old(self) -> bool:
        """Whether it is too long ago to stand against a new one."""
        return datetime.now(UTC).date() - date.fromisoformat(self.measured) > timedelta(days=DAYS)


def machine() -> str:
    """This machine in a few characters: a cache that moves to another one is not believed there."""
    import psutil

    return digest([platform.machine(), platform.node(), psutil.cpu_count(), psutil.virtual_memory().total], 8)


def record(word: str, seconds_per_row: float, way: str, task: str, rows: int) -> None:
    """Keep what a model took; the newest measurement stands, unless it was slow once where it was fast before."""
    new = Speed(round(1000 * seconds_per_row, 3), way, task, rows, datetime.now(UTC).strftime("%Y-%m-%d"))
    before = of(word)
    if before is not None and _slow_once(before, new):
        new = replace(before, doubted=True)
    facts = {name: value for name, value in asdict(new).items() if value is not False}

    def change(known: dict[str, Any]) -> None:
        known.setdefault(machine(), {})[word] = facts

    model_cache.update_json(FILE, change)


def _slow_once(before: Speed, new: Speed) -> bool:
    """Whether a measurement is much slower than one of the same rows, for the first time."""
    same = (before.way, before.task) == (new.way, new.task) and not before.old
    return same and not before.doubted and new.seconds_per_1000 > AGREE * before.seconds_per_1000


def of(word: str) -> Speed | None:
    """What a model took on this machine; None where it was not measured."""
    measured_values = model_cache.read_json(FILE).get(machine(), {}).get(word)
    try:
        return Speed(**measured_values) if measured_values else None
    except TypeError:  # of another version
        return None
