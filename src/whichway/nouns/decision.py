"""What is fixed before the first call, and what is decided after the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from whichway.findings import (
    BreakEven,
    CheckShare,
    Crossover,
    Curve,
    DoubtfulLabels,
    Forgetting,
    Formats,
    Grading,
    Judgement,
    Missing,
    Odds,
    Overlap,
    Race,
    Selection,
    Sentence,
    Slice,
    Spread,
    Variety,
)
from whichway.nouns.candidate import Prompt
from whichway.nouns.json_form import LATE
from whichway.nouns.task import Budget, JudgeSpec, MetricSpec

Kind = Literal["baseline", "prompt", "fine-tune", "both"]
Sureness = Literal["decided", "leaning", "toss-up"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything fixed before the first call. A rerun with another plan refuses and shows the difference."""

    task: str
    ask: str
    metric: MetricSpec
    labels: tuple[str, ...]
    splits: Mapping[str, str]  # split -> digest of its example ids
    rows: Mapping[str, int]  # split -> number of rows
    model: str
    revision: str
    ways: Mapping[str, Mapping[str, Any]]  # way -> all options, defaults filled in
    seeds: tuple[int, ...]
    budget: Budget
    volume: float
    margin: float
    confidence: float
    price_per_hour: float  # usd, of this machine
    versions: Mapping[str, str]
    smallest_gap: float | None  # that this contest finds 9 times of 10, if seeds differ by 2 points
    warnings: tuple[str, ...] = ()
    race: bool = True  # whether candidates race over dev rows
    curve: tuple[int, ...] = ()  # numbers of training rows that every way is fitted on as well
    repeats: int = 1  # decodings of a test row, for candidates that draw
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict, metadata=LATE)  # name -> model, revision
    until: float | None = None  # dev score at which a training stops
    general: str = field(default="", metadata=LATE)  # digest of the user's own text for forgetting
    prompts: tuple[Prompt, ...] = ()  # the user's own
    checks: MetricSpec | None = field(default=None, metadata=LATE)
    judge: JudgeSpec | None = field(default=None, metadata=LATE)
    options: Mapping[str, Any] = field(default_factory=dict, metadata=LATE)  # other options of the run, not at defaults
    paired: str = field(default="t", metadata=LATE)  # interval of a difference of two single 0/1 runs: "t" or "score"
    # row noise of a metric that is no mean of rows: "bootstrap" or "jackknife"
    spread: str = field(default="bootstrap", metadata=LATE)
    metric_title: str = field(default="", metadata=LATE)  # as people write it, where the metric says so
    metric_plain: bool = field(default=False, metadata=LATE)  # its values are plain numbers, not read in percent
    # word of each hosted model -> name, new, cached, out (usd per million tokens), as_of; None where nobody knows
    prices: Mapping[str, Any] = field(default_factory=dict, metadata=LATE)
    folds: int = field(default=1, metadata=LATE)  # K: every row is test once; 1: a single split
    foldable: bool = field(default=False, metadata=LATE)  # whether folds could take the split's place
    # what a local answer or training costs: "wall", its seconds; "work", its counted work times a rate of the run
    pricing: str = field(default="wall", metadata=LATE)
    # of frozen weights' products in trainings: "int8", where their rows allow it; "": the model's own format
    precision: str = field(default="", metadata=LATE)
    timed: bool = field(default=False, metadata=LATE)  # held against a clock: bought piece by piece, decided after each
    # rows without a wanted answer, where there are some: "rows" and their digest
    unlabelled: Mapping[str, Any] = field(default_factory=dict, metadata=LATE)


@dataclass(frozen=True, slots=True)
class Standing:
    """One way in the verdict: its finalists over seeds, on test."""

    way: str
    kind: Kind
    status: Literal["ok", "failed"]
    reason: str  # why it failed, or ""
    candidates: tuple[str, ...]  # finalist ids, one per seed
    note: str
    seeds: int
    rows: int
    score: float | None  # mean over seeds and rows
    low: float | None
    high: float | None
    seed_sd: float | None  # between seeds; None with one seed
    dev_score: float | None  # what selection saw
    unparsed: float  # share of rows
    seconds_fit: float  # all seconds this way spent before test, list
    seconds_per_row: float
    tokens_in: float  # per row
    tokens_cached: float
    tokens_out: float
    usd_fit: float
    usd_per_1000: float
    usd_total: float  # fit + 30 days at the task's volume
    gap: float | None  # score minus the best way's, paired
    gap_low: float | None
    gap_high: float | None
    not_worse: bool  # in the set not shown worse than the best
    model: str = field(default="", metadata=LATE)  # its short name where several models competed
    folds: int = field(default=1, metadata=LATE)  # K: a finalist for each fold, which answered this fold alone
    fold_sd: float | None = field(default=None, metadata=LATE)  # between folds' finalists, row noise taken off
    refit: str = field(default="", metadata=LATE)  # the candidate made of all rows, which ships; "": the best fold's
    wall_fit: float | None = field(default=None, metadata=LATE)  # by the clock, where seconds are counted work
    wall_per_row: float | None = field(default=None, metadata=LATE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A paired difference between two ways on the same test rows: second minus first."""

    first: str
    second: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None  # two-sided
    p_holm: float | None
    wins: int  # rows where second is right and first is not (mean over seeds higher)
    losses: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, with the numbers that support each sentence."""

    answer: Literal["prompt", "fine-tune", "both", "baseline is enough", "equivalent, take the cheaper", "undecided"]
    choice: str | None  # the way to take; when undecided, the one to use until it is decided
    candidate: str | None  # the choice's finalist that is shipped (best on dev)
    headline: str
    reasons: tuple[str, ...]
    dissent: tuple[str, ...]
    would_decide: tuple[str, ...]
    standings: tuple[Standing, ...]  # best score first
    pairs: tuple[Pair, ...]
    margin: float
    confidence: float
    volume: float
    rows: int
    warnings: tuple[str, ...] = ()
    sentences: tuple[Sentence, ...] = ()  # headline, reasons, dissent, would_decide again, with the numbers they say
    spreads: tuple[Spread, ...] = ()
    formats: tuple[Formats, ...] = field(default=(), metadata=LATE)  # of ways that ask in three forms and more
    selections: tuple[Selection, ...] = ()
    break_even: BreakEven | None = None  # of the best prompt and the best fine-tune
    slices: tuple[Slice, ...] = ()  # the choice on parts of the test rows
    overlap: Overlap | None = None
    curves: tuple[Curve, ...] = ()
    crossovers: tuple[Crossover, ...] = ()
    race: Race | None = None
    detectable: float | None = None  # gap between the best prompt and the best fine-tune found 9 times of 10
    forgetting: tuple[Forgetting, ...] = field(default=(), metadata=LATE)  # of each fine-tune's best finalist
    varieties: tuple[Variety, ...] = field(default=(), metadata=LATE)  # of answers that were written several times
    checks: tuple[CheckShare, ...] = field(default=(), metadata=LATE)
    judgement: Judgement | None = field(default=None, metadata=LATE)  # of a judge, where there is one
    # what people graded by hand; where there is any, scores and differences are those of the grades
    grading: Grading | None = field(default=None, metadata=LATE)
    sureness: Sureness | None = field(default=None, metadata=LATE)  # None: only one way competed, or none
    odds: tuple[Odds, ...] = field(default=(), metadata=LATE)  # of each way that competed, least expected loss first
    runner_up: str | None = field(default=None, metadata=LATE)  # least expected loss after the choice
    folds: int = field(default=1, metadata=LATE)  # K: every row is test once; 1: a single split
    missing: tuple[Missing, ...] = field(default=(), metadata=LATE)  # what a run against the clock has not bought yet
    doubtful: DoubtfulLabels | None = field(default=None, metadata=LATE)  # rows whose label the ways agree against
