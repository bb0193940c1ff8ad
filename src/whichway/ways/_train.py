"""What the ways that train with a learning rate share: halve the rates, then train the best for every seed.

The learning rate is the one number that matters (arXiv 2602.04998). Log-spaced points around a rule of thumb start on
the first seed, the likeliest first; the bench trains on only those that lead at its rungs: two cost 1.3 whole runs,
four 2.2. Two are the default: dev splits of few rows cannot tell more apart (`dev/LOG.md`).
The survivor's training is the first seed's own. Every checkpoint is a candidate; the contest keeps the best on dev, or
the latest that dev cannot tell apart from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from whichway.contracts import RUNGS, Bench
from whichway.errors import WayFailed
from whichway.nouns import Adapter, Candidate, Decoding, Example, Prompt, TrainDevView, Weights
from whichway.prompts.plain import base_prompt
from whichway.training_kinds import rate_text
from whichway.training_length import training_length

Rate = dict[str, float]  # {"rate": r}, or {"factor": f}: times the rule of thumb


def label_set_options(task: TrainDevView) -> dict[str, Any]:
    """What a head is told of a task whose rows may have several labels; nothing where they have one, or none."""
    labels = list(task.multi_labels)
    exact = bool(task.metric.options.get("exact"))
    return {**({"labels": labels} if labels else {}), **({"exact": True} if labels and exact else {})}


FACTORS = {
    "help": "rates to search, times the rule of thumb for the model's width; ties go to the earlier one",
    "above": 0,
    "quick": 1,
    "unless": "rate",
}
FEW = 200  # training rows below which a search of LoRA's rate gained nothing: benchmarks/results/search_savings.md
SEARCHED_FROM = {
    "help": "training rows from which on more than the first of the rates is tried; fewer cannot tell rates apart",
    "off_with": "factors",  # who sets them gets them
    "before": 0,
}
FOUR = (1.6, 0.63, 4.0, 0.25)  # for kinds of training whose best rate is less well known


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """The options that such ways have in common."""

    rate: float = field(default=0.0, metadata={"help": "learning rate; 0: searched"})
    factors: tuple[float, ...] = field(default=(1.6, 0.63), metadata={**FACTORS, "before": FOUR})
    search_from: int = field(default=0, metadata=SEARCHED_FROM)
    epochs: int = field(default=4, metadata={"help": "passes over the training rows", "least": 1, "before": 6})
    steps: int = field(
        default=100,
        metadata={
            "help": "steps at least, where epochs are not set; few rows are passed over more often for it",
            "off_with": "epochs",  # who sets the epochs gets them
        },
    )
    batch: int = field(default=8, metadata={"help": "rows per step", "least": 1, "before": 16})
    checkpoints: int = field(
        default=4,
        metadata={
            "help": "checkpoints of a run, one is kept by dev; successive halving drops rates at the first two",
            "least": 1,
        },
    )
    patience: int = field(
        default=0, metadata={"help": "stop after so many checkpoints without a better dev score; 0: train to the end"}
    )
    max_tokens: int = field(
        default=128, metadata={"help": "longest written answer, in tokens (free text only)", "least": 1}
    )


@dataclass(frozen=True, slots=True)
class RateTraining:
    """One training: everything but its rate and seed."""

    task: TrainDevView
    bench: Bench
    kind: str
    options: TrainingOptions
    prompt: Prompt
    examples: Sequence[Example]
    more: dict[str, Any]
    start: Weights | None = None  # what is trained; None: the model under trial
    label: str = ""  # stands before the rate in notes, where trainings differ in more than that

    def __call__(self, rate: Rate, seed: int) -> Iterator[Candidate]:
        """From the first checkpoint to the last, or to the one at which it may stop."""
        options, decoding = self.options, Decoding(self.task.mode, self.options.max_tokens, thinking=self.task.thinks)
        description = rate_text(rate)
        description = f"{self.label} at {description}" if self.label else description
        best, waited = -math.inf, 0
        adapters = self._adapters(rate, seed)
        try:
            for number, adapter in enumerate(adapters, 1):
                note = f"{description}, {adapter.epoch:.1f} epochs"
                candidate = Candidate(self.prompt, adapter.weights, decoding, seed=seed, note=note)
                yield candidate
                if number == options.checkpoints or not (options.patience or self.bench.until is not None):
                    continue
                value = self.bench.value(candidate)
                waited = 0 if value > best else waited + 1
                best = max(best, value)
                if self._may_stop(note, value, waited):
                    return
        finally:
            getattr(adapters, "close", lambda: None)()  # the training's memory is free before the next one starts

    def _adapters(self, rate: Rate, seed: int) -> Iterator[Adapter]:
        options = self.options
        length = training_length(len(self.examples), options.batch, options.epochs, options.steps)
        size = {"epochs": length.epochs, "batch": options.batch, "checkpoints": shares(options.checkpoints)}
        numbers = {**rate, **size, **self.more}
        return self.bench.train(self.kind, self.start or self.bench.base, self.prompt, self.examples, seed, **numbers)

    def _may_stop(self, note: str, value: float, waited: int) -> bool:
        until, patience = self.bench.until, self.options.patience
        if until is not None and value >= until:
            self.bench.say(f"{note}: dev {value:.3f} has reached {until:g}; the training stops")
            return True
        if patience and waited >= patience:
            self.bench.say(f"{note}: dev {value:.3f}, no better for {waited} checkpoints; the training stops")
            return True
        return False


def trained(
    task: TrainDevView,
    bench: Bench,
    kind: str,
    options: TrainingOptions,
    prompt: Prompt | None = None,
    examples: Sequence[Example] | None = None,
    soup: int = 1,
    start: Weights | None = None,
    **more: Any,
) -> Iterator[Candidate]:
    """Yield a candidate for each checkpoint of the best rate's training, seed by seed.

    Args:
        task: rows to train on.
        bench: where.
        kind: of the training: "lora", "full".
        options: of the way.
        prompt: to train under; None: the plain one.
        examples: to train on; None: the task's training rows.
        soup: trainings of the best rate that are averaged, for every seed; the rates are searched with one each.
        start: what is trained; None: the model under trial.
        more: options of the training that only this kind has.
    """
    rows = task.train if examples is None else examples
    run = RateTraining(task, bench, kind, options, prompt or base_prompt(task), rows, more, start)
    rates = rates_of(options, len(rows))
    best = bench.halve([partial(run, rate, bench.seeds[0]) for rate in rates], shares(options.checkpoints))
    final = replace(run, more={**more, "soup": soup}) if soup > 1 else run
    yield from each_seed(final, in_order(options, rates, best), bench)


def rates_of(options: TrainingOptions, rows: int) -> list[Rate]:
    """The rates that are tried with so many training rows, the likeliest first."""
    if options.rate:
        return [{"rate": options.rate}]
    factors = options.factors if rows >= options.search_from else options.factors[:1]
    return [{"factor": factor} for factor in factors]


def in_order(options: TrainingOptions, rates: Sequence[Rate], best: int) -> list[Rate]:
    """The rates to train for every seed, the next where one fails: the best one, or all that few rows left untried."""
    untried = not options.rate and len(rates) < len(options.factors)
    return [{"factor": factor} for factor in options.factors] if untried else [rates[best]]


def each_seed(
    train: Callable[[Rate, int], Iterator[Candidate]], rates: Sequence[Rate], bench: Bench
) -> Iterator[Candidate]:
    """The candidates of each seed, at the first of the rates at which the training does not fail.

    Raises:
        WayFailed: it fails at all of them.
    """
    left = list(rates)
    for seed in bench.seeds:
        while True:
            try:
                yield from train(left[0], seed)
                break
            except WayFailed as error:
                if len(rates) == 1:
                    raise
                bench.say(f"{rate_text(left.pop(0))}: {error}")
                if not left:
                    raise WayFailed("the training failed at every rate that was tried; give a lower one") from error


def shares(count: int) -> tuple[float, ...]:
    """The shares of the steps after which checkpoints are saved: at the rungs, at the end, others evenly between."""
    if count <= len(RUNGS):
        return tuple((k + 1) / count for k in range(count))
    ends = (*(share for share, _ in RUNGS), 1.0)
    starts = (0.0, *ends)
    parts = [1] * len(ends)
    for _ in range(count - len(ends)):
        widest = max(range(len(ends)), key=lambda i: ((ends[i] - starts[i]) / parts[i], i))
        parts[widest] += 1
    return tuple(
        round(a + (b - a) * (k + 1) / n, 4) for a, b, n in zip(starts, ends, parts, strict=False) for k in range(n)
    )
