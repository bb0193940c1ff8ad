"""What a failure says and which exit code it has: the one place where errors end."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from whichway.errors import UserError, WhichwayError

if TYPE_CHECKING:
    from types import FrameType

DONE, OURS, USERS, INTERRUPTED = 0, 1, 2, 130
PATH_ERRORS = (PermissionError, IsADirectoryError, NotADirectoryError, FileNotFoundError)
FULL = (errno.ENOSPC, errno.EDQUOT)


def guarded(action: Callable[[], int], debug: bool = False) -> int:
    """Run a command; every failure becomes a message on standard error and an exit code.

    Args:
        action: the command.
        debug: show tracebacks instead of keeping them in a file.
    """
    try:
        with _terminable():
            code = action()
            sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        return interrupted()
    except BrokenPipeError:
        return _hush()
    except SystemExit as leave:  # rich ends the process with 1 where its reader has gone
        if isinstance(leave.__context__, BrokenPipeError):
            return _hush()
        raise
    except Exception as error:
        return _explain(error, debug)


def interrupted() -> int:
    """Say that the user stopped the command, and that nothing is lost; the exit code."""
    return _tell("interrupted; saved; run the same command to resume", INTERRUPTED)


def _explain(error: Exception, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, WhichwayError):
        return _tell(f"error: {error}", USERS if isinstance(error, UserError) else OURS)
    full = isinstance(error, OSError) and error.errno in FULL
    if full or "No space left on device" in str(error):  # safetensors wraps it in an error of its own
        return _tell(f"error: the disk is full{_at(error)}. Free some space; the same command resumes.", USERS)
    if isinstance(error, PATH_ERRORS) and error.filename is not None:
        return _tell(f"error: {error.filename}: {(error.strerror or 'cannot be used').lower()}. {_next(error)}", USERS)
    if hasattr(error, "format_message") and hasattr(
        error, "exit_code"
    ):  # a usage error of typer, which is not imported here
        return _usage(error)
    return _ours(error, debug)


def _at(error: Exception) -> str:
    name = getattr(error, "filename", None)
    return f" ({name})" if name else ""


def _next(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "Check the path."
    if isinstance(error, PermissionError):
        return "Give another place, or the permission to use this one."
    return "Give a path of the other kind, file or folder."


def _usage(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    hint = f" See: {context.command_path} --help" if context is not None else ""
    message = str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
    return _tell(f"error: {message}.{hint}", USERS)


def _ours(error: Exception, debug: bool) -> int:
    where = "Run it again with --debug to see where." if debug else f"The traceback is in {_keep(error)}."
    return _tell(
        f"internal error: {type(error).__name__}: {error}\n{where} This is a fault in whichway: please report it so.",
        OURS,
    )


def _keep(error: Exception) -> str:
    """Write the traceback to a file; its path, or why there is none."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile("w", prefix="whichway-", suffix=".txt", delete=False, encoding="utf-8") as out:
            out.write(f"{' '.join(sys.argv)}\n" + "".join(traceback.format_exception(error)))
            return out.name
    except OSError:
        return "no file (none could be written); run with --debug"


def _tell(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr)
    return code


def _hush() -> int:
    """The reader of our output has gone (`| head`): say nothing more, not even when the interpreter flushes."""
    null = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(null, sys.stdout.fileno())
    return DONE


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does, and both say so at once: what is computed just now has to end first."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.write(2, b"\nstopping; what is done is kept\n")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
