"""What is made of a run's files, held until its verdict is written anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from whichway.app import run_watch
from whichway.app.run_jobs import RunJobs

T = TypeVar("T")
MOST = 4  # runs of which something is held


class VerdictCache(Generic[T]):
    """What is made of runs; the last few are held.

    Args:
        jobs: the folder of runs.
        make: of a run's folder.
    """

    def __init__(self, jobs: RunJobs, make: Callable[[Path], T]) -> None:
        self._jobs, self._make = jobs, make
        self._made: dict[str, tuple[float, T]] = {}  # run -> when its verdict was written, what was made of it

    def of(self, name: str) -> T:
        """What is made of a run, as its verdict is now.

        Raises:
            UserError: there is no such run.
        """
        folder = self._jobs.runs / run_watch.overview(self._jobs, name).name
        file = folder / "verdict.json"
        when = file.stat().st_mtime if file.exists() else 0.0
        held = self._made.get(name)
        if held is None or held[0] != when:
            self._made.pop(name, None)
            held = self._made[name] = when, self._make(folder)
            while len(self._made) > MOST:
                self._made.pop(next(iter(self._made)))
        return held[1]
