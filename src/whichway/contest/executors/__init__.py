"""Executors: who works on the cells of a contest, one file each, found by file name.

An executor is a module with `SUMMARY`, `SHARES_DISK` (whether cells run on machines that share this one's folders over
a network) and `execute(jobs, capacity, ended)`, which returns when each job has ended, well or not. It writes nothing
and decides nothing: whether a cell is done is said by its result file.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from whichway.errors import OptionError, did_you_mean

MODULE = "whichway.contest.cell"
RESULT = "result.json"  # beside a cell: it is done


@dataclass(frozen=True, slots=True)
class CellJob:
    """One cell to work on.

    Attributes:
        file: of the cell; its log goes beside it.
        title: for a reader.
        memory_bytes: that it takes; 0: not known.
        gpus: cards that it gains by, as it computes with a local model: 1, or as many as share the model.
    """

    file: Path
    title: str
    memory_bytes: int = 0
    gpus: int = 0

    @property
    def result(self) -> Path:
        """The file that is there when it is done."""
        return self.file.with_name(RESULT)

    @property
    def log(self) -> Path:
        """Where its process writes."""
        return self.file.with_name("log")


@dataclass(frozen=True, slots=True)
class Capacity:
    """What may be used.

    Attributes:
        workers: cells at a time; None: as many as there is room for.
        ray_address: of a Ray cluster; "" starts one here.
        folder: for files of the executor's own.
    """

    workers: int | None
    ray_address: str
    folder: Path


class Executor(Protocol):
    """A module of this package."""

    SUMMARY: str
    SHARES_DISK: bool

    def execute(self, jobs: Sequence[CellJob], capacity: Capacity, ended: Callable[[CellJob], None]) -> None:
        """Work on all jobs; returns when each has ended, well or not.

        Args:
            jobs: cells, the dearest first.
            capacity: what may be used.
            ended: is called with each job that has ended.

        Raises:
            OptionError: the executor cannot work here.
        """
        ...


def names() -> list[str]:
    """The executors."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def executor_of(name: str) -> Executor:
    """The executor of a name.

    Raises:
        OptionError: there is none ("did you mean").
    """
    if name not in names():
        raise OptionError(f"--executor {name}: there is no such executor.{did_you_mean(name, names())}")
    return cast(Executor, importlib.import_module(f"{__name__}.{name}"))


def command(job: CellJob) -> list[str]:
    """The command of a cell's process."""
    return [sys.executable, "-m", MODULE, str(job.file.resolve())]


def environment(threads: int) -> dict[str, str]:
    """The environment of a cell's process: modules that this process finds are found there, threads are shared out.

    Args:
        threads: of its computations, where the user has not said how many.
    """
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    return {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONPATH": paths}
