"""What passes between a caller, the process that trains, and those that share a training."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from whichway.engine.model.placement import Sharding
from whichway.errors import WhichwayError
from whichway.nouns import TrainJob


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What the helper is to do."""

    model: Path
    revision: str
    own_decoder: bool  # whether our own decoder is proved on this model
    job: TrainJob
    folder: Path
    adapter: Path | None
    threads: int
    sharding: Sharding | None = None  # None: one process holds the whole base


class CallerGone(BaseException):
    """Nobody listens any more."""


class LogWire(logging.Handler):
    """Sends log lines to whoever listens."""

    def __init__(self, link: Connection) -> None:
        super().__init__()
        self.link = link

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line; whoever is gone is noticed elsewhere."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.link.send(("log", (record.levelno, "%s", record.getMessage())))


@contextlib.contextmanager
def reporting(link: Connection) -> Iterator[None]:
    """Around the work on a request: the link then hears that it is done, or the error that ended it.

    Where the caller is gone nobody is told.
    """
    try:
        yield
    except (CallerGone, EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        link.send(("error", portable(error)))
        return
    link.send(("done", None))


def portable(error: Exception) -> Exception:
    """The error as it can cross: ours as they are, others as a `RuntimeError` with their traceback."""
    if isinstance(error, WhichwayError):
        return error
    return RuntimeError(f"The training process failed.\n{''.join(traceback.format_exception(error))}")


def exit_text(process: str, status: int | None) -> str:
    """How a process ended that said nothing, as a sentence; `status`: the signal, None where it is not known."""
    by = f"by signal {status}" if status else "unexpectedly"
    hint = ", most likely because memory ran out; use a smaller batch, shorter rows or a smaller model"
    return f"{process} was ended {by}{hint if status in (None, 9) else ''}."
