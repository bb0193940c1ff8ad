"""Models behind any OpenAI-compatible API, through the official client: prompted, and trained by their service.

A word for one is `openai:NAME`, `NAME@http://host/v1` or an entry under `endpoints` in models.yaml. One of several
labels is answered by a JSON schema or by given texts where that is offered, with log-probabilities where they are; else
it is read off what was written, and an answer that names none counts as unparsed. `api: completions` with `echo` scores
each label as the engine on this machine does. A tuned model answers with what it learned to write, the label itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from whichway.backends._openai import fine_tuning, keys
from whichway.backends._openai.calls import Caller, Pace, RowRefused
from whichway.backends._openai.label_reading import among, told_apart
from whichway.backends._openai.replies import Unreadable, misplaced, reply_of, spelled, usage_of
from whichway.backends._openai.requests import Dialect, Reading, Usage, most_tokens, prompt_text
from whichway.backends._openai.workers import answer_all
from whichway.contracts import Meter, Session
from whichway.errors import ModelError, OptionError, WayFailed
from whichway.models import endpoints
from whichway.models.shelf import HostedEndpoint
from whichway.nouns import Adapter, Reply, Request, TrainJob, Weights
from whichway.training_kinds import HostedOptions, kinds_of, options, stored_as

MISPLACED = (
    "echo: the log-probabilities stand one token too early, as llama-cpp-python's server gives them for models without "
    "a BOS token. Take another capability in models.yaml (grammar there), or another server"
)
UNREADABLE = 3  # answers in a row that cannot be read, before a row is given up


def backend() -> OpenAIBackend:
    """The backend of this file."""
    return OpenAIBackend()


class OpenAIBackend:
    """Asks models behind an API. One client for each endpoint, made when it is first asked.

    Args:
        pace: how patiently.
    """

    name = "openai"
    version = "openai 1"

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._lines: dict[tuple[str, str], EndpointConnection] = {}
        self.watch: Callable[[Mapping[str, Any]], None] | None = None  # hears of trainings, see `contracts.Attended`

    def weights(self, base: str) -> Weights:
        """The model that a word names. Its revision is a digest of its name and address; nothing is sent.

        Raises:
            ModelError: the word names no endpoint.
        """
        return Weights(self.name, base, self._endpoint(base).revision)

    @contextmanager
    def open(self, weights: Weights, adapter: Path | None) -> Iterator[Session]:
        """A session that costs whatever it costs."""
        yield self._session(weights, Unmetered(), adapter)

    @contextmanager
    def metered(self, weights: Weights, meter: Meter, adapter: Path | None = None) -> Iterator[Session]:
        """A session that asks `meter` before each call."""
        yield self._session(weights, meter, adapter)

    def trains(self) -> frozenset[str]:
        """The one kind that a service can do; whether this one does is seen when it is asked."""
        return kinds_of(self.name)

    def expect(self) -> None:
        """Nothing is made ready: the service does its work elsewhere."""

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        """Train at the service of the endpoint; see `_openai/fine_tuning.py`.

        Raises:
            OptionError: another kind of training, which wants the weights here.
            WayFailed: the service refuses the rows, or the job failed.
            EndpointError: the service refuses us or stays away; what it is at goes on there.
        """
        if job.kind not in self.trains():
            raise OptionError(f"{job.weights.base} lies behind an API: its weights cannot be trained from here.")
        options(HostedOptions, job.options)
        service = fine_tuning.service_of(self._endpoint(job.weights.base), self._pace)
        yield from fine_tuning.HostedTraining(service, self.watch).train(job, folder)

    def training_tokens(self, job: TrainJob) -> tuple[int, int]:
        """Tokens that a training will be billed for: about, and at most."""
        return fine_tuning.billed_tokens(job)

    def begun(self, job: TrainJob, folder: Path) -> bool:
        """Whether a job for this training was asked for and has not failed."""
        return fine_tuning.begun(folder)

    def price_name(self, weights: Weights) -> str:
        """The entry of the price file that models.yaml names, else the model's own name."""
        endpoint = self._endpoint(weights.base)
        return endpoint.price or endpoint.model

    def stays(self, weights: Weights) -> bool:
        """Whether models.yaml says `local: true`. An address of this machine is not enough: it may pass data on."""
        return self._endpoint(weights.base).local

    def near(self, weights: Weights) -> bool:
        """Whether its host is this machine."""
        return endpoints.on_this_machine(self._endpoint(weights.base))

    def retires(self, weights: Weights) -> str:
        """The date that models.yaml says."""
        return self._endpoint(weights.base).retires

    def check(self, weights: Weights) -> None:
        """Look for the key.

        Raises:
            ModelError: it is not set.
        """
        key = self._endpoint(weights.base).key
        if key:
            keys.find(key)

    def most_tokens(self, weights: Weights, request: Request) -> tuple[int, int]:
        """What can be billed at most for a request, if it is sent once."""
        endpoint = self._endpoint(weights.base)
        dialect = Dialect(endpoint, stored_as(weights.kind, "hosted"))
        reading = dialect.reading if request.labels else None
        if reading == "echo":
            most = [most_tokens(dialect.echo(request, label)) for label in request.labels]
            return sum(one.tokens_in for one in most), len(most)
        body = dialect.chat(request, reading) if endpoint.api == "chat" else dialect.completion(request, reading)
        most_of_all = most_tokens(body)
        return most_of_all.tokens_in, most_of_all.tokens_out

    def _endpoint(self, word: str) -> HostedEndpoint:
        endpoint = endpoints.find(word)
        if endpoint is None:
            raise ModelError(
                f"{word} names no model behind an API: write openai:NAME, NAME@http://host/v1, or a name that stands "
                "under endpoints in models.yaml."
            )
        return endpoint

    def _session(self, weights: Weights, meter: Meter, adapter: Path | None) -> EndpointSession:
        endpoint = self._endpoint(weights.base)
        if endpoint.revision != weights.revision:
            raise ModelError(
                f"{weights.base} is another endpoint now than when the run was planned. Restore its address and its "
                "entry in models.yaml, or begin another run with --out."
            )
        if weights.adapter is not None:
            if adapter is None:
                raise ModelError(f"The folder of the trained part {weights.adapter} was not given.")
            endpoint = replace(endpoint, model=fine_tuning.tuned_model(adapter))
        key = (weights.base, endpoint.model)
        if key not in self._lines:
            self._lines[key] = connect(endpoint, self._pace, tuned=weights.adapter is not None)
        return EndpointSession(self._lines[key], meter)


@dataclass(frozen=True, slots=True)
class EndpointConnection:
    """The connection to one endpoint."""

    endpoint: HostedEndpoint
    caller: Caller
    dialect: Dialect


def connect(endpoint: HostedEndpoint, pace: Pace, tuned: bool = False, key: str = "") -> EndpointConnection:
    """A connection to an endpoint; nothing is sent yet.

    Args:
        endpoint: which.
        pace: how patiently it is asked.
        tuned: whether its model was trained to write the label itself.
        key: that is sent; "": the one that the endpoint names.

    Raises:
        ModelError: the key that it names is not set.
    """
    return EndpointConnection(endpoint, Caller(endpoint, pace, key), Dialect(endpoint, tuned))


@dataclass(slots=True)
class _Calls:
    """The calls for one request, as far as they were answered."""

    meter: Meter
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)

    def answered(self, reserved: float, used: Usage) -> None:
        """One was."""
        self.meter.settle(reserved, used.tokens_in, used.tokens_cached, used.tokens_out)
        self.usage = self.usage.plus(used)

    def waste(self, why: str) -> None:
        """The request gets no answer, or is asked again in another form."""
        used, self.usage = self.usage, Usage()
        if used != Usage():
            self.meter.waste(used.tokens_in, used.tokens_cached, used.tokens_out, why)


class Unmetered:
    """A meter without a cap."""

    def reserve(self, tokens_in: int, tokens_out: int) -> float:
        """Nothing is set aside."""
        return 0.0

    def release(self, reserved: float) -> None:
        """Nothing is counted."""

    def settle(self, reserved: float, tokens_in: int, tokens_cached: int, tokens_out: int) -> None:
        """Nothing is counted."""

    def lose(self, reserved: float, tokens_in: int, tokens_out: int, why: str) -> None:
        """Nothing is counted."""

    def waste(self, tokens_in: int, tokens_cached: int, tokens_out: int, why: str) -> None:
        """Nothing is counted."""

    def keep(self, index: int, reply: Reply) -> None:
        """Nothing is kept."""


@dataclass(slots=True)
class EndpointSession:
    """Asks one endpoint. What it learned about it is shared with all other sessions."""

    line: EndpointConnection
    meter: Meter
    stop: threading.Event = field(default_factory=threading.Event)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Write an answer to each request."""
        return answer_all(requests, self._answer, self.line.endpoint.concurrency, self.meter)

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer each request with one of its labels.

        Raises:
            WayFailed: whole texts are to be scored, and the endpoint cannot do that.
        """
        first = requests[0].decoding if requests else None
        if first is not None and first.channel:
            raise WayFailed("a model behind an API tells no log-probability of a row's text; leave out channel")
        if first is not None and first.mode != "choose" and self.line.dialect.reading != "echo":
            raise WayFailed(
                "preferences want the log-probability of whole answers: api: completions with the capability echo"
            )
        return answer_all(requests, self._answer, self.line.endpoint.concurrency, self.meter)

    def _answer(self, request: Request, stop: threading.Event) -> Reply:
        """One request, in as many forms as it takes to find one that the endpoint understands."""
        calls = _Calls(self.meter)
        try:
            while True:
                reading = self.line.dialect.reading if request.labels else None
                body = self._body(request, reading)
                try:
                    reply = self._echoed(request, calls, stop) if reading == "echo" else self._once(
                        body, request, calls, stop
                    )  # fmt: skip
                except RowRefused as refused:
                    calls.waste(str(refused))
                    if refused.status in (400, 415, 422) and self.line.dialect.learn(
                        body, reading, refused.param, str(refused)
                    ):
                        continue
                    self.line.caller.count_refusal(refused)
                    return _refused(refused)
                self.line.dialect.worked(reading or "")
                used = calls.usage
                return replace(
                    reply,
                    tokens_in=used.tokens_in,
                    tokens_cached=used.tokens_cached,
                    tokens_out=used.tokens_out,
                    seconds=calls.seconds,
                )
        except BaseException:
            calls.waste("given up between its calls")
            raise

    def _body(self, request: Request, reading: Reading | None) -> dict[str, Any]:
        dialect = self.line.dialect
        if reading == "echo":
            return dialect.echo(request, request.labels[0])
        return dialect.chat(request, reading) if self.line.endpoint.api == "chat" else dialect.completion(
            request, reading
        )  # fmt: skip

    def _once(self, body: dict[str, Any], request: Request, calls: _Calls, stop: threading.Event) -> Reply:
        """One body, sent until its answer can be read."""
        most = most_tokens(body)
        sent = sum(len(turn.content.encode()) for turn in request.messages)
        for _ in range(UNREADABLE):
            answer = self.line.caller.send(body, most, self.meter, stop)
            calls.seconds += answer.seconds
            try:
                reply = reply_of(answer.body, most, sent, request.labels)
            except Unreadable as error:
                self.meter.lose(answer.reserved, most.tokens_in, most.tokens_out, str(error))
                continue
            used = Usage(reply.tokens_in, reply.tokens_cached, reply.tokens_out)
            calls.answered(answer.reserved, used)
            return reply
        raise RowRefused(f"{UNREADABLE} answers in a row that cannot be read", code="failed", status=500)

    def _echoed(self, request: Request, calls: _Calls, stop: threading.Event) -> Reply:
        """The likeliest label, by the log-probabilities of each after the prompt.

        Raises:
            RowRefused: the prompt is not echoed, or with log-probabilities that are those of other tokens.
        """
        prompt, echoed = prompt_text(request), {}
        for label in request.labels:
            body = self.line.dialect.echo(request, label)
            most = most_tokens(body)
            answer = self.line.caller.send(body, most, self.meter, stop)
            calls.answered(answer.reserved, usage_of(answer.body, most, len(prompt.encode()), "x"))
            calls.seconds += answer.seconds
            choice = (answer.body.get("choices") or [{}])[0]
            if misplaced(choice):
                raise RowRefused(MISPLACED, "echo")
            end = len(label) if request.decoding.mode != "choose" else told_apart(label, request.labels)
            own = spelled(choice, len(prompt), len(prompt) + 1 + len(label), len(prompt) + 1 + end)
            if not own:
                raise RowRefused("echo: the prompt was not echoed with its log-probabilities", "echo")
            echoed[label] = sum(own) / (len(own) if request.decoding.mode == "likelier_per_token" else 1)
        scores = echoed if request.decoding.mode != "choose" else among(echoed)
        return Reply(max(scores, key=lambda label: scores[label]), scores=scores)


def _refused(refused: RowRefused) -> Reply:
    """What becomes of a row that the endpoint will not answer: a filter's word is an outcome, the rest an error."""
    if "content_filter" in refused.code or "content_policy" in refused.code:
        return Reply("", unread=f"stopped by the provider's content filter: {refused}")
    return Reply("", finish="error", error=f"the endpoint refused it ({refused.status}): {refused}")
