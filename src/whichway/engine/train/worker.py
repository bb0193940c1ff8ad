"""Training in a process of its own: its memory returns when it ends, and its death is a failed way, not ours.

One helper process imports the libraries once and holds the base model; for each job it forks, so a job starts in
milliseconds and shares the base's memory. The helper computes on one thread only, because a pool of threads does not
survive a fork; the fork starts its own. Where forking is not safe (all but Linux, and with a GPU, whose state no fork
may use) the helper runs one job and ends.

A training that is shared out among several processes is supervised by the helper (`ranks.py`).

The child goes on only when asked to, so that a caller who scores a checkpoint has the processor to itself. When the
caller is gone, the child saves its state at the next step and ends.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from whichway.engine.train.train_progress import ProgressWatcher, StopTraining, TrainProgress
from whichway.engine.train.worker_link import CallerGone, LogWire, TrainRequest, exit_text, portable, reporting
from whichway.errors import WayFailed
from whichway.nouns import Adapter
from whichway.training_kinds import stored_as

__all__ = ["Helper", "TrainRequest", "serve", "start", "train"]
_EVERY = 0.5  # seconds between words of progress
_PATIENCE = 1.2  # seconds that a child has to save its state when it is to end; Ctrl-C promises two in all
log = logging.getLogger(__name__)


class Helper:
    """The caller's side: starts the helper process when it is first needed, and again when it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._link: Connection | None = None

    def start(self) -> None:
        """Have the helper ready; returns at once."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-c", f"from whichway.engine.train.worker import serve; serve({theirs.fileno()})"]
        # A session of its own: Ctrl-C reaches the caller, who ends the child in good order.
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        theirs.close()
        self._link = Connection(ours.detach())

    def stop(self) -> None:
        """End the helper, and a child that may still run.

        A child saves its state and ends at its next step. One that is in a long step is killed: it resumes from the
        state that it saved last.
        """
        if self._link is not None:
            self._link.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_PATIENCE)
            if self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)  # the helper leads a session: its child dies with it
                self._process.wait()
        self._process = self._link = None

    def train(self, request: TrainRequest, watch: ProgressWatcher | None = None) -> Iterator[Adapter]:
        """Run a job; yields its checkpoints as `run_job.train` would.

        Raises:
            WayFailed: the training failed, or the child died (most often because memory ran out).
        """
        self.start()
        assert self._link is not None
        ended = waits = False
        try:
            self._send(request)
            while True:
                what, content = self._receive()
                if what == "adapter":
                    waits = True
                    yield content
                    waits = False
                    self._send("go")
                elif what == "now" and watch is not None:
                    watch(content)
                elif what == "log":
                    log.log(*content)
                elif what in ("done", "error"):
                    ended = self._receive()[0] == "free"  # for another job
                    if what == "error":
                        raise content
                    return
                elif what in ("free", "died"):  # without a word before
                    ended = what == "free"
                    raise WayFailed(exit_text("The training process", content))
        finally:
            if not ended and not (waits and self._dismiss()):
                self.stop()

    def _dismiss(self) -> bool:
        """End a child that waits at a checkpoint and keep the helper: to import the libraries again takes seconds."""
        self._send("enough")
        while self._link is not None:
            what, _ = self._receive()
            if what == "free":
                return True
        return False

    def _send(self, message: Any) -> None:
        assert self._link is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what follows is read from `_receive`
            self._link.send(message)

    def _receive(self) -> tuple[str, Any]:
        assert self._link is not None
        try:
            received: tuple[str, Any] = self._link.recv()
        except (EOFError, ConnectionResetError):
            self.stop()
            return "died", None
        return received


_idle: list[Helper] = []


def start() -> None:
    """Have a helper ready soon: a training is planned."""
    if not _idle:
        _idle.append(_new())
    _idle[-1].start()


def train(request: TrainRequest, watch: ProgressWatcher | None = None) -> Iterator[Adapter]:
    """Run a job in a child process; yields its checkpoints as `run_job.train` would.

    A training that is left open keeps its helper; another one meanwhile gets a helper of its own.

    Raises:
        WayFailed: the training failed, or the child died (most often because memory ran out).
    """
    helper = _idle.pop() if _idle else _new()
    try:
        yield from helper.train(request, watch)
    finally:
        _idle.append(helper)


def _new() -> Helper:
    helper = Helper()
    atexit.register(helper.stop)
    return helper


# The helper's side


def serve(handle: int) -> None:
    """Take requests from the link until the caller is gone."""
    import torch

    from whichway.engine.train import probe, ranks, run_job  # noqa: F401  (imported once, for all children)

    torch.set_num_threads(1)
    link = Connection(handle)
    models: dict[tuple[Path, str], Any] = {}
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        while True:
            request = link.recv()
            if not isinstance(request, TrainRequest):
                continue  # a word to a child that has died since
            if request.sharding is not None:
                models.clear()  # the processes that share it hold the base
                ranks.supervise(link, request)
                link.send(("free", None))
                continue
            if not _forks():
                _work(link, request, models)
                return
            if _ready(request, models, link):
                _fork(link, request, models)


def _forks() -> bool:
    from whichway.engine.model import load

    return sys.platform == "linux" and load.device().type == "cpu"


def _ready(request: TrainRequest, models: dict[tuple[Path, str], Any], link: Connection) -> bool:
    """Have in memory what a child needs: of base models that of this request alone."""
    try:
        if stored_as(request.job.kind, "adapter"):
            import peft  # noqa: F401  (once for all children)
        if (request.model, request.revision) not in models:
            models.clear()
            models[request.model, request.revision] = _open(request)
        _round(request, models[request.model, request.revision])
    except Exception as error:
        link.send(("error", portable(error)))
        link.send(("free", None))
        return False
    return True


def _round(request: TrainRequest, model: Any) -> None:
    """Round the frozen weights once for all children, where this one asks for int8 products."""
    from whichway.engine.model import decoder
    from whichway.engine.train.int8_training import Int8Products
    from whichway.training_kinds import INT8

    own_decoder = decoder.decoder_of(model.module)
    if request.job.options.get("precision") == INT8 and own_decoder is not None:
        Int8Products.of(own_decoder, own_decoder)


def _open(request: TrainRequest) -> Any:
    from whichway.engine.model import decoder, load

    model = load.load(request.model, proved=request.revision)
    if not request.own_decoder:
        decoder.unregister(model.module)
    return model


def _fork(link: Connection, request: TrainRequest, models: dict[tuple[Path, str], Any]) -> None:
    child = os.fork()
    if child == 0:
        try:
            _work(link, request, models)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    link.send(("free", os.WTERMSIG(status) if os.WIFSIGNALED(status) else None))


def _work(link: Connection, request: TrainRequest, models: dict[tuple[Path, str], Any]) -> None:
    """One job, in the child."""
    logging.getLogger("whichway").addHandler(LogWire(link))
    with reporting(link):
        if not models:
            models[request.model, request.revision] = _open(request)
        _train(link, request, next(iter(models.values())))


def _train(link: Connection, request: TrainRequest, model: Any) -> None:
    import torch

    from whichway.engine.model import throughput
    from whichway.engine.train import run_job

    torch.set_num_threads(throughput.threads(request.threads))
    last = 0.0

    def watch(now: TrainProgress) -> None:
        nonlocal last
        if time.perf_counter() - last < _EVERY:
            return
        last = time.perf_counter()
        try:
            link.send(("now", now))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise StopTraining from error

    for adapter in run_job.train(model, request.job, request.folder, request.adapter, watch):
        link.send(("adapter", adapter))
        if link.recv() != "go":
            raise CallerGone
