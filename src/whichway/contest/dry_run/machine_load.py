"""How busy this machine is with other programs while something is measured, and which machine it is."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from whichway.measurements import IDLE
from whichway.nouns import digest

LEAST = 0.02  # of a core that we get, as far as that is believed
SHORTEST = 0.2  # seconds below which the counters of the operating system are too coarse to say anything


@dataclass(frozen=True, slots=True)
class Load:
    """What a machine did while something was measured."""

    busy: float = 0.0  # share of the cores' time that other programs took, 0 to 1
    own: float = 1.0  # processor seconds of ours for each second by the clock

    @property
    def slowed(self) -> float:
        """About how many times as long things took as on an idle machine; 1 where other programs took little.

        What waits for a core uses less of one. That our work waited for a disk as well, or could have used several
        cores, is not seen, so this is careful: rather too little.
        """
        return 1.0 if self.busy <= IDLE else 1 / max(LEAST, min(1.0, max(self.own, 1 - self.busy)))


LoadSince = Callable[[], Load]  # the load since some moment


def load_from_now() -> LoadSince:
    """Start to watch this process's cores.

    Returns:
        A function that gives the load since now; an idle machine where the operating system does not say, or too
        little time has passed. Child processes count as ours.
    """
    began, busy, own = time.monotonic(), busy_seconds(), _own_seconds()

    def load() -> Load:
        wall, now = time.monotonic() - began, busy_seconds()
        if wall < SHORTEST or busy is None or now is None:
            return Load()
        ours = _own_seconds() - own
        others = (now - busy) - ours
        return Load(min(1.0, max(0.0, others / (wall * max(1, len(_cores()))))), ours / wall)

    return load


class Since:
    """The time since some moment, and how busy the machine was with other programs meanwhile."""

    def __init__(self) -> None:
        self._began, self._load = time.perf_counter(), load_from_now()

    @property
    def seconds(self) -> float:
        """By the clock."""
        return time.perf_counter() - self._began

    @property
    def load(self) -> Load:
        """Of the machine."""
        return self._load()


def machine() -> str:
    """This machine in a few characters: its processor, cores and memory, and how many threads may be used of it."""
    import psutil

    facts = [platform.machine(), processor(), psutil.cpu_count(), psutil.virtual_memory().total, threads_at_hand()]
    return digest(facts, 8)


def threads_at_hand() -> int:
    """Threads that products may take: as OMP_NUM_THREADS says, at most one for each core that this process may use."""
    with suppress(ValueError):
        return max(1, min(len(_cores()), int(os.environ.get("OMP_NUM_THREADS", ""))))
    return len(_cores())


@cache
def processor() -> str:
    """The processor's own name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _cores() -> list[int]:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def busy_seconds() -> float | None:
    """Seconds that these cores were not idle, since the machine started; None where that is not to be had."""
    import psutil

    with suppress(OSError, RuntimeError):
        times = psutil.cpu_times(percpu=True)
        return sum(sum(core) - core.idle - _waited(core) for k, core in enumerate(times) if k in set(_cores()))
    return None


def _waited(core: object) -> float:
    """Seconds that a core waited for a disk, and those of guests, which are in its user seconds already."""
    return sum(float(getattr(core, name, 0.0)) for name in ("iowait", "guest", "guest_nice"))


def _own_seconds() -> float:
    """Processor seconds of this process and its children, ended ones included."""
    import psutil

    process = psutil.Process()
    total = sum(process.cpu_times()[:4])
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            total += sum(child.cpu_times()[:4])
    return float(total)
