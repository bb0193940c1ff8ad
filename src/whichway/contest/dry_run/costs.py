"""What answering and training take on this machine, and the rows on which a probe measures it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FEW, CHUNK = 8, 64  # rows answered at first, and at most
SHORT = 0.6  # seconds in which the few rows were answered, so that a whole chunk may be


@dataclass(frozen=True, slots=True)
class Answering:
    """What a row of some shape takes."""

    seconds: float  # behind a shared prompt that was read before
    memory_bytes: int  # of this process, afterwards
    prefix: float = 0.0  # seconds to read the prompt that rows share, once for rows in a row
    opening: float = 0.0  # seconds by the clock to load a trained part, which no ledger holds


@dataclass(frozen=True, slots=True)
class Learning:
    """What a training of some shape takes: `start + units · unit + save · (checkpoints − 1)` seconds.

    A unit is a step, or a row where a training has no steps.
    """

    start: float
    unit: float
    save: float
    bytes: int  # of a trained part
    peak_bytes: int | None
    opening: float = 0.0  # seconds by the clock to begin, or to take it up again, which no ledger holds
    once: float = 0.0  # seconds up to the first checkpoint alone, however often it is taken up again

    def seconds(self, units: float, saved: int) -> float:
        """After some units, with some checkpoints before this one."""
        return self.start + units * self.unit + saved * self.save


def spread(rows: Sequence[Any], count: int, pairs: bool = False) -> tuple[Any, ...]:
    """Some of the rows, evenly over their lengths; neighbours stay together where `pairs` (preferences are twos)."""
    size = 2 if pairs and len(rows) % 2 == 0 else 1
    blocks = [rows[i : i + size] for i in range(0, len(rows), size)]
    wanted = max(1, count // size)
    if wanted >= len(blocks):
        return tuple(rows)
    order = sorted(range(len(blocks)), key=lambda i: len(blocks[i][0].messages[-1].content))
    picked = sorted(order[int((k + 0.5) * len(order) / wanted)] for k in range(wanted))
    return tuple(row for i in picked for row in blocks[i])
