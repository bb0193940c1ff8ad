"""What the sections on money, variability and slices show: geometry and rows, worked out from the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from whichway.findings import BreakEven, CheckShare, Slice, Spread
from whichway.nouns import Standing, Verdict
from whichway.report import breakeven
from whichway.report.formatting import NOTHING
from whichway.report.plot import Scale, Tick
from whichway.report.rows import HALF, shorten
from whichway.runs.results import row_facts
from whichway.runs.run import Run, RunRow
from whichway.verdict.slices import masks

FLIPS = 8  # flipping rows shown
SLICES = 10  # slices shown before the rest
SAMPLES, SHOWN = 3, 3  # inputs, and different answers of a way to each, that are written out
BRIEF = 240  # characters of a row's text where it is only an example


# --- money


@dataclass(frozen=True, slots=True)
class Bar:
    """One assumption of the tornado: where its bar starts and ends, percent of the width."""

    assumption: str
    low: str
    high: str
    start: float
    end: float
    at_low: str
    at_high: str
    open: bool  # one end is never


@dataclass(frozen=True, slots=True)
class Tornado:
    """What each assumption does to the break-even, on a log scale of requests a day."""

    bars: tuple[Bar, ...]
    middle: float | None  # the break-even as measured
    volume: float | None  # the volume asked about, where it is on the scale
    ticks: tuple[Tick, ...]
    idle: tuple[str, ...]  # assumptions that leave it at never, halved and doubled


def tornado(result: BreakEven) -> Tornado | None:
    """The chart; None where no assumption gives a break-even at any volume."""
    ends = [v for s in result.swings for v in (s.at_low, s.at_high) if v]
    known = [*ends, *([result.per_day] if result.per_day else [])]
    if not known or not result.swings:
        return None
    low, high = math.log10(min(known)), math.log10(max(known))
    room = max(0.3, 0.12 * (high - low))
    low, high = low - room, high + room
    scale = Scale(low, high)

    def place(per_day: float | None) -> float:
        if per_day is None:
            return 100.0
        return 0.0 if per_day <= 0 else min(100.0, max(0.0, scale(math.log10(per_day))))

    bars, idle = [], []
    for swing in result.swings:
        if swing.at_low is None and swing.at_high is None:
            idle.append(swing.assumption)
            continue
        a, b = place(swing.at_low), place(swing.at_high)
        bars.append(
            Bar(
                assumption=swing.assumption, low=swing.low, high=swing.high, start=min(a, b), end=max(a, b),
                at_low=breakeven.at(swing.at_low), at_high=breakeven.at(swing.at_high),
                open=swing.at_low is None or swing.at_high is None,
            )
        )  # fmt: skip
    bars.sort(key=lambda bar: (bar.start - bar.end, bar.assumption))
    powers = range(math.ceil(low), math.floor(high) + 1)
    step = max(1, math.ceil(len(powers) / 6))
    ticks = tuple(Tick(scale(e), f"{10.0**e:,.10g}") for e in powers if e % step == 0)
    here = math.log10(result.volume) if result.volume > 0 else None
    return Tornado(
        bars=tuple(bars),
        middle=place(result.per_day) if result.per_day else None,
        volume=scale(here) if here is not None and low <= here <= high else None,
        ticks=ticks,
        idle=tuple(idle),
    )


# --- variability


def spread_scale(spreads: Sequence[Spread]) -> float:
    """The largest error shown, in units of the metric; bars are shares of it."""
    errors = [e for s in spreads for e in (s.rows_error, s.one_decoding, s.seeds_sd) if e is not None]
    return max(errors, default=0.0) or 1.0


def ranked(run: Run) -> list[Spread]:
    """The spreads in the order of the table of ways."""
    return by_standing(run.verdict.spreads, run.verdict.standings)


class _Named(Protocol):
    @property
    def way(self) -> str: ...


class _Compared(Protocol):
    @property
    def second(self) -> str: ...

    @property
    def difference(self) -> float | None: ...


N = TypeVar("N", bound=_Named)
C = TypeVar("C", bound=_Compared)


def by_standing(findings: Sequence[N], standings: Sequence[Standing]) -> list[N]:
    """Findings about ways in the order of the table of ways."""
    place = {s.way: k for k, s in enumerate(standings)}
    return sorted(findings, key=lambda s: place.get(s.way, len(place)))


def check_rows(checks: Sequence[CheckShare]) -> dict[str, dict[str, float]]:
    """Way -> check -> share of answers that pass it."""
    rows: dict[str, dict[str, float]] = {}
    for entry in checks:
        rows.setdefault(entry.way, {})[entry.check] = entry.share
    return rows


@dataclass(frozen=True, slots=True)
class Flip:
    """A row on which answers of a way do not all score the same."""

    text: str
    gold: str
    origin: str
    ways: tuple[tuple[str, str], ...]  # (way, "2 of 3 right")


def flips(run: Run) -> list[Flip]:
    """The most divided rows: the choice's first, then those of the other prompts and fine-tunes."""
    spreads = [s for s in run.verdict.spreads if s.flips]
    spreads.sort(key=lambda s: (s.way != run.verdict.choice, -s.flipping, s.way))
    rows = {row.id: row for row in run.test}
    ids: dict[str, None] = {}
    longest = max((len(s.flips) for s in spreads), default=0)
    for place in range(longest):
        for spread in spreads:
            if place < len(spread.flips):
                ids.setdefault(spread.flips[place])
    return [_flip(run, rows[key], spreads) for key in list(ids)[:FLIPS] if key in rows]


def _flip(run: Run, row: RunRow, spreads: Sequence[Spread]) -> Flip:
    by_way = []
    standings = {s.way: s for s in run.verdict.standings}
    for spread in spreads:
        answers = run.answers(standings[spread.way], row.id)
        right = sum(r.points >= HALF for r in answers)
        by_way.append((spread.way, f"{right} of {len(answers)} right"))
    text = shorten(row.text)
    brief = text if len(text) <= BRIEF else f"{text[:BRIEF]} …"
    return Flip(brief, shorten(row.target)[:BRIEF], row.origin.replace("\\", "/").rsplit("/", 1)[-1], tuple(by_way))


@dataclass(frozen=True, slots=True)
class Sample:
    """An input and some of the answers that each way wrote to it."""

    text: str
    ways: tuple[tuple[str, int, int, tuple[str, ...]], ...]  # (way, different answers, answers, some of them)


def samples(run: Run) -> list[Sample]:
    """The first inputs with several answers of each way, so that variety can be read and not only counted."""
    ways = [s for s in run.verdict.standings if s.way in {v.way for v in run.verdict.varieties}]
    return [_sample(run, row, ways) for row in run.test[:SAMPLES]] if ways else []


def _sample(run: Run, row: RunRow, ways: Sequence[Standing]) -> Sample:
    by_way = []
    for way in ways:
        written = [shorten(r.text) or "(empty)" for r in run.answers(way, row.id)]
        different = list(dict.fromkeys(written))
        by_way.append((way.way, len(different), len(written), tuple(different[:SHOWN])))
    return Sample(shorten(row.text), tuple(by_way))


# --- slices


def worst(slices: Sequence[Slice]) -> tuple[list[Slice], list[Slice]]:
    """Slices to show at once (losses first, then the lowest scores), and the rest in order of kind and value."""
    order = sorted(slices, key=lambda s: (not s.worse, s.score, s.by, s.value))
    return order[:SLICES], sorted(order[SLICES:], key=lambda s: (s.by, s.value))

# --- the first screen


@dataclass(frozen=True, slots=True)
class Sureness:
    """How sure the choice is: a word, a figure, and what the figure says."""

    word: str
    figure: str
    what: str


def sureness(verdict: Verdict, margin: str) -> Sureness:
    """How sure the verdict is, for the first screen; `margin` as it is written."""
    if verdict.sureness is None:
        return Sureness("Verdict", NOTHING, "nothing to compare with" if verdict.choice else "no way has a score")
    word = {"decided": "Decided", "leaning": "Leaning", "toss-up": "Toss-up"}[verdict.sureness]
    chance = next((o.near_best for o in verdict.odds if o.way == verdict.choice), None)
    if chance is None:
        return Sureness(f"Verdict: {word.lower()}", word, f"by {verdict.rows:,} test rows")
    percent = 100 * chance
    share = "over 99 %" if percent > 99 else "under 1 %" if percent < 1 else f"{percent:.0f} %"
    return Sureness(f"Verdict: {word.lower()}", word, f"{share} likely to be within {margin} of the best way")


def gain_over(verdict: Verdict, contrasts: Sequence[C]) -> tuple[C, str] | None:
    """What the choice gains over the best way of the other kind, and what that way is.

    Args:
        verdict: of the run.
        contrasts: the choice against each other way.
    """
    kinds = {s.way: s.kind for s in verdict.standings}
    chosen = kinds.get(verdict.choice or "")
    rivals = {"fine-tune": ("prompt",), "both": ("prompt", "fine-tune"), "prompt": ("fine-tune", "both")}
    wanted = rivals.get(chosen or "", ("prompt", "fine-tune", "both"))
    order = [s.way for s in verdict.standings if s.kind in wanted and s.score is not None]
    order += [s.way for s in verdict.standings if s.score is not None]
    by_rival = {c.second: c for c in contrasts if c.difference is not None}
    rival = next((way for way in order if way in by_rival), None)
    return (by_rival[rival], f"the best {kinds[rival]}") if rival else None


# --- links from numbers to rows


def slice_queries(run: Run) -> dict[tuple[str, str], dict[str, Any]]:
    """(by, value) of each slice -> what its rows have in common, as the page's script reads it."""
    facts = row_facts(run.test, run.plan_data, [s.by for s in run.verdict.slices if s.by not in ("label", "length")])
    lengths = np.asarray(facts.lengths)
    queries: dict[tuple[str, str], dict[str, Any]] = {}
    for by, value, mask in masks(facts):
        if by == "label":
            queries[by, value] = {"gold": value}
        elif by == "length":
            queries[by, value] = {"length": [int(lengths[mask].min()), int(lengths[mask].max())]}
        else:
            queries[by, value] = {"column": [by, value]}
    return queries
