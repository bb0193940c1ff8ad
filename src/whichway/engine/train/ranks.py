"""The processes of a sharded training: starting them, hearing of them, ending them.

The helper process of `worker.py` supervises, and hands its caller what a single training would. It starts a process for
each part of the base (a rank); the first one reports. When one has ended before its time, or nobody listens any more,
all of them are ended.

Ranks end at each checkpoint, and others go on from the saved state when the caller asks for more: in between the cards
are free, for the caller has to lay the same model over them to score the checkpoint. When memory runs out in one, all
of them begin the step again with passes of half the size, in new processes, because the others wait for it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from whichway.engine.model import load
from whichway.engine.model.out_of_memory import out_of_memory
from whichway.engine.train import checkpoint, saved_state
from whichway.engine.train.sharded_run import ShardedRun, refusal
from whichway.engine.train.shards import Shards
from whichway.engine.train.train_progress import StopTraining, TrainProgress
from whichway.engine.train.trainer import ONE_ROW, training_key
from whichway.engine.train.worker_link import CallerGone, LogWire, TrainRequest, exit_text, portable, reporting
from whichway.errors import WayFailed, WhichwayError
from whichway.nouns import Adapter

_EVERY = 0.5  # seconds between words of progress
_LAST_STEP = 60.0  # seconds that the first rank has to end its step and save its state when nobody listens any more
_REASON = 2.0  # seconds in which the rank that failed says why, after the first has ended
_NO_MEMORY, _ENDED = "memory", "ended"


def supervise(link: Connection, request: TrainRequest) -> None:
    """Run a sharded training; the link gets what a single process would send."""
    with reporting(link):
        for adapter in _checkpoints(link, request):
            link.send(("adapter", adapter))
            if link.recv() != "go":
                raise CallerGone


def _checkpoints(link: Connection, request: TrainRequest) -> Iterator[Adapter]:
    """Each checkpoint, those of an earlier start first.

    Raises:
        WayFailed: it cannot be sharded, it diverged, or one of the processes was ended.
        OptionError: an unknown option.
    """
    assert request.sharding is not None
    reason = refusal(request.job)
    if reason:
        raise WayFailed(f"This training cannot be sharded: {reason}.")
    state = checkpoint.state_file(request.folder, training_key(request.job))
    passed_on, tokens, ended = 0, request.sharding.tokens, ""
    while True:
        names, done = _saved(state, request.folder)
        for name in names[passed_on:]:
            yield checkpoint.read_adapter(request.folder / name, request.job.weights)
        if done:
            return
        if len(names) <= passed_on and ended == _ENDED:
            raise RuntimeError("The processes of a sharded training ended before a checkpoint.")
        passed_on = len(names)
        ended = _run_ranks(link, request, tokens, passed_on)
        if ended == _NO_MEMORY:
            if tokens == 1:
                raise WayFailed(ONE_ROW)
            tokens = max(1, tokens // 2)
            link.send(("log", (logging.WARNING, "%s", f"Memory ran out: passes of {tokens} tokens from now on.")))


def _saved(state: Path, folder: Path) -> tuple[list[str], bool]:
    """The names of the checkpoints that a training has left so far, and whether it is done."""
    names = checkpoint.finished(state, folder)
    if names is not None:
        return names, True
    done: list[str] = (saved_state.read_facts(state) or {}).get("done", [])
    return (done if all((folder / name).exists() for name in done) else []), False


def _run_ranks(link: Connection, request: TrainRequest, tokens: int, done: int) -> str:
    """Train to the next checkpoint in processes of their own; returns `_ENDED`, or `_NO_MEMORY` where it ran out."""
    from torch.multiprocessing.spawn import start_processes

    start: Any = start_processes
    assert request.sharding is not None
    count = request.sharding.count
    method = _start_method(request.sharding.device)
    if method == "fork":
        _import_once(request)
    pipes = [Pipe() for _ in range(count)]
    with tempfile.TemporaryDirectory(prefix="whichway-") as place:
        arguments = (request, tokens, done, Path(place) / "meeting", [theirs for _, theirs in pipes])
        started = start(run_rank, arguments, nprocs=count, join=False, start_method=method)
        for _, theirs in pipes:
            theirs.close()
        try:
            return RankWatch(link, [ours for ours, _ in pipes], started.processes).follow()
        finally:
            for process in started.processes:
                process.kill()
                process.join()
            for ours, _ in pipes:
                ours.close()


def _start_method(device: str) -> str:
    """By forking, where that is safe; no fork may use the state of a card."""
    return "fork" if sys.platform == "linux" and device == "cpu" else "spawn"


def _import_once(request: TrainRequest) -> None:
    """Have the libraries in memory that every rank wants, with those that the model's architecture lies in."""
    import accelerate  # noqa: F401
    import peft  # noqa: F401

    assert request.sharding is not None
    load.load_to_share(request.model, request.revision, getattr(torch, request.sharding.dtype), weights=False)


class RankWatch:
    """Hears of the ranks until all have ended, or one has failed."""

    def __init__(self, link: Connection, pipes: Sequence[Connection], processes: Sequence[BaseProcess]) -> None:
        self.link, self.pipes, self.processes = link, dict(enumerate(pipes)), list(processes)
        self.errors: dict[int, Exception] = {}
        self.no_memory = False

    def follow(self) -> str:
        """Pass on what the first rank reports; how they ended.

        Raises:
            WayFailed: one was ended, or says why it failed.
            CallerGone: nobody listens any more.
        """
        deadline: float | None = None
        while self._open():
            sentinels = [process.sentinel for process in self.processes if process.is_alive()]
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = wait([self.link, *self.pipes.values(), *sentinels], left)
            if self.link in ready:
                self._stop()
            for rank in [rank for rank, pipe in self.pipes.items() if pipe in ready]:
                self._hear(rank)
            if deadline is None and self._failed():
                deadline = time.monotonic() + _REASON
            if deadline is not None and time.monotonic() >= deadline:
                break
        return self._end()

    def _open(self) -> bool:
        """Whether there is more to hear."""
        return any(process.is_alive() for process in self.processes) or any(p.poll() for p in self.pipes.values())

    def _hear(self, rank: int) -> None:
        try:
            what, content = self.pipes[rank].recv()
        except (EOFError, OSError):  # it has ended
            del self.pipes[rank]
            return
        if what == "error":
            self.errors[rank] = content
        elif what == _NO_MEMORY:
            self.no_memory = True
        else:
            self.link.send((what, content))

    def _failed(self) -> bool:
        return self.no_memory or bool(self.errors) or any(process.exitcode for process in self.processes)

    def _end(self) -> str:
        """What counts: a reason that was given, then memory, then a process that was ended, then what others say."""
        for error in self.errors.values():
            if isinstance(error, WhichwayError):
                raise error
        if self.no_memory:
            return _NO_MEMORY
        for rank, process in enumerate(self.processes):
            if process.exitcode is not None and process.exitcode < 0:
                name = f"Process {rank + 1} of {len(self.processes)} of the sharded training"
                raise WayFailed(exit_text(name, -process.exitcode))
        for error in self.errors.values():
            raise error
        return _ENDED

    def _stop(self) -> None:
        """The caller is gone: the first rank saves its state after this step."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            if self.link.recv() != "enough":
                return
        with contextlib.suppress(BrokenPipeError, OSError):
            self.pipes[0].send("stop")
        self.processes[0].join(_LAST_STEP)
        raise CallerGone


# A rank's side


def run_rank(
    rank: int, request: TrainRequest, tokens: int, done: int, meeting: Path, pipes: Sequence[Connection]
) -> None:  # fmt: skip
    """Do one process's part of a training, up to the checkpoint after the first `done` ones.

    Args:
        rank: number of the process.
        request: what is trained.
        tokens: in one backward pass.
        done: checkpoints that were handed out before.
        meeting: file by which the processes find each other.
        pipes: to the supervisor, one for each rank.
    """
    pipe, own_log = pipes[rank], logging.getLogger("whichway")
    own_log.addHandler(LogWire(pipe) if rank == 0 else logging.NullHandler())
    own_log.propagate = False  # all of them would say the same
    try:
        _train(rank, request, tokens, done, meeting, pipe)
    except StopTraining:
        return
    except Exception as error:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            pipe.send((_NO_MEMORY, None) if out_of_memory(error) else ("error", portable(error)))
        raise SystemExit(1) from error


def _train(rank: int, request: TrainRequest, tokens: int, done: int, meeting: Path, pipe: Connection) -> None:
    sharding = request.sharding
    assert sharding is not None
    torch.set_num_threads(max(1, request.threads // sharding.count))
    shards = Shards.join(rank, sharding.count, sharding.device, meeting)
    last = 0.0

    def watch(now: TrainProgress) -> None:
        nonlocal last
        if pipe.poll():  # whatever it says, it ends the training
            raise StopTraining
        if time.perf_counter() - last >= _EVERY:
            last = time.perf_counter()
            pipe.send(("now", now))

    dtype: Any = getattr(torch, sharding.dtype)
    run = ShardedRun(
        load.load_to_share(request.model, request.revision, dtype, weights=rank == 0),
        request.job, request.folder, request.adapter, watch if rank == 0 else None, shards, tokens,
    )  # fmt: skip
    for number, _ in enumerate(run.steps(), 1):
        if number > done and run.at.step < run.total:
            break
    shards.leave()
