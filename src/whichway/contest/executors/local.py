"""Cells on this machine: a process for each, as many at a time as cores and memory allow.

Where processes can be forked safely, they are: see `_fork_server.py`. Elsewhere each is started anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from whichway.contest.executors import Capacity, CellJob, command, environment
from whichway.contest.executors._fork_server import PATIENCE, POLL, ForkServer

SUMMARY = "processes on this machine"
SHARES_DISK = False
UNKNOWN = 1 << 29  # bytes of a cell whose memory was not estimated
FORKS = sys.platform == "linux"  # system libraries of other systems do not bear it


class Processes(Protocol):
    """How cells get their processes."""

    def start(self, job: CellJob) -> None:
        """Start a cell's process."""
        ...

    def ended(self) -> list[CellJob]:
        """The cells whose processes have ended since, after a short wait."""
        ...

    def close(self) -> None:
        """End what still runs, and wait for it."""
        ...


def execute(jobs: Sequence[CellJob], capacity: Capacity, ended: Callable[[CellJob], None]) -> None:
    """Start processes while there is room; an interrupt ends all of them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = min(capacity.workers or cores, len(jobs))
    env = environment(max(1, cores // most))
    waiting, running = list(jobs), list[CellJob]()
    room = _free_memory()
    processes: Processes = ForkServer(env, capacity.folder / "fork_server.log") if FORKS else FreshProcesses(env)
    try:
        while waiting or running:
            used = sum(map(_bytes, running))
            if waiting and len(running) < most and (not running or used + _bytes(waiting[0]) <= room):
                job = waiting.pop(0)
                running.append(job)
                processes.start(job)
                continue
            for job in processes.ended():
                running.remove(job)
                ended(job)
    finally:
        processes.close()


def _bytes(job: CellJob) -> int:
    return job.memory_bytes or UNKNOWN


def _free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


class FreshProcesses:
    """Processes that import everything themselves.

    Args:
        env: their environment.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env, self._running = dict(env), list[tuple[CellJob, subprocess.Popen[bytes]]]()

    def start(self, job: CellJob) -> None:
        """Start a cell's process."""
        with job.log.open("ab") as log:
            process = subprocess.Popen(command(job), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env)
        self._running.append((job, process))

    def ended(self) -> list[CellJob]:
        """The cells whose processes have ended since, after a short wait."""
        time.sleep(POLL)
        gone = [pair for pair in self._running if pair[1].poll() is not None]
        self._running = [pair for pair in self._running if pair not in gone]
        return [job for job, _ in gone]

    def close(self) -> None:
        """End what still runs, and wait for it."""
        for _, process in self._running:
            process.terminate()
        for _, process in self._running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
