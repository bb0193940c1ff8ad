"""llama-cpp-python's server in the peers' environment, and what an endpoint of models.yaml gets from it."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hosted_kit import QUICK

from whichway.backends.openai import OpenAIBackend
from whichway.nouns import Reply, Request

FILE, PEERS = os.environ.get("WHICHWAY_GGUF", ""), os.environ.get("WHICHWAY_PEERS", "")


@contextmanager
def served(file: str | Path, port: str, *options: str) -> Iterator[str]:
    """The address of a server with a GGUF file; the test is skipped where the peers cannot serve."""
    if subprocess.run([PEERS, "-c", "import llama_cpp.server.app"], capture_output=True, check=False).returncode:
        pytest.skip("the peers' Python has no llama_cpp.server")
    command = [PEERS, "-m", "llama_cpp.server", "--model", str(file), "--n_threads", "1", "--port", port]
    command += ["--n_ctx", "1024", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            address = f"http://localhost:{port}/v1"
            _wait_for(f"{address}/models")
            yield address
        finally:
            server.terminate()


def chosen_there(place: Path, address: str, requests: list[Request], entry: str) -> list[Reply]:
    """The labels of requests by an endpoint `there`, written into models.yaml of the current folder.

    Args:
        place: the current folder.
        address: of the server.
        requests: about labels.
        entry: what models.yaml says of it besides.
    """
    line = f"{{model: m, base_url: '{address}', {entry}}}"
    (place / "models.yaml").write_text(f"as_of: 2026-11-30\nendpoints:\n  there: {line}\n")
    backend = OpenAIBackend(QUICK)
    with backend.open(backend.weights("there"), None) as session:
        return session.choose(requests)


def _wait_for(address: str) -> None:
    for _ in range(120):
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"{address} does not answer")
