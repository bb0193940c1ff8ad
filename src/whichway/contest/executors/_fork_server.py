"""A process that has imported what cells need, and forks one for each: a cell then starts in milliseconds.

`python -m whichway.contest.executors._fork_server MODULE...` imports the modules; it starts no thread, so that forks
are safe. Each line of its input is `[file, log]` of a cell to work on, or `"stop"`: end what still runs. Each line of
its output is the file of a cell whose process has ended. When its input ends it lets its cells go on, and waits for
them: a driver that was killed finds their work.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from whichway.contest.executors import CellJob

OURS = "whichway."
POLL = 0.05  # seconds between two looks at the cells
PATIENCE = 5.0  # seconds that a process gets to end by itself


class LineReader:
    """Lines of JSON from a pipe, as they come."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._rest, self.ended = descriptor, b"", False

    def lines(self, seconds: float) -> list[Any]:
        """What has come, after waiting for at most so long."""
        if self.ended or not select.select([self._descriptor], [], [], seconds)[0]:
            return []
        data = os.read(self._descriptor, 1 << 16)
        self.ended = not data
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in whole]


class ForkServer:
    """The driver's end: starts cells in processes that are forked from one server.

    The server imports what of this package the driver has imported: it built the same components.

    Args:
        env: its environment, and that of its cells.
        log: file for what the server itself writes.
    """

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        modules = [name for name in sys.modules if name.startswith(OURS) and not name.endswith("__main__")]
        words = [sys.executable, "-m", __name__, *modules]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=dict(env)
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input = self._process.stdin
        self._reader = LineReader(self._process.stdout.fileno())
        self._running: dict[str, CellJob] = {}

    def start(self, job: CellJob) -> None:
        """Fork a process for a cell."""
        self._running[str(job.file.resolve())] = job
        self._tell([str(job.file.resolve()), str(job.log.resolve())])

    def ended(self) -> list[CellJob]:
        """The cells whose processes have ended since; all that run, where the server is gone."""
        files = self._reader.lines(POLL)
        if self._reader.ended:
            files = list(self._running)
        return [self._running.pop(file) for file in files]

    def close(self) -> None:
        """End what still runs, and the server."""
        if self._running:
            self._tell("stop")
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(2 * PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _tell(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # the server is gone: `ended` says so
            self._input.write(json.dumps(message).encode() + b"\n")
            self._input.flush()


def serve(modules: Sequence[str]) -> int:
    """Import, then fork a process for each line. Returns in the server when all have ended, and in each process forked.

    Returns:
        the exit code of the process that returns.
    """
    from whichway.contest import cell

    for name in modules:
        with contextlib.suppress(Exception):  # a cell that needs it says in its log why it cannot have it
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is imported stays shared between the processes
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver hears of it, and says "stop"
    reader, running = LineReader(0), dict[int, str]()
    while running or not reader.ended:
        for line in reader.lines(POLL):
            if line == "stop":
                _end(running)
                return 0
            file, log = line
            process = os.fork()
            if process == 0:
                _become_cell(log)
                return cell.main([file])
            running[process] = file
        if reader.ended:
            time.sleep(POLL)
        for file in _ended(running):
            with contextlib.suppress(OSError):  # the driver is gone
                os.write(1, json.dumps(file).encode() + b"\n")
    return 0


def _become_cell(log: str) -> None:
    """Give a forked process its own input and output."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, goal in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, goal)


def _ended(running: dict[int, str]) -> list[str]:
    """The cells whose processes have ended since; they are taken out of `running`."""
    ended = []
    while running and (process := os.waitpid(-1, os.WNOHANG)[0]):
        ended.append(running.pop(process))
    return ended


def _end(running: dict[int, str]) -> None:
    """End what still runs, and wait for it."""
    deadline, message = time.monotonic() + PATIENCE, signal.SIGTERM
    while running:
        for process in running:
            os.kill(process, message)
        while running and time.monotonic() < deadline:
            _ended(running)
            time.sleep(POLL / 5)
        message = signal.SIGKILL
        deadline += PATIENCE


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
