"""What is asked: the task, what a way sees of it, the metric, the judge and the budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whichway.nouns.candidate import Mode, Prompt
from whichway.nouns.example import Example
from whichway.nouns.json_form import LATE


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric by name with its options, as the task file gives it."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """A model that judges written answers by a rubric, as the task file gives it. It stands beside the metric."""

    model: str  # the user's word for it, as for the model under trial
    rubric: str  # what is judged: "Does the letter sound like the pet itself?"
    levels: tuple[str, ...] = ("poor", "weak", "fair", "good", "excellent")  # in words, worst first
    repeats: int = 3  # times that each answer is judged, levels in another order each time: the judge's own noise
    pairs: bool = True  # compare the ways two by two as well, each pair in both orders
    itself: bool = False  # the user's word that the model under trial, or a proposer, may judge
    temperature: float = 0.0  # 0: levels are scored; above: its word is drawn and read


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked, the examples in three splits, and how an answer is judged."""

    name: str
    ask: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    metric: MetricSpec
    labels: tuple[str, ...] = ()  # closed label set; empty for free text
    model: str = ""  # the user's word for it; "": the default of models.yaml
    volume: float = 1000.0  # requests a day the winner will serve
    margin: float = 0.01  # δ: a difference below it does not matter, in units of the metric (0.01 = one point)
    budget: Budget | None = None
    ways: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # way -> options; empty: the default ways
    models: tuple[str, ...] = field(default=(), metadata=LATE)  # several models under trial; empty: `model` alone
    prompts: tuple[Prompt, ...] = ()  # the user's own, which every way starts from; empty: made from the ask
    checks: MetricSpec | None = None  # what every answer must fulfil; the metric itself where there are no targets
    judge: JudgeSpec | None = None
    options: Mapping[str, Any] = field(default_factory=dict, metadata=LATE)  # of the run, as said: see `options.py`
    # whether the split is ours, drawn by hash, so that folds may take its place
    foldable: bool = field(default=False, metadata=LATE)
    folds: tuple[tuple[Example, ...], ...] = field(default=(), metadata=LATE)  # the rows, where it is cross-fitted
    unlabelled: tuple[Example, ...] = field(default=(), metadata=LATE)  # rows without a wanted answer, for a teacher
    # word of a model that only teaches -> the prompting ways that stand in the contest on it
    teachers: Mapping[str, tuple[str, ...]] = field(default_factory=dict, metadata=LATE)
    # rows that are trained on and never tested, such as corrected answers; without folds they are rows of train as well
    extra_train: tuple[Example, ...] = field(default=(), metadata=LATE)

    @property
    def reference_free(self) -> bool:
        """Whether no row has a wanted answer."""
        return not any(e.target for e in (*self.train, *self.dev, *self.test))

    def train_dev_view(self) -> TrainDevView:
        """The task without its test split: what a way may see."""
        return TrainDevView(
            self.name, self.ask, self.train, self.dev, self.metric, self.labels, self.margin, self.prompts,
            self.unlabelled,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainDevView:
    """What a way sees of a task: train and dev. There is no `test` attribute, so a leak cannot be written."""

    name: str
    ask: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    metric: MetricSpec
    labels: tuple[str, ...] = ()
    margin: float = 0.01
    prompts: tuple[Prompt, ...] = ()  # the user's own, which every way starts from; empty: made from the ask
    unlabelled: tuple[Example, ...] = ()  # rows without a wanted answer, none of them near a labelled one

    @property
    def reference_free(self) -> bool:
        """Whether no row has a wanted answer: nothing to train on, no worked example to show."""
        return not any(e.target for e in (*self.train, *self.dev))

    @property
    def mode(self) -> Mode:
        """How answers are read: closed labels are scored, the likelier of two is taken, free text is written."""
        if self.labels:
            return "choose"
        if not self.is_preference:
            return "generate"
        return "likelier_per_token" if self.metric.options.get("per_token") else "likelier"

    @property
    def multi_labels(self) -> tuple[str, ...]:
        """The labels of which a row may have several; empty where it has one, or free text."""
        named = self.metric.options.get("labels", ()) if self.metric.name == "multi_label" else ()
        return tuple(str(label) for label in named)

    @property
    def thinks(self) -> bool:
        """Whether wanted answers begin with reasoning, which is learned and read with them."""
        return not self.labels and any(e.target.lstrip().startswith("<think>") for e in self.train)

    @property
    def is_preference(self) -> bool:
        """Whether the rows are preferences: a wanted and a rejected answer to each."""
        return bool(self.train) and self.train[0].rejected is not None


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of one way, the same for each; whichever ends first. None: no limit."""

    usd: float | None = None
    seconds: float | None = None
    calls: int | None = None
