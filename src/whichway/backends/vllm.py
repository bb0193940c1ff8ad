"""Models that a server of vLLM answers for, which is started when it is first needed and ended with this process.

A word for one is `vllm:` and a word for a local model: a folder, a hub name, a name of the shelf. The server is asked
as any OpenAI-compatible endpoint is (`backends/openai.py`), but costs nothing but time, and what it is sent stays here.
A model is known by the digest of its files and by the options of the server. Prompted only: nothing is trained.
"""

from __future__ import annotations

import json
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from whichway.backends._openai.calls import Pace
from whichway.backends._vllm.model_server import HOST, ModelServer, Patience, ServerCommand, find_executable
from whichway.backends.openai import EndpointConnection, EndpointSession, Unmetered, connect
from whichway.contracts import Session
from whichway.errors import EndpointError, ModelError, OptionError
from whichway.models.shelf import HostedEndpoint
from whichway.nouns import Adapter, Reply, Request, TrainJob, Weights, digest

PREFIX = "vllm:"
OPTIONS = "WHICHWAY_VLLM_OPTIONS"  # further words of `vllm serve`, as in a shell
RESERVED = ("--host", "--port", "--api-key", "--served-model-name")  # words that are said here
CONCURRENCY = 64  # requests under way at once, at most: a chunk of a contest's rows


def backend() -> VllmBackend:
    """The backend of this file."""
    return VllmBackend()


class VllmBackend:
    """Starts a server for each model that is asked, and asks it.

    Args:
        pace: how patiently it is asked.
        patience: how long its start may take.
    """

    name = "vllm"
    version = "vllm 1"
    one_process = True  # a server of each process would want the card for itself

    def __init__(self, pace: Pace | None = None, patience: Patience | None = None) -> None:
        self._pace, self._patience = pace or Pace(), patience or Patience()
        self._served: dict[str, _Served] = {}  # revision -> server
        self._starting = threading.Lock()

    def weights(self, base: str) -> Weights:
        """The model that a word names, with a digest of its files and of how it is served; nothing is started.

        Raises:
            OptionError: vLLM is not installed.
            ModelError: there is no such model.
        """
        find_executable(base)
        return Weights(self.name, base, _revision(_command(base)))

    @contextmanager
    def open(self, weights: Weights, adapter: Path | None) -> Iterator[Session]:
        """A session with the server of a model, which is started where none runs.

        Raises:
            OptionError: vLLM is not installed.
            ModelError: the server cannot be started, or the model is not the one that `weights` names.
        """
        if weights.adapter is not None:
            raise ModelError(f"{weights.base}: parts that were trained here are not given to vLLM.")
        yield VllmSession(self._server(weights))

    def trains(self) -> frozenset[str]:
        """Nothing."""
        return frozenset()

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        """Refuse: vLLM does not train.

        Raises:
            OptionError: always.
        """
        raise OptionError(f"{job.weights.base}: vLLM does not train. Name the model without '{PREFIX}' for that.")

    def stop(self) -> None:
        """End all servers; one that is needed later is started again."""
        with self._starting:
            while self._served:
                self._served.popitem()[1].server.stop()

    def _server(self, weights: Weights) -> _Served:
        with self._starting:
            served = self._served.get(weights.revision)
            if served is not None and served.server.alive:
                return served
            command = _command(weights.base)
            if _revision(command) != weights.revision:
                raise ModelError(
                    f"{weights.base} is not what it was when the run was planned: its files or {OPTIONS} have changed. "
                    "Restore them, or begin another run with --out."
                )
            server = ModelServer(command, self._patience)
            endpoint = replace(_endpoint(command), base_url=server.address)
            served = _Served(server, connect(endpoint, self._pace, key=server.key))
            self._served[weights.revision] = served
            return served


@dataclass(frozen=True, slots=True)
class _Served:
    """A server, and the connection to it."""

    server: ModelServer
    connection: EndpointConnection


@dataclass(frozen=True, slots=True)
class VllmSession:
    """Asks one server. The seconds of a row are its share of what its batch took: rows are answered side by side."""

    served: _Served

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Write an answer to each request."""
        return self._shared(EndpointSession(self.served.connection, Unmetered()).generate, requests)

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer each request with one of its labels, as an endpoint does.

        Raises:
            WayFailed: whole texts are to be scored, and the server is asked for chats.
        """
        return self._shared(EndpointSession(self.served.connection, Unmetered()).choose, requests)

    def _shared(self, ask: Callable[[Sequence[Request]], list[Reply]], requests: Sequence[Request]) -> list[Reply]:
        began = time.monotonic()
        try:
            replies = ask(requests)
        except EndpointError:
            if self.served.server.answers:
                raise
            raise self.served.server.died() from None
        batch_seconds, all_seconds = time.monotonic() - began, sum(reply.seconds for reply in replies)
        share = batch_seconds / all_seconds if all_seconds > 0 else 1.0
        return [replace(reply, seconds=reply.seconds * share) for reply in replies]


def _command(word: str) -> ServerCommand:
    """What a word asks to be served.

    Raises:
        ModelError: it names no model.
        ModelMissing: it names one of the shelf that was not fetched yet.
        OptionError: the options of the server cannot be read.
    """
    from whichway import models

    name = word.removeprefix(PREFIX)
    if not name or name == word:
        raise ModelError(f"{PREFIX} name the model after the colon, such as {PREFIX}path/to/folder.")
    try:
        options = tuple(shlex.split(os.environ.get(OPTIONS, "")))
    except ValueError as error:
        raise OptionError(f"{OPTIONS} cannot be read as words of a command line: {error}.") from None
    for option in options:
        if option.partition("=")[0] in RESERVED:
            raise OptionError(f"{OPTIONS} holds {option}: host, port, key and name are chosen here. Leave it out.")
    return ServerCommand(word, models.find(name), Path(name).name or "model", options)


def _endpoint(command: ServerCommand) -> HostedEndpoint:
    """How the server is asked: by chats, or, of a model without a chat template, by plain text as on this machine."""
    settings = command.folder / "tokenizer_config.json"
    talks = any(command.folder.glob("chat_template.*"))
    if not talks and settings.is_file():
        talks = bool(json.loads(settings.read_text(encoding="utf-8")).get("chat_template"))
    return HostedEndpoint(
        command.word, command.served_name, f"http://{HOST}/v1", api="chat" if talks else "completions",
        concurrency=CONCURRENCY, local=True,
    )  # fmt: skip


def _revision(command: ServerCommand) -> str:
    """Digest of all that can change an answer: the model's files, how it is asked, the options of the server."""
    from whichway.models import model_files

    asked_as = replace(_endpoint(command), model="").revision  # wherever its folder lies
    return digest([model_files.files_digest(command.folder), asked_as, list(command.options)])
