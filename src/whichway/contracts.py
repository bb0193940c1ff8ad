"""The protocols an extender implements: `Metric`, `Backend` (with `Session`), `Way`. A new one of each is one new file.

A module can satisfy `Way`; ours do. Files in `ways/`, `backends/` and `tasks/metrics/` are found by their names; other
packages register theirs under the entry-point groups `whichway.ways`, `whichway.backends`, `whichway.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from whichway.backend_contracts import (
    Attended,
    Backend,
    Counted,
    Embedder,
    Embedding,
    ForecastsWork,
    Hosted,
    KeepsSessions,
    Meter,
    OneProcess,
    OpenBatch,
    ReadsOnce,
    Rounds,
    RowSession,
    Session,
    SharesBase,
    Sized,
    TextReader,
    TokenLogprob,
    TrainsHosted,
    Work,
    WriteRequest,
    WritesOpenly,
    WrittenPiece,
    read_kind,
)
from whichway.events import Event
from whichway.nouns import (
    Adapter,
    Budget,
    Candidate,
    Example,
    Kind,
    Message,
    Prompt,
    Record,
    Reply,
    Score,
    Split,
    TrainDevView,
    Weights,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    NumberArray = NDArray[Any]

__all__ = [
    "RUNGS",
    "Aggregate",
    "Attended",
    "Backend",
    "Bench",
    "Counted",
    "Embedder",
    "Embedding",
    "ForecastsWork",
    "Hosted",
    "KeepsSessions",
    "Listener",
    "Meter",
    "Metric",
    "OneProcess",
    "OpenBatch",
    "OtherWay",
    "RaceResult",
    "ReadsOnce",
    "Rounds",
    "RowSession",
    "Session",
    "SharesBase",
    "Sized",
    "TextReader",
    "TokenLogprob",
    "TrainsHosted",
    "Way",
    "Work",
    "WriteRequest",
    "WritesOpenly",
    "WrittenPiece",
    "combines",
    "follow_nothing",
    "learns",
    "read_kind",
]

# Where `Bench.halve` drops trainings: (share of the steps, trials that may go on after it).
RUNGS = ((0.3, 2), (0.6, 1))


class Aggregate(Protocol):
    """How all rows together become one number, where that is no mean of the rows' scores."""

    def __call__(self, targets: IntArray, answers: NumberArray, weights: FloatArray, /) -> FloatArray:
        """The metric under each of several weightings of the rows, such as bootstrap resamples.

        Args:
            targets: (n,) the wanted label of each row as an integer, 0 and up.
            answers: (n,) the answered label, on the same integers; -1 where no answer could be read; other labels that
                no row wants are -2, -3, ... For a metric with `needs_scores`: (n, L) the log-probability of each label,
                the wanted labels of `targets` first; a row of NaN where there is no answer.
            weights: (B, n) how often each row counts, 0 and more.

        Returns:
            (B,) values from the metric's `lowest` to 1; NaN where the rows that count do not define it.
        """
        ...


class Metric(Protocol):
    """Judges one answer, and says how the rows' scores become one number: `aggregate`."""

    name: str
    title: str  # as people write it, at the start of a line; "": the name
    aggregate: Literal["mean"] | Aggregate
    lowest: float  # the worst value that the aggregate can take; the best is 1, and a row's score is in 0..1
    plain: bool  # whether its values are written as they are, as a correlation's 0.75, not in percent
    needs_scores: bool  # whether the aggregate reads the labels' log-probabilities instead of the answered label
    closed: bool  # whether it wants a closed label set (then labels are scored rather than generated)

    def __call__(self, example: Example, text: str) -> Score:
        """Score one answer; `Score(None, why)` when no answer can be read from `text`."""
        ...

    def normal(self, text: str) -> str:
        """The form in which answers are compared (for rows side by side, and for labels)."""
        ...


@dataclass(frozen=True, slots=True)
class RaceResult:
    """The result of a candidate in a race that a way asked for; see `Bench.race`."""

    candidate: Candidate
    value: float  # the task's metric on its rows
    # what each row adds to it, in the order of the race: the first rows are the same for all
    scores: tuple[float, ...]
    texts: tuple[str, ...]  # its answers
    why: str = ""  # why it got no more rows: "shown worse", "halved", ...; "" for those left at the end


@dataclass(frozen=True, slots=True)
class OtherWay:
    """What another way of the contest ended at on dev, for a way that is made of others (`COMBINES`)."""

    candidates: tuple[Candidate, ...]  # its finalists: one, or one for each seed
    kind: Kind
    value: float  # their dev score, in the mean
    usd: float  # list price of an answer


class Bench(Protocol):
    """What a way works at: metered, cached, and blind to the test split."""

    base: Weights  # the model under trial
    seeds: tuple[int, ...]  # a random way yields a candidate for each
    until: float | None  # the dev score at which a way may stop; None: none was named

    def has(self, kind: str) -> bool:
        """Whether the model under trial can be trained in this way."""
        ...

    def weights(self, backend: str, base: str) -> Weights:
        """Base weights of another backend (the baselines use this)."""
        ...

    def encoder(self, word: str) -> Weights | None:
        """The sentence encoder that a user's word names; None: it is not on this machine, or the word is "words".

        Raises:
            ModelError: a folder that is no encoder.
        """
        ...

    def model(self, word: str) -> Weights:
        """A model of the contest by its short name or the user's word for it.

        Raises:
            OptionError: the contest has no such model.
        """
        ...

    def way(self, name: str) -> tuple[Way, Any] | None:
        """Another way with its options, as it stands in this contest, else with its defaults; None: there is none."""
        ...

    def near_copies(self, texts: Sequence[str]) -> list[Split | None]:
        """For each new text the split of a labelled row that it is nearly a copy of; None: of none."""
        ...

    def render(self, prompt: Prompt, row: Example | str) -> tuple[Message, ...]:
        """The chat messages that ask a prompt of one row, with the shots that are chosen for it."""
        ...

    def ask(self, candidate: Candidate, examples: Sequence[Example]) -> list[Reply]:
        """Raw answers with label scores, unjudged: targets play no part (calibration, proposers).

        Raises:
            BudgetSpent: the budget is spent.
        """
        ...

    def score(self, candidate: Candidate, examples: Sequence[Example]) -> list[Record]:
        """Answers to train or dev rows, judged; same order as `examples`.

        Raises:
            BudgetSpent: the budget is spent.
        """
        ...

    def value(self, candidate: Candidate) -> float:
        """The metric on the whole dev split, by the task's own aggregate."""
        ...

    def race(
        self,
        candidates: Sequence[Candidate],
        keep: int = 1,
        rows: int | None = None,
        calls: int | None = None,
        halve: bool = True,
    ) -> list[RaceResult]:
        """Race candidates on the same shuffled blocks of dev rows, paired, until `keep` of them are left.

        Args:
            candidates: the earlier is the better when equal.
            keep: how many are wanted.
            rows: dev rows at most; None: all.
            calls: answers that may be bought; None: as many as the budget pays for.
            halve: also let only the better half go on; False: drop only who is shown worse, for a last comparison.

        Returns:
            All that were measured, the best first. When the budget is spent, as far as it went; maybe nobody.
        """
        ...

    def price(self, candidate: Candidate, examples: Sequence[Example]) -> int:
        """How many answers would have to be bought: those that this way does not have yet."""
        ...

    @property
    def others(self) -> Mapping[str, OtherWay]:
        """The contest's other ways that ended at a candidate; none for a way that does not say `COMBINES = True`."""
        ...

    def combine(self, name: str) -> None:
        """Take another way's finalists for parts of this way's: what that way spent on them is charged here as well.

        Raises:
            BudgetSpent: that passes a limit of the budget.
        """
        ...

    def remade(self, candidate: Candidate, examples: Sequence[Example]) -> Candidate | None:
        """Another way's finalist, trained anew on other rows with the same settings, and charged.

        Returns:
            None where it is not of one training on all training rows.

        Raises:
            BudgetSpent: the budget is spent.
        """
        ...

    def fitted_on_dev(self, candidate: Candidate, records: Sequence[Record]) -> None:
        """Let records stand for a candidate's dev rows: it was fitted on them, so its own would flatter it.

        Args:
            candidate: which is yielded after this.
            records: for every dev row, of candidates that were fitted on other dev rows.
        """
        ...

    @property
    def spent(self) -> Budget:
        """What this way has spent so far, at list price."""
        ...

    @property
    def left(self) -> Budget:
        """What is left of the budget; None: no limit."""
        ...

    def train(
        self, kind: str, start: Weights, prompt: Prompt, examples: Sequence[Example], seed: int, **options: Any
    ) -> Iterator[Adapter]:
        """Train on examples rendered under `prompt`, the same rendering that `score` uses. One adapter per checkpoint.

        The kind "dpo" trains on both answers of preference rows, every other kind on the wanted one.

        Raises:
            BudgetSpent: the budget is spent.
            WayFailed: the training failed.
        """
        ...

    def fill(self, prompt: Prompt, examples: Sequence[Example]) -> float:
        """Share of the model's context that the longest of these rows takes in a training; 0 where it is not known."""
        ...

    def halve(self, trials: Sequence[Callable[[], Iterator[Candidate]]], shares: Sequence[float]) -> int:
        """Which of several trainings deserves its whole run: successive halving on the task's metric.

        Args:
            trials: the likeliest to be the best first; ties go to the earlier one. Each starts a training, or takes it
                up where it was left, and yields a candidate at every checkpoint. It is called again after each rung;
                what was trained and answered before costs nothing more.
            shares: of the steps at each checkpoint, ascending; the last is 1.

        Returns:
            The place of the survivor. When the budget is spent on the way, of the one that leads.

        Raises:
            WayFailed: every trial failed.
            BudgetSpent: the budget was spent before any trial could be measured.
        """
        ...

    def say(self, message: str) -> None:
        """Log a line of progress."""
        ...


@runtime_checkable
class Way(Protocol):
    """Something we try. `adapt` yields a candidate whenever it has something shippable; the contest selects on dev."""

    KIND: Kind
    RANDOM: bool  # whether seeds matter
    Options: type  # a frozen dataclass; each field's metadata["help"] is its help text
    # optional: OWN_MODEL = True, no model under trial is needed; COMBINES = True, it is made of other ways' finalists,
    # and worked on after them; LEARNS = False, it gives the same answer to every row

    def adapt(self, task: TrainDevView, bench: Bench, options: Any) -> Iterator[Candidate]:
        """Turn prompts and weights into candidates."""
        ...


def combines(way: Way) -> bool:
    """Whether a way is made of other ways' finalists."""
    return bool(getattr(way, "COMBINES", False))


def learns(way: Way) -> bool:
    """Whether a way is trained on rows, so that it can be the student of a teacher."""
    return way.KIND in ("fine-tune", "baseline") and bool(getattr(way, "LEARNS", True))


class Listener(Protocol):
    """Follows a contest: the command line draws bars from it, the live page streams it."""

    def __call__(self, event: Event, /) -> None:
        """Receive an event; `events.py` lists all of them."""
        ...


def follow_nothing(event: Event) -> None:
    """A listener that does nothing."""
