"""What a verdict holds besides its ranking: spread, selection, break-even, slices, curves, and what each sentence says.

Nouns like those of `nouns`: frozen, JSON-able, no I/O. `verdict/` makes them, `report/` shows them. What cannot be
known from the data is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Part = Literal["headline", "reasons", "dissent", "would_decide", "variety"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the verdict and every number that it says, by name."""

    text: str
    values: Mapping[str, float] = field(default_factory=dict)
    part: Part = "reasons"


@dataclass(frozen=True, slots=True)
class Odds:
    """What may be lost by taking one way, given all that was measured."""

    way: str
    near_best: float  # probability that its true score is within the margin of the best way's
    regret: float  # expected difference between the best way's true score and its own
    usd_month: float | None = None  # expected loss in money a month, where a wrong answer has a price


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that a run against the clock has not bought yet."""

    what: Literal["way", "search", "seed", "fold"]  # a way at all; further rates and settings; one more seed or fold
    way: str  # "" for a fold, which all ways need
    kind: str  # of the way; "" for a fold
    seconds: float  # that it takes, estimated
    chance: float | None = None  # that the way is better than the choice by more than the margin; None: it was measured


@dataclass(frozen=True, slots=True)
class Spread:
    """Where the variance of one way's score comes from: `Var = ω²/n + σ²/(nK) + τ²/S`."""

    way: str
    rows: int  # n
    seeds: int  # S
    repeats: int  # K answers to the same request
    rows_sd: float | None  # ω: between rows, seeds and repeats averaged
    decoding_sd: float | None  # σ: between repeats of one request; None with one repeat
    seeds_sd: float | None  # τ: between seeds, row noise taken off; None with one seed
    rows_error: float | None  # √(ω²/n): what more rows shrink
    decoding_error: float | None  # √(σ²/(nK)): what more repeats shrink
    seeds_error: float | None  # √(τ²/S): what more seeds shrink
    one_decoding: float | None  # √(σ²/n): how far another single pass over the rows may land
    consistency_repeats: float | None  # chance that two answers of one seed to one row score the same
    consistency_seeds: float | None  # chance that two seeds score the same on one row
    flipping: int  # rows on which answers of this way do not all score the same
    flips: tuple[str, ...]  # their example ids, the most divided first; at most FLIPS of them


@dataclass(frozen=True, slots=True)
class Formats:
    """How far the form of a prompt alone moves one way's score on dev: equal words, equal rows, other layouts."""

    way: str
    forms: int
    rows: int  # dev rows, each answered under every form
    low: float  # score of the worst form
    high: float
    worst: str
    best: str
    sd: float  # between forms
    luck_sd: float  # that the rows' luck alone would give
    form_sd: float  # what is left: √(sd² − luck_sd²)
    scores: tuple[tuple[str, float], ...]  # form -> score


@dataclass(frozen=True, slots=True)
class Selection:
    """Dev score beside test score of one way, and what selection alone would explain."""

    way: str
    tried: int  # candidates that competed on dev
    dev_rows: int
    dev_score: float | None
    test_score: float | None
    optimism: float | None  # dev − test
    expected: float | None  # of the best of `tried` equal candidates (winner's curse)
    crossings: float | None  # times that a finalist answered the test split, from the ledger


@dataclass(frozen=True, slots=True)
class SensitivityBar:
    """What one assumption does to the break-even: requests a day at its low and its high value; None is never."""

    assumption: str
    low: str
    high: str
    at_low: float | None
    at_high: float | None


BreakEvenAnswer = Literal["dominates", "never", "break-even", "undecided"]


@dataclass(frozen=True, slots=True)
class BreakEven:
    """From which volume on `second` is cheaper than `first`, over `days` days. Intervals are 90 %; None is never."""

    first: str
    second: str
    answer: BreakEvenAnswer  # of `second`: cheaper at every volume, at none, from a volume on, or undecided
    below: str  # the way that is cheaper under the break-even: the lower fixed cost
    above: str
    days: float  # horizon T
    volume: float  # requests a day asked about
    wrong_answer_usd: float  # L
    requests: float | None  # N*, median over resamples
    requests_low: float | None
    requests_high: float | None
    per_day: float | None  # N*/T
    per_day_low: float | None
    per_day_high: float | None
    pays_back_days: float | None  # at the volume: when what `above` costs more has come back
    pays_back_low: float | None
    pays_back_high: float | None
    p_never: float  # share of resamples in which `above` is never cheaper
    p_second_cheaper: float  # at the volume, over the horizon
    fixed_first: float  # F + H·T + retraining, usd
    fixed_second: float
    unit_first: float  # v + e·L, usd a request
    unit_second: float
    total_first: float  # at the volume, over the horizon, usd
    total_second: float
    swings: tuple[SensitivityBar, ...] = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """The choice on a part of the test rows, against the way that does best there."""

    by: str  # "label", "length", or a column's name
    value: str
    rows: int
    score: float  # of the choice
    rival: str
    rival_score: float
    difference: float  # choice − rival
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None  # over all slices and rivals
    worse: bool  # the choice is shown worse here, by Holm
    disagree: float | None  # share of the slice's rows on which the best prompt and the best fine-tune differ


@dataclass(frozen=True, slots=True)
class Overlap:
    """On which rows the best prompt and the best fine-tune are right: counts, a row with several seeds by majority."""

    prompt: str
    tuned: str
    both: int
    only_prompt: int
    only_tuned: int
    neither: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A way's score after n training rows."""

    n: int
    score: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A learning curve."""

    way: str
    points: tuple[CurvePoint, ...]
    plateau: bool  # not shown to rise over the last two doublings, and a point a doubling at most
    gain: float | None  # over the last two doublings (or all there are)
    gain_low: float | None
    gain_high: float | None


CrossState = Literal["between", "before", "not reached", "cannot say"]


@dataclass(frozen=True, slots=True)
class Crossover:
    """From how many rows on `second` is ahead of `first`, as an interval; an end that was not measured is None."""

    first: str
    second: str
    state: CrossState
    low: float | None  # rows
    high: float | None
    advantage: float | None  # rows that `first` is worth: mean over levels of n_second − n_first; None: not comparable
    advantage_low: float | None
    advantage_high: float | None
    largest: float | None  # rows, of the sizes that both have; None where there are none
    window_low: float | None  # levels of score that both curves reach
    window_high: float | None
    next_n: int | None  # the size that would tell more; None where nothing is open
    text: str


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Loss on general text before and after a fine-tune, of the finalist that would ship; and what it weighs."""

    way: str
    model: str  # its short name where several models competed
    candidate: str
    before: float | None  # nats a token; None: not measured
    after: float | None
    tokens: int  # that both were measured on
    why: str = ""  # why it was not measured
    bytes: int | None = None  # size of the trained part
    peak_bytes: int | None = None  # memory of the training process at its most


@dataclass(frozen=True, slots=True)
class Race:
    """What racing saved on dev."""

    rounds: int
    evaluations: int  # row answers that were asked for
    full_evaluations: int  # without racing
    dropped: int


@dataclass(frozen=True, slots=True)
class Measure:
    """A mean over inputs on 0..1 with its interval; no interval where it is exact or there are too few inputs."""

    value: float
    low: float | None
    high: float | None
    exact: bool = False  # not an estimate: a candidate that does not draw gives one answer, always


@dataclass(frozen=True, slots=True)
class Variety:
    """How much one way's written answers differ; see `verdict/variety.py` for the measures and their sources."""

    way: str
    inputs: int
    answers: int  # to each input
    drawn: bool  # False: one answer, always
    words: float  # of an answer, mean
    distinct_1: Measure | None  # None where no answer has a word
    distinct_2: Measure | None  # None where none has two
    self_bleu: Measure
    similarity: Measure  # of two answers to one input, chrF
    agreement: Measure  # share of pairs of answers to one input that are the same text
    across: Measure | None  # similarity of answers to different inputs


@dataclass(frozen=True, slots=True)
class CheckShare:
    """How often one way's answers pass one check."""

    way: str
    check: str
    answers: int
    share: float  # passed


@dataclass(frozen=True, slots=True)
class JudgeScore:
    """A way's mean level by the judge on 0..1 (worst to best), with its interval over inputs."""

    way: str
    score: float
    low: float | None
    high: float | None
    standing: bool  # in the set not shown worse than the best, by the judge


@dataclass(frozen=True, slots=True)
class PairwiseJudgement:
    """Two ways before the judge, input by input, each pair in both orders; what both orders agree on is a win."""

    first: str
    second: str
    inputs: int  # on which the two answers differ
    wins: int  # of the first
    losses: int
    ties: int  # the orders disagree
    p: float | None  # exact sign test


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge said about written answers, and what its word is worth. It never decides."""

    answers: int  # different ones that were judged
    repeats: int  # judgements of each
    unread: float  # share of judgements that named no level
    commonest: float | None  # share of the most frequent level
    same_again: float | None  # chance that two judgements of one answer give the same level
    noise_sd: float | None  # between judgements of one answer, on 0..1
    answers_sd: float | None  # between answers, noise taken off
    reliability: float | None  # share of one judgement's variance that belongs to the answer, ICC(1)
    comparisons: int  # of two answers, each order counted
    first_place: float | None  # share in which the answer shown first was preferred; one half without a liking
    first_low: float | None
    first_high: float | None
    consistent: float | None  # share of pairs on which both orders prefer the same answer
    useful: bool  # reliable enough, and tells answers apart
    scores: tuple[JudgeScore, ...] = ()
    duels: tuple[PairwiseJudgement, ...] = ()


@dataclass(frozen=True, slots=True)
class GradedScore:
    """One way's answers by people's grades: what the judge says, what it gets wrong, and the corrected score; 0..1."""

    way: str
    judged: float  # the judge's mean level over all test inputs
    graded: float  # mean grade of the answers that were graded by hand
    excess: float  # the judge's level less the grade, on these answers
    score: float  # corrected: what grades of all answers would give
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Grading:
    """Grades that people gave to some answers, how far the judge agrees with them, and scores corrected by both."""

    inputs: int  # graded by hand, each with every way's answer
    rows: int  # test inputs, which the judge saw all
    answers: int  # different ones that were graded
    enough: bool  # whether so many graded inputs may decide
    weight: float  # λ: how far the judge's levels count, 0 not at all
    same_level: float  # share of graded answers to which the judge gives the same level
    same_low: float | None
    same_high: float | None
    correlation: float | None  # of the judge's levels and the grades, over graded answers; None where one is constant
    worth: float | None  # graded inputs that would be as sure about differences between ways without the judge
    scores: tuple[GradedScore, ...] = ()
    look: int = 1  # how often grades of the run were kept and looked at, this time included


Help = Literal["prompt", "weights", "labels", "more rows", "another way"]


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Test rows on which the choice fails more often than on the others, beyond chance, and what would help first."""

    by: str  # "confusion", "label", "column", "length", "form", "word", "cluster"
    name: str  # the column's, or ""
    value: str  # the label, the column's value, the word or words, the words of a cluster
    answer: str  # of a confusion: the label that is given instead
    also: tuple[str, str, str] | None  # a second property of its rows: by, name, value; None: the first says it all
    rows: int  # that are in the group, without those of clearer groups
    failing: int
    share: float  # failing / rows
    elsewhere: float  # failing share of the rows that are in no group so far
    p: float  # one-sided, corrected for all parts that were looked at
    help: Help
    reason: str
    way: str  # another way that has most of the failing rows right, or ""
    members: tuple[int, ...]  # places in the test split, failing ones first


@dataclass(frozen=True, slots=True)
class DoubtfulLabel:
    """A test row whose label the ways, none of which saw it, agree against."""

    example: str  # id
    label: str  # that the row has
    believed: str
    share: float  # of the ways' votes, weighted by how good they are


@dataclass(frozen=True, slots=True)
class DoubtfulLabels:
    """Test rows whose label is doubtful, and what the verdict would be without them."""

    rows: tuple[DoubtfulLabel, ...]  # the surest first
    choice: str  # the way to take without these rows
    sureness: Literal["decided", "leaning", "toss-up"]
    scores: tuple[tuple[str, float, float], ...]  # (way, score with all rows, score without these)
