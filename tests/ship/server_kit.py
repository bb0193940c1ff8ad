"""A server in a process of its own, and a client for it: helpers of the tests of serving."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openai_description import checking_client


class ServerProcess:
    """A running `whichway serve`."""

    def __init__(self, *words: str | Path) -> None:
        command = [sys.executable, "-m", "whichway", "serve", *map(str, words), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = next((line.strip() for line in self.process.stdout if line.startswith("http")), "")

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait; the exit status."""
        self.process.send_signal(how)
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@contextlib.contextmanager
def server(*words: str | Path) -> Iterator[str]:
    """The address of a server."""
    running = ServerProcess(*words)
    try:
        yield running.address
    finally:
        running.end()


def client(address: str, **more: Any) -> Any:
    """OpenAI's client: each answer is checked against its types and against the published description."""
    from openai import OpenAI

    facts = {"api_key": "none", "max_retries": 0, "timeout": 60, "http_client": checking_client(), **more}
    return OpenAI(base_url=address, _strict_response_validation=True, **facts)
