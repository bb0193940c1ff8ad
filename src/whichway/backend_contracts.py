"""The protocols of a backend and its sessions, and what they may offer besides; all are imported from `contracts`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from whichway.nouns import Adapter, Example, Message, Reply, Request, TrainJob, TrainRow, Weights

if TYPE_CHECKING:
    import numpy as np


class Session(Protocol):
    """A model with its weights loaded. Calls are batched; concurrency lives inside."""

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Write an answer to each request."""
        ...

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer each request with one of its `labels`, by scoring all of them.

        In the modes "likelier" and "likelier_per_token" a score is the log-probability of the whole answer, summed or
        per token; otherwise it is that among the labels.
        """
        ...


@runtime_checkable
class TextReader(Protocol):
    """A session that also reads plain text. Optional: where it is missing, forgetting is not measured."""

    def read(self, texts: Sequence[str]) -> list[Reply]:
        """A reply for each text: `tokens_in` tokens were predicted from those before them in the text, and
        `scores["nats"]` is the sum of their negative log-probabilities.
        """
        ...


@runtime_checkable
class RowSession(Protocol):
    """A session that is told which row each request asks about. Optional: a dry run makes its answers up from them."""

    def answer_rows(self, requests: Sequence[Request], rows: Sequence[Example]) -> list[Reply]:
        """A reply to each request, as `choose` or `generate` would give."""
        ...


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A text to write, by more than what a contest asks: what a server's clients may say of it."""

    request: Request
    shared: int = 0  # leading messages that other requests are likely to share
    stops: tuple[str, ...] = ()  # texts that end the answer; it is cut before them
    top_p: float = 1.0  # drawn from the likeliest tokens of this probability together
    top_logprobs: int | None = None  # log-probabilities of each token and of so many likeliest; None: of none
    schema: str = ""  # JSON schema that the answer fits; "": any text
    # a text, or its token ids, to go on with as it is, in the place of the request's messages
    plain: str | tuple[int, ...] | None = None
    reads_prompt: bool = False  # the prompt's own tokens are wanted, with their log-probabilities


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A written token, and the likeliest in its place."""

    text: str
    logprob: float
    likeliest: tuple[tuple[str, float], ...] = ()  # (text, logprob), the likeliest first


@dataclass(frozen=True, slots=True)
class WrittenPiece:
    """What was written of one answer since the last piece of it."""

    number: int  # of the answer, as `admit` gave it
    text: str
    tokens: tuple[TokenLogprob, ...] = ()  # where they were asked for
    reply: Reply | None = None  # the whole answer, with the last piece
    prompt: tuple[TokenLogprob, ...] = ()  # its tokens, where they are wanted; with the first piece


class OpenBatch(Protocol):
    """Answers that are written side by side; new ones join between two steps."""

    def admit(self, query: WriteRequest) -> int:
        """Take up an answer; its number."""
        ...

    def step(self) -> list[WrittenPiece]:
        """Write at least one more token of some answers; nothing where none is open."""
        ...

    def drop(self, number: int) -> None:
        """End an answer that nobody waits for."""
        ...


@runtime_checkable
class WritesOpenly(Protocol):
    """Optional for a session: answers are handed out token by token, and new ones join those under way."""

    def open_batch(self) -> OpenBatch:
        """A batch without answers yet."""
        ...


@runtime_checkable
class KeepsSessions(Protocol):
    """Optional for a backend: so many sets of weights stay ready, the latest ones, for who asks them in turns."""

    sessions: int


@runtime_checkable
class SharesBase(Protocol):
    """Optional for a backend: so many processes share a base in its trainings; None: as memory demands."""

    shards: int | None


@runtime_checkable
class OneProcess(Protocol):
    """Optional for a backend: its models take what a machine has but once, so that one process alone may ask them."""

    one_process: bool


class Backend(Protocol):
    """Access to models. `name` and `version` enter every digest."""

    name: str
    version: str

    def weights(self, base: str) -> Weights:
        """The base weights that a user's word names, with their revision.

        Raises:
            ModelError: there is no such model, or it cannot be used.
        """
        ...

    def open(self, weights: Weights, adapter: Path | None) -> AbstractContextManager[Session]:
        """Load weights; `adapter` is the folder of `weights.adapter`.

        Raises:
            AdapterNotLive: the adapter changes nothing.
        """
        ...

    def trains(self) -> frozenset[str]:
        """The kinds of `TrainJob` this backend can do; empty: prompting only."""
        ...

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        """Train; yield one `Adapter` per checkpoint, saved as `folder/<digest>/` before it is yielded.

        Continues from the state it left in `folder` when it was killed there before.

        Raises:
            WayFailed: it diverged, or did not fit into memory.
        """
        ...


@dataclass(frozen=True, slots=True)
class Embedding:
    """A text as a vector, and what that took."""

    vector: np.ndarray[Any, Any]  # (D,) float32, of length 1: a product of two is their cosine
    tokens: int
    seconds: float


@runtime_checkable
class Embedder(Protocol):
    """Optional for a backend: vectors of texts, by which a prompt can choose its shots."""

    version: str

    def embed(self, weights: Weights, texts: Sequence[str]) -> list[Embedding]:
        """A vector for each text; it does not depend on the other texts, but for rounding.

        Raises:
            ModelError: there is no such encoder, or its files are not those that `weights` names.
        """
        ...

    def files(self, weights: Weights) -> Path:
        """The folder of the encoder, with all that transformers needs to load it.

        Raises:
            ModelError: as above.
        """
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """Counted work: how much was done, however long it took. Equal work has equal units."""

    kind: str  # what is done, and by which model; a contest has one rate for each, in seconds for a unit
    units: float  # such as tokens
    seconds: float  # that it took by the clock


def read_kind(weights: Weights) -> str:
    """The kind of work that is to read tokens with these weights, or any that were trained from the same base."""
    return f"{weights.backend} {weights.revision} read"


@runtime_checkable
class Counted(Protocol):
    """What a backend may offer besides: to count its work, so that a busy moment of the machine makes nothing dearer.

    Where it is missing, the list price of an answer or a training is what it took by the clock. Vectors of an embedder
    count by their tokens, under the kind of `read_kind`.
    """

    def answer_work(self, weights: Weights, request: Request, reply: Reply) -> Work:
        """The work of one answer."""
        ...

    def training_work(self, job: TrainJob, adapter: Adapter, before: Adapter | None) -> tuple[Work, ...]:
        """The work of a training from the checkpoint `before` (None: its start) to `adapter`."""
        ...


@runtime_checkable
class ForecastsWork(Counted, Protocol):
    """What a backend that counts its work may offer besides: to count it before it is done, for estimates."""

    def expected_answers(self, weights: Weights, requests: Sequence[Request]) -> list[Work]:
        """The work of answers in one call, without seconds; a written answer is taken to be as long as it may be."""
        ...

    def expected_training(self, job: TrainJob) -> tuple[Work, ...]:
        """The work of a whole training, without seconds."""
        ...


@runtime_checkable
class Attended(Protocol):
    """Optional for a backend: it hears of planned trainings and reports their progress."""

    watch: Callable[[Mapping[str, Any]], None] | None  # told step, steps, loss, tokens_per_second and seconds_left

    def expect(self) -> None:
        """Trainings are planned: get ready for them while others work."""
        ...


@runtime_checkable
class ReadsOnce(Protocol):
    """What a backend may offer besides: to keep on disk what it computed of rows, so that each is read once."""

    def keep(self, folder: Path | None, heads: Collection[tuple[Message, ...]] = (), states: bool = False) -> None:
        """Keep it in this folder from now on; None: no more.

        Args:
            folder: that trainings of the contest have their folders in.
            heads: the messages before a row, of renderings that more than one way reads.
            states: keep each token's states as well, from which a training of the model's top goes on: much more data.
        """
        ...


@runtime_checkable
class Rounds(Protocol):
    """Optional for a backend: it trains with int8 products of frozen weights (the training option `precision`)."""

    def rounds(self, weights: Weights) -> bool:
        """Whether that is measured to be faster on this machine, for a model of this size."""
        ...


@runtime_checkable
class Sized(Protocol):
    """Optional for a backend: it says whether rows fit its model."""

    def fill(self, weights: Weights, rows: Sequence[TrainRow]) -> float:
        """Share of the model's context that the longest of these rows takes, its answer included; above 1: too long."""
        ...


class Meter(Protocol):
    """What a hosted model's session asks before each call and hears after it. Safe to use from several threads, but
    for `keep`, which belongs to the thread that opened the session.
    """

    def reserve(self, tokens_in: int, tokens_out: int) -> float:
        """Set aside what a call can cost at most; the money, usd. Waits for calls under way that may free some.

        Raises:
            BudgetSpent: it could pass the cap.
        """
        ...

    def release(self, reserved: float) -> None:
        """Free what was set aside: nothing was billed."""
        ...

    def settle(self, reserved: float, tokens_in: int, tokens_cached: int, tokens_out: int) -> None:
        """Charge a call that was answered what it has cost."""
        ...

    def lose(self, reserved: float, tokens_in: int, tokens_out: int, why: str) -> None:
        """Charge so many tokens for a call that gave no answer and may have been billed."""
        ...

    def waste(self, tokens_in: int, tokens_cached: int, tokens_out: int, why: str) -> None:
        """Note that calls which were settled belong to a request that gets no answer."""
        ...

    def keep(self, index: int, reply: Reply) -> None:
        """Keep the answer to the request at `index` at once."""
        ...


@runtime_checkable
class Hosted(Protocol):
    """Optional for a backend: its models are behind an API, so that calls cost money and data leave this machine."""

    def metered(self, weights: Weights, meter: Meter, adapter: Path | None = None) -> AbstractContextManager[Session]:
        """A session that asks `meter` before each call; `open` gives one that costs whatever it costs.

        `adapter` is the folder of `weights.adapter`, as for `open`.
        """
        ...

    def price_name(self, weights: Weights) -> str:
        """The entry of the price file that holds its prices, if there is one."""
        ...

    def stays(self, weights: Weights) -> bool:
        """Whether what is sent to it stays on machines of the user's own."""
        ...

    def near(self, weights: Weights) -> bool:
        """Whether it is asked at an address of this very machine."""
        ...

    def retires(self, weights: Weights) -> str:
        """The date on which its provider switches it off, where it is known; "" where it is not."""
        ...

    def check(self, weights: Weights) -> None:
        """Find what a call needs, and send nothing.

        Raises:
            ModelError: the key is missing.
        """
        ...

    def most_tokens(self, weights: Weights, request: Request) -> tuple[int, int]:
        """Tokens of a request and of its answer, at most."""
        ...


@runtime_checkable
class TrainsHosted(Protocol):
    """Optional for a hosted backend: its models are trained by a service that is paid by the token."""

    def training_tokens(self, job: TrainJob) -> tuple[int, int]:
        """Tokens that a training will be billed for: about, and at most."""
        ...

    def begun(self, job: TrainJob, folder: Path) -> bool:
        """Whether the service is at this training already, so that going on with it buys nothing new."""
        ...
