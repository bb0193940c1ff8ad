"""Run a command in a process group of its own, and end the whole group when whoever started this script is gone.

A program of the standard library alone: `python -I process_group.py COMMAND...`. Its standard input is a pipe whose
other end the starter holds, so that it ends however the starter ends, killed as well. SIGTERM ends it, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

POLL_SECONDS = 0.1
SET_CHILD_SUBREAPER = 36  # of Linux's prctl
GRACE_SECONDS = 10.0  # from SIGTERM to SIGKILL


def main(command: Sequence[str]) -> int:
    """Run the command; its exit code, or 128 and the signal that ended it."""
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the starter hears of it, and decides
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    _adopt_orphans()
    threading.Thread(target=_wait_for_end_of_input, args=(stop,), daemon=True).start()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    while child.poll() is None and not stop.wait(POLL_SECONDS):
        pass
    end_group(child)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _wait_for_end_of_input(stop: threading.Event) -> None:
    while os.read(0, 1):
        pass
    stop.set()


def _adopt_orphans() -> None:
    """Become the parent of processes whose own one ends before them (Linux), so that their ends are seen at once."""
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_group(leader: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started in its group, also where it has ended before them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader.pid, number)
        end = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < end:
            try:
                if leader.poll() is not None:  # who has ended is counted until it was waited for
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(-leader.pid, os.WNOHANG)
                os.killpg(leader.pid, 0)
            except (ProcessLookupError, PermissionError):
                return
            time.sleep(POLL_SECONDS / 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
