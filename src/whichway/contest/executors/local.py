"""Cells on this machine: a process for each, as many at a time as cores and memory allow."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence

from whichway.contest.executors import Capacity, CellJob, command, environment

SUMMARY = "processes on this machine"
SHARES_DISK = False
POLL = 0.05  # seconds
UNKNOWN = 1 << 29  # bytes of a cell whose memory was not estimated
PATIENCE = 5.0  # seconds that a process gets to end by itself


def execute(jobs: Sequence[CellJob], capacity: Capacity, ended: Callable[[CellJob], None]) -> None:
    """Start processes while there is room; an interrupt ends all of them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = min(capacity.workers or cores, len(jobs))
    env = environment(max(1, cores // most))
    waiting, running = list(jobs), list[tuple[CellJob, subprocess.Popen[bytes]]]()
    room = _free_memory()
    try:
        while waiting or running:
            for job, process in [pair for pair in running if pair[1].poll() is not None]:
                running.remove((job, process))
                ended(job)
            used = sum(_bytes(job) for job, _ in running)
            if waiting and len(running) < most and (not running or used + _bytes(waiting[0]) <= room):
                job = waiting.pop(0)
                running.append((job, _start(job, env)))
            else:
                time.sleep(POLL)
    finally:
        _end([process for _, process in running])


def _bytes(job: CellJob) -> int:
    return job.memory_bytes or UNKNOWN


def _free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def _start(job: CellJob, env: dict[str, str]) -> subprocess.Popen[bytes]:
    with job.log.open("ab") as log:
        return subprocess.Popen(command(job), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End what still runs, and wait for it."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
