"""Runs that were started from the live page: child processes that outlive it, stopped and resumed by name.

A job's folder in `RUNS/.web/NAME` holds `job.json` (the command, the choices of the form, the process), `output.log`,
and `events.jsonl`. The run itself is a run folder like every other.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from whichway.errors import UserError

PLACE = ".web"
NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,99}")
_TAIL = 20_000  # bytes of the output that are read for a page


@dataclass(frozen=True, slots=True)
class RunJob:
    """A run that the page started."""

    name: str
    arguments: tuple[str, ...]  # after `whichway run`
    choices: Mapping[str, Any]  # what the form held, for a clone
    pid: int
    born: float  # when that process began, so that another one with its number is told from it
    started_at: float
    starts: int = 1


class RunJobs:
    """Starts, stops and resumes runs in a folder of runs.

    Args:
        runs: the folder of runs.
    """

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def folder(self, name: str) -> Path:
        """Where a job's own files lie."""
        return self.runs / PLACE / name

    def names(self) -> list[str]:
        """The names of all jobs."""
        return sorted(path.parent.name for path in (self.runs / PLACE).glob("*/job.json"))

    def find(self, name: str) -> RunJob | None:
        """A job; None where this page, or one before it, did not start the run."""
        path = self.folder(name) / "job.json"
        if NAME.fullmatch(name) is None or not path.is_file():
            return None
        facts = json.loads(path.read_text(encoding="utf-8"))
        return RunJob(**{**facts, "arguments": tuple(facts["arguments"])})

    def start(self, name: str, arguments: Sequence[str], choices: Mapping[str, Any]) -> RunJob:
        """Start a new run.

        Args:
            name: of its folder.
            arguments: of `whichway run`, without the run folder.
            choices: what the form held.

        Raises:
            UserError: the name does not do, or there is such a run.
        """
        if NAME.fullmatch(name) is None:
            raise UserError(f"'{name}' cannot be a run's name: take letters, digits, dashes and dots.")
        if (self.runs / name).exists() or self.find(name) is not None:
            raise UserError(f"there is a run '{name}' already. Give another name.")
        return self._launch(RunJob(name, tuple(arguments), dict(choices), 0, 0.0, time.time(), 0))

    def resume(self, name: str) -> RunJob:
        """Start a run's command again: it goes on where it was stopped.

        Raises:
            UserError: this page did not start it, or it is running.
        """
        job = self._known(name)
        if self.running(job):
            raise UserError(f"{name} is running.")
        return self._launch(replace(job, started_at=time.time()))

    def stop(self, name: str, seconds: float = 10.0) -> bool:
        """Ask a run to stop, as Ctrl-C does: what is done is kept.

        Args:
            name: of the run.
            seconds: to wait for its end.

        Returns:
            whether it has ended; it may have to finish what is computed just then.

        Raises:
            UserError: this page did not start it.
        """
        import psutil

        job = self._known(name)
        process = self._process(job)
        if process is not None:
            try:
                process.terminate()
                process.wait(seconds)
            except psutil.NoSuchProcess:
                return True
            except psutil.TimeoutExpired:
                return not self.running(job)
        return True

    def running(self, job: RunJob) -> bool:
        """Whether its process is at work."""
        return self._process(job) is not None

    def output(self, name: str) -> str:
        """The end of what a job wrote."""
        path = self.folder(name) / "output.log"
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode("utf-8", "replace")

    def _known(self, name: str) -> RunJob:
        job = self.find(name)
        if job is None:
            raise UserError(f"{name} was not started from this page. Stop or resume it where it was started.")
        return job

    def _launch(self, job: RunJob) -> RunJob:
        import psutil

        folder = self.folder(job.name)
        folder.mkdir(parents=True, exist_ok=True)
        own = ["--out", str(self.runs / job.name), "--events", str(folder / "events.jsonl")]
        command = [sys.executable, "-m", "whichway", "run", *job.arguments, *own]
        environment = {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
        with (folder / "output.log").open("ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self._children[child.pid] = child
        try:
            born = psutil.Process(child.pid).create_time()
        except psutil.NoSuchProcess:
            born = 0.0
        begun = replace(job, pid=child.pid, born=born, starts=job.starts + 1)
        temporary = folder / "job.json.tmp"
        temporary.write_text(json.dumps(asdict(begun), ensure_ascii=False, indent=2), encoding="utf-8")
        temporary.replace(folder / "job.json")
        return begun

    def _process(self, job: RunJob) -> Any:
        """The job's process while it lives; None: it has ended, or its number is another's now."""
        import psutil

        child = self._children.get(job.pid)
        if child is not None and child.poll() is not None:
            return None
        try:
            process = psutil.Process(job.pid)
            alive = abs(process.create_time() - job.born) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
            return None
        return process if alive else None
