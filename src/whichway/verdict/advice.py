"""A prior opinion before anything runs: what is known about cases like this one, with its sources.

Each consideration moves the log-odds that fine-tuning beats prompting. The signs follow published findings or the
arithmetic of the break-even; the sizes are judgement, kept small, and the sum is cut so that no prior claims more than
nine to one. It decides nothing: it says what to run first. `calibrate` counts how often it agreed with finished
verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from whichway.nouns import Verdict
from whichway.verdict import sample_size, stats
from whichway.verdict.explain.number_format import clean
from whichway.verdict.folds import BELOW, FEWEST

TaskKind = Literal["classification", "extraction", "generation", "reasoning"]
Hardware = Literal["cpu", "gpu", "hosted"]
Privacy = Literal["local", "any"]
Maintainer = Literal["nobody", "developer", "ml engineer"]
Changes = Literal["weekly", "monthly", "yearly", "never"]

MOST = math.log(9)  # log-odds: no prior claims more than nine to one
LEAN = 0.6  # from here on the prior leans
TEST_SHARE = 0.2  # of the rows, where the split is not known
ARMS = 6  # ways that usually compete
SEEDS = 3
FEW = 200  # labelled rows, below which more of them, from whomever, are worth most


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known before anything runs; None is not known."""

    kind: TaskKind | None = None
    rows: int | None = None  # labelled rows
    test_rows: int | None = None
    labels: int | None = None  # size of a closed label set
    volume: float | None = None  # requests a day
    latency_ms: float | None = None  # an answer may take
    hardware: Hardware | None = None
    parameters: float | None = None  # of the model
    privacy: Privacy | None = None
    maintainer: Maintainer | None = None
    changes: Changes | None = None
    row_variance: float = sample_size.OMEGA2  # of the difference of two ways from row to row, as the metric has it
    unlabelled: int = 0  # rows that a teacher could label
    subjective: str = ""  # the word by which people may differ on the answers


@dataclass(frozen=True, slots=True)
class Consideration:
    """One thing that speaks for fine-tuning (weight above 0) or for prompting."""

    text: str
    weight: float  # log-odds
    source: str  # a paper, or "judgement"


@dataclass(frozen=True, slots=True)
class Advice:
    """The prior opinion."""

    p_tune: float  # that fine-tuning beats prompting here
    leans: Literal["prompt", "fine-tune", "either"]
    considerations: tuple[Consideration, ...]  # the heaviest first
    smallest_gap: float | None  # between two ways, shown 8 times of 10
    detectable: float | None  # with all ways competing, found 9 times of 10
    first: tuple[str, ...]  # ways to run first
    notes: tuple[str, ...]


def advise(about: Situation) -> Advice:
    """The opinion on a situation."""
    applicable = tuple(sorted(considerations(about), key=lambda c: -abs(c.weight)))
    odds = max(-MOST, min(MOST, sum(c.weight for c in applicable)))
    p = 1 / (1 + math.exp(-odds))
    n = rows_to_test(about)
    return Advice(
        p_tune=clean(p) or 0.0,
        leans="fine-tune" if p >= LEAN else "prompt" if p <= 1 - LEAN else "either",
        considerations=applicable,
        smallest_gap=clean(sample_size.smallest_gap(n, about.row_variance)) if n else None,
        detectable=clean(sample_size.detectable_gap(n, ARMS, SEEDS, stats.SEED_SD, about.row_variance)) if n else None,
        first=tuple(run_first(about, p)),
        notes=tuple(notes(about, n)),
    )


def rows_to_test(about: Situation) -> int | None:
    """Rows to test on: known, or all where folds are usual, or a fifth."""
    if about.test_rows is not None or about.rows is None:
        return about.test_rows
    if FEWEST <= about.rows < BELOW:
        return about.rows
    return int(about.rows * TEST_SHARE)


# --- considerations


def considerations(about: Situation) -> Iterator[Consideration]:
    """All considerations that apply to a situation."""
    for single in (by_rows(about.rows), by_kind(about.kind), by_model(about), by_volume(about.volume)):
        if single is not None:
            yield single
    for several in (by_latency(about.latency_ms), by_changes(about.changes), by_maintainer(about.maintainer)):
        if several is not None:
            yield several
    if about.privacy == "local" and about.hardware != "gpu":
        yield Consideration(
            "The data must stay here and there is no GPU: models are small, and small models need their weights tuned.",
            0.3,
            "arXiv 2104.08691",
        )


def by_rows(rows: int | None) -> Consideration | None:
    """The consideration of the number of labelled rows, by far the most important."""
    if rows is None:
        return None
    if rows < 100:
        text = f"{rows:,} labelled rows are few: a prompt was worth hundreds of rows in a controlled comparison."
        return Consideration(text, -1.2, "arXiv 2103.08493")
    source = "arXiv 2406.08660; openreview gZUbTtTjbN"
    if rows < 200:
        text = f"With {rows:,} rows fine-tuning is at the edge: small encoders pass zero-shot at about 200 to 500."
        return Consideration(text, -0.3, source)
    if rows < 500:
        text = f"{rows:,} rows: in the range (200 to 500) where fine-tuned small encoders pass zero-shot large models."
        return Consideration(text, 0.7, source)
    text = f"{rows:,} rows: beyond the 200 to 500 at which fine-tuned small encoders pass zero-shot frontier models."
    return Consideration(text, 1.4 if rows < 2000 else 1.7, source)


def by_kind(kind: TaskKind | None) -> Consideration | None:
    """The consideration of the kind of task."""
    if kind == "classification":
        text = "Classification is where fine-tuning does best with few labels (about 100 in a medical study)."
        return Consideration(text, 0.4, "arXiv 2406.08660; openreview gZUbTtTjbN")
    if kind == "reasoning":
        text = "On reasoning, prompting alone cut the error of the best specialist on MedQA by 27 %."
        return Consideration(text, -0.9, "arXiv 2311.16452")
    if kind == "extraction":
        return Consideration("Extraction wants one format, which training teaches well.", 0.3, "judgement")
    return None


def by_model(about: Situation) -> Consideration | None:
    """The consideration of the size of the model."""
    if about.parameters is not None and about.parameters < 1e9:
        text = "The model is small: prompts close the gap to tuned weights only as models pass billions of parameters."
        return Consideration(text, 0.8, "arXiv 2104.08691")
    if about.hardware == "hosted" or (about.parameters is not None and about.parameters > 2e10):
        text = "The better the prompted model already is, the less fine-tuning buys (r = −0.79 over 31 tasks)."
        return Consideration(text, -0.7, "LoRA Land, arXiv 2405.00732")
    return None


def by_volume(volume: float | None) -> Consideration | None:
    """The consideration of how many requests pay for the making."""
    if volume is None:
        return None
    if volume >= 20_000:
        text = f"{volume:,.0f} requests a day: training costs are spread thin, and tuned weights need no long prompt."
        return Consideration(text, 0.5, "break-even formula")
    if volume < 200:
        text = f"{volume:,.0f} requests a day pay back little: what is cheap to make is cheap."
        return Consideration(text, -0.5, "break-even formula")
    return None


def by_latency(milliseconds: float | None) -> Consideration | None:
    """The consideration of how fast an answer must come."""
    if milliseconds is None or milliseconds >= 300:
        return None
    text = f"An answer within {milliseconds:,.0f} ms leaves no room for long prompts or large models."
    return Consideration(text, 0.5, "judgement")


def by_changes(changes: Changes | None) -> Consideration | None:
    """How often the task changes: each change is a new training."""
    weight = {"weekly": -1.1, "monthly": -0.5, "yearly": 0.1, "never": 0.2}.get(changes or "")
    if weight is None:
        return None
    frequency = "never changes" if changes == "never" else f"changes {changes}"
    effect = "each change is a new training" if weight < 0 else "a training lasts"
    return Consideration(f"The task {frequency}: {effect}.", weight, "break-even formula, R and τ")


def by_maintainer(maintainer: Maintainer | None) -> Consideration | None:
    """The consideration of who maintains the system."""
    if maintainer == "ml engineer":
        return Consideration("Somebody who trains models looks after it.", 0.2, "judgement")
    if maintainer in ("developer", "nobody"):
        subject = "Nobody looks after it" if maintainer == "nobody" else "A developer looks after it"
        return Consideration(f"{subject}: a prompt is edited, a training has to be run.", -0.4, "judgement")
    return None


# --- what to do


def run_first(about: Situation, p: float) -> Iterator[str]:
    """Ways in the order in which they tell most for their cost."""
    if about.labels:
        yield "base_tfidf"
    yield "prompt_plain"
    prompts, tunes = ["prompt_shots"], ["tune_probe", "tune_lora"] if about.labels else ["tune_lora"]
    yield from (*tunes, *prompts) if p >= 0.5 else (*prompts, *tunes)
    if about.unlabelled:
        yield "both_distill"


def notes(about: Situation, n: int | None) -> Iterator[str]:
    """What to know whatever the opinion is."""
    if about.labels:
        yield "Run word counts first: on closed labels with some hundred rows they are often enough, at no cost."
    if about.rows is not None and about.rows >= 200:
        yield (
            "Weights and prompts together beat weights alone by up to 60 % and prompts alone by up to 6 % "
            "(arXiv 2407.10930)."
        )
    if about.volume is not None and about.volume >= 1000:
        yield "Prompt caching moves a break-even up to tenfold: give cached input its own price (`whichway breakeven`)."
    if about.unlabelled:
        yield f"{about.unlabelled:,} rows without an answer: a teacher, a model or another way, can label them."
    elif about.labels and about.rows is not None and about.rows < FEW:
        yield "Few labelled rows: a teacher can label more of yours (--unlabelled), or write some (both_synth)."
    if about.subjective:
        yield (
            f"The task looks subjective ('{about.subjective}'): there, labels and rows of a model teach worse than "
            "people's (arXiv 2310.07849)."
        )
    yield "With model and data held equal, both generalise alike to other domains (arXiv 2305.16938)."
    if n is not None and n < 100:
        yield f"{n} test rows show only large differences: label more rows before choosing on a small one."


# --- calibration


@dataclass(frozen=True, slots=True)
class Checked:
    """One finished run: what the prior said, and what came out."""

    run: str
    p_tune: float
    came: Literal["prompt", "fine-tune"] | None  # which of the best of each is shown ahead; None: neither
    gap: float | None  # best fine-tune − best prompt


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often the prior agreed."""

    runs: tuple[Checked, ...]
    settled: int  # runs that show either ahead
    agreed: int
    brier: float | None  # mean squared error of p_tune over the settled; 0.25 is a coin


def outcome(verdict: Verdict) -> tuple[Literal["prompt", "fine-tune"] | None, float | None]:
    """Which of the best prompt and the best fine-tune a verdict shows ahead, at its own confidence."""
    if verdict.break_even is None:
        return None, None
    names = verdict.break_even.first, verdict.break_even.second
    pair = next((p for p in verdict.pairs if {p.first, p.second} == set(names)), None)
    if pair is None or pair.difference is None:
        return None, None
    gap = pair.difference if pair.second == names[1] else -pair.difference
    if pair.p is None or pair.p > 1 - verdict.confidence or gap == 0:
        return None, gap
    return ("fine-tune" if gap > 0 else "prompt"), gap


def calibrate(runs: Sequence[tuple[str, Situation, Verdict]]) -> Calibration:
    """The prior on each finished run's situation beside its verdict."""
    checked = []
    for name, about, verdict in runs:
        came, gap = outcome(verdict)
        checked.append(Checked(name, advise(about).p_tune, came, clean(gap)))
    settled = [c for c in checked if c.came is not None]
    agreed = sum((c.p_tune >= 0.5) == (c.came == "fine-tune") for c in settled)
    errors = [(c.p_tune - (c.came == "fine-tune")) ** 2 for c in settled]
    return Calibration(tuple(checked), len(settled), agreed, clean(sum(errors) / len(errors)) if errors else None)
