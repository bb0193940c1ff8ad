"""One `vllm serve` as a child process: on a free port of this machine, behind a random key, ended with this process."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.backends._vllm import process_group
from whichway.errors import EndpointError, ModelError, OptionError

EXECUTABLE = "vllm"
HOST = "127.0.0.1"
PORTS = 4  # that are tried: another program may take a port between its choice and the server's start
TAIL_LINES, TAIL_BYTES = 15, 16_384  # of the log, in a message
TAKEN = "address already in use"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take.

    Attributes:
        start_seconds: from its start until it answers; large models are read and compiled for minutes.
        poll_seconds: between two looks at it.
    """

    start_seconds: float = 1800.0
    poll_seconds: float = 0.25


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """What is served, and how.

    Attributes:
        word: the user's for the model.
        folder: of the model.
        served_name: the model's name in requests.
        options: further words of the command line.
    """

    word: str
    folder: Path
    served_name: str
    options: tuple[str, ...] = ()

    def words(self, executable: str, port: int) -> list[str]:
        """The command line. The key is not on it, where other users of the machine could read it.

        `--generation-config vllm`: a model's own defaults of sampling (top_p, top_k) do not apply, as they do not with
        the engine on this machine.
        """
        own = ["serve", str(self.folder), "--host", HOST, "--port", str(port), "--served-model-name", self.served_name]
        return [executable, *own, "--generation-config", "vllm", *self.options]


class _PortTaken(Exception):
    """Another server has the port."""


class ModelServer:
    """A server that answers. It is ended by `stop`, when nobody refers to it, and when this process ends in any way.

    Args:
        command: what is served.
        patience: how long its start may take.

    Raises:
        OptionError: vLLM is not installed.
        ModelError: the server died at its start, or did not get ready in time; with the last lines of its log.
    """

    def __init__(self, command: ServerCommand, patience: Patience) -> None:
        self._command, self._patience = command, patience
        self.key = secrets.token_urlsafe(32)
        executable = find_executable(command.word)
        for place in range(PORTS):
            self._begin(executable)
            try:
                self._wait()
                return
            except _PortTaken:
                self.stop()
                if place == PORTS - 1:
                    raise ModelError(
                        f"{command.word}: {PORTS} ports in a row were taken by others. Run the same command again."
                    ) from None
            except ModelError:
                self._abandon()
                raise
            except BaseException:
                self.stop()
                raise

    @property
    def address(self) -> str:
        """Where it is asked."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def alive(self) -> bool:
        """Whether it runs and was not stopped."""
        return self._finish.alive and self._process.poll() is None

    @property
    def answers(self) -> bool:
        """Whether it says that it is well."""
        return self.alive and _get(f"http://{HOST}:{self.port}/health", self.key) is not None

    @property
    def pid(self) -> int:
        """The process that holds the server's process group."""
        return self._process.pid

    def stop(self) -> None:
        """End it and all that it has started; nothing where that was done."""
        self._finish()

    def died(self) -> EndpointError:
        """What is said of a server that ended while it was needed; what is left of it is ended, but for its log."""
        self._abandon()
        return EndpointError(
            f"the vLLM server of {self._command.word} has ended. What was answered is kept; run the same command again."
            f"{self._tail()}"
        )

    def _abandon(self) -> None:
        """End it and leave its log, so that it can be read."""
        self._finish.detach()
        _end(self._process, os.getpid(), None)

    def _begin(self, executable: str) -> None:
        descriptor, name = tempfile.mkstemp(prefix="whichway-vllm-", suffix=".log")
        self._log, self.port = Path(name), _free_port()
        command = [sys.executable, "-I", process_group.__file__, *self._command.words(executable, self.port)]
        # no statistics of usage are sent, unless the user's environment says otherwise
        environment = {"VLLM_NO_USAGE_STATS": "1", **os.environ, "VLLM_API_KEY": self.key}
        try:
            # A session of its own: Ctrl-C reaches this process, which ends the child in good order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=descriptor, stderr=subprocess.STDOUT,
                env=environment, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(descriptor)
        self._finish = weakref.finalize(self, _end, self._process, os.getpid(), self._log)

    def _wait(self) -> None:
        """Wait until it answers to its key."""
        end = time.monotonic() + self._patience.start_seconds
        while time.monotonic() < end:
            if not self.alive:
                tail = self._tail()
                if TAKEN in tail.lower():
                    raise _PortTaken
                raise ModelError(
                    f"vLLM cannot serve {self._command.word}: it ended with exit code {self._process.returncode}. "
                    "Mend what its log says; options of `vllm serve` go into WHICHWAY_VLLM_OPTIONS, such as "
                    f'"--max-model-len 4096 --gpu-memory-utilization 0.8".{tail}'
                )
            if self._is_ready():
                return
            time.sleep(self._patience.poll_seconds)
        raise ModelError(
            f"vLLM was not ready to serve {self._command.word} within {self._patience.start_seconds:g} s and was "
            f"stopped. Start it by hand and name it as an endpoint (NAME@http://host/v1).{self._tail()}"
        )

    def _is_ready(self) -> bool:
        """Whether it is ready.

        Raises:
            _PortTaken: what answers there is another server, which does not know the key or the model.
        """
        if not self.answers:
            return False
        body = _get(f"{self.address}/models", self.key)
        models = body.get("data") if isinstance(body, dict) else None
        if self._command.served_name not in [one.get("id") for one in models or () if isinstance(one, dict)]:
            raise _PortTaken
        return True

    def _tail(self) -> str:
        """The last lines of the log, and where all of it is."""
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - TAIL_BYTES))
            lines = log.read().decode(errors="replace").replace(self.key, "[key]").splitlines()[-TAIL_LINES:]
            return "\n".join([f"\nThe log ({self._log}) ends with:", *(f"  {line}" for line in lines)])
        return ""


def find_executable(word: str) -> str:
    """The path of the program `vllm`.

    Raises:
        OptionError: it is not on the path; says what to do.
    """
    executable = shutil.which(EXECUTABLE)
    if executable is None:
        raise OptionError(
            f"{word} wants vLLM, and there is no program `{EXECUTABLE}` on the path. Install it into an environment of "
            f"its own (pip install vllm) and put that one's bin folder on the path; or name a server of vLLM that runs "
            "already: NAME@http://host/v1."
        )
    return executable


def _free_port() -> int:
    with socket.socket() as place:
        place.bind((HOST, 0))
        return int(place.getsockname()[1])


def _get(address: str, key: str) -> Any:
    """What a GET gives, JSON where it is some and else an empty text; None where it is refused or nobody listens."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {key}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy stands between
    try:
        with direct.open(request, timeout=5.0) as answer:
            content = answer.read()
    except OSError:  # also each status that is no success
        return None
    try:
        return json.loads(content)
    except ValueError:
        return ""


def _end(process: subprocess.Popen[bytes], owner: int, log: Path | None) -> None:
    """End a server's processes; not in a process that was forked from the owner, which has them still."""
    if os.getpid() != owner:
        return
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2 * process_group.GRACE_SECONDS + 1)
    if log is not None:
        log.unlink(missing_ok=True)
