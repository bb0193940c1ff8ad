"""Measurements of one speed on several days, and the number that they give.

Other programs only ever make work slower. So what an idle machine took stands against what a busy one took, and a
faster time against a slower one that was taken while the machine was busy. A speed that moved for good, as after an
update, shows as an idle measurement that disagrees; it takes the place of all earlier ones.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

IDLE = 0.15  # share of the processor's time that other programs may take while a machine counts as idle
AGREE = 1.3  # factor within which two days' measurements agree
DAYS = 30  # after which a measurement is not believed any more
MOST = 5  # measurements that are kept
LEAST = 1e-12  # seconds: what a clock that did not move has measured, so that times can be compared
ENOUGH = 3  # of a machine that is always busy, after which it is not measured anew each time


@dataclass(frozen=True, slots=True)
class Measurement:
    """Seconds for a unit of some work, and how busy the machine was with other programs meanwhile."""

    seconds: float
    when: datetime
    busy: float  # share of the processor's time, 0 to 1; 0 where it is not known

    @property
    def idle(self) -> bool:
        """Whether other programs took next to nothing."""
        return self.busy <= IDLE


@dataclass(frozen=True, slots=True)
class History:
    """Measurements of one speed, the oldest first; at least one."""

    measurements: tuple[Measurement, ...]

    @property
    def seconds(self) -> float:
        """What is believed: the median of the idle measurements; without any, the fastest."""
        idle = [one.seconds for one in self.measurements if one.idle]
        return statistics.median_low(idle) if idle else min(one.seconds for one in self.measurements)

    @property
    def newest(self) -> Measurement:
        """The last one."""
        return self.measurements[-1]

    @property
    def settled(self) -> bool:
        """Whether there is an idle measurement, or so many that the machine is always busy."""
        return any(one.idle for one in self.measurements) or len(self.measurements) >= ENOUGH

    def old(self, now: datetime) -> bool:
        """Whether even the last measurement is too long ago."""
        return now - self.newest.when > timedelta(days=DAYS)

    def agrees(self, seconds: float) -> bool:
        """Whether another measurement gives about the same."""
        return agree(self.seconds, seconds)

    def added(self, new: Measurement) -> History:
        """The history after one more measurement.

        One that disagrees takes the place of all others, unless it is slower only because the machine was busy.
        """
        recent = tuple(one for one in self.measurements if new.when - one.when <= timedelta(days=DAYS))
        if not recent:
            return History((new,))
        known = History(recent)
        if not known.agrees(new.seconds) and (new.idle or new.seconds < known.seconds):
            return History((new,))
        if known.agrees(new.seconds) or not known.settled:
            return History((*recent, new)[-MOST:])
        return known

    def to_json(self) -> dict[str, Any]:
        """What a file holds of it."""
        lines = [[one.seconds, one.when.isoformat(timespec="minutes"), round(one.busy, 3)] for one in self.measurements]
        return {"seconds": self.seconds, "measured": lines}


def history_of(facts: Mapping[str, Any]) -> History | None:
    """A history as a file holds it; None where it says nothing of when it was measured, as older files do."""
    try:
        lines = [
            Measurement(max(LEAST, float(seconds)), datetime.fromisoformat(when), float(busy))
            for seconds, when, busy in facts["measured"]
        ]
    except (KeyError, TypeError, ValueError):
        return None
    return History(tuple(lines)) if lines else None


def merged(histories: Iterable[History]) -> History:
    """The history of one speed that several files hold parts of."""
    every = {(one.when, one.seconds): one for history in histories for one in history.measurements}
    return of_measurements([every[key] for key in sorted(every)])


def of_measurements(measurements: Sequence[Measurement]) -> History:
    """The history that so many measurements give, the oldest first."""
    first, *rest = measurements
    return reduce(History.added, rest, History((first,)))


def agree(a: float, b: float, within: float = AGREE) -> bool:
    """Whether two times lie within a factor of each other."""
    return max(a, b) <= within * min(a, b)
