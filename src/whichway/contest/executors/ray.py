"""Cells on a Ray cluster: a task for each; where it runs, and what happens when a node is lost, is left to Ray.

The nodes share this machine's folders: the cache, and the files that the task names.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from whichway.contest.executors import Capacity, CellJob, command, environment
from whichway.errors import OptionError

SUMMARY = "a Ray cluster whose nodes share this machine's folders"
SHARES_DISK = True
RETRIES = 3  # of a task whose node was lost


def execute(jobs: Sequence[CellJob], capacity: Capacity, ended: Callable[[CellJob], None]) -> None:
    """Hand a task for each cell to Ray, and wait for all of them.

    Raises:
        OptionError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        raise OptionError("--executor ray needs Ray: pip install 'whichway[ray]'.") from None
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, capacity)
    try:
        _hold(ray, jobs, capacity, ended)
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, capacity: Capacity) -> None:
    about: dict[str, Any] = {"include_dashboard": False, "logging_level": "error", "log_to_driver": False}
    try:
        if capacity.ray_address:
            ray.init(address=capacity.ray_address, **{k: v for k, v in about.items() if k != "include_dashboard"})
        else:
            ray.init(num_cpus=capacity.workers, **about)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise OptionError(
            f"--ray-address {capacity.ray_address or '(none)'}: no cluster can be reached: {error}. `ray start --head` "
            "starts one and says its address."
        ) from error


def _hold(ray: Any, jobs: Sequence[CellJob], capacity: Capacity, ended: Callable[[CellJob], None]) -> None:
    """Submit, as many at a time as the user wants, and wait."""
    cards = most_cards(ray)
    waiting, running = list(jobs), dict[Any, CellJob]()
    most = capacity.workers or len(jobs)
    while waiting or running:
        while waiting and len(running) < most:
            job = waiting.pop(0)
            remote = ray.remote(_process).options(
                num_cpus=1,
                num_gpus=min(cards, job.gpus),
                memory=job.memory_bytes or None,
                max_retries=RETRIES,
                name=job.title,
            )
            running[remote.remote(command(job), str(job.log), environment(1)["PYTHONPATH"])] = job
        done, _ = ray.wait(list(running), num_returns=1)
        for task in done:
            job = running.pop(task)
            try:
                ray.get(task)
            except ray.exceptions.RayError as error:
                with job.log.open("a", encoding="utf-8") as log:
                    log.write(f"Ray gave the cell up: {error}\n")
            ended(job)


def most_cards(ray: Any) -> int:
    """GPUs of the node that has most; a cell works on one node."""
    return max((int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]), default=0)


def _process(words: list[str], log: str, paths: str) -> int:
    """A cell's process on the node where Ray puts it, in that node's environment; its exit code."""
    env = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": paths}
    with Path(log).open("ab") as out:
        return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, check=False).returncode
