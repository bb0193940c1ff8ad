"""One piece of a contest against the clock: a way at some of its settings on one split, up to its test rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whichway.contest.bench import InFold, RunBench
from whichway.contest.ledger import RunLedger
from whichway.contest.plan import fill_options
from whichway.contest.rounds import Crossed, cross
from whichway.contest.selection.race import Entry
from whichway.contest.selection.select import WayRun, beside, choose_finalists, fit_of, race_all, rules_of, run_way
from whichway.contracts import Way, combines
from whichway.nouns import Example, TrainDevView, qualified_name, split_name
from whichway.verdict.information import ZERO_SHOT


@dataclass(slots=True)
class TimedWay:
    """A way in a contest against the clock."""

    name: str
    way: Way
    searches: bool  # whether it has further settings than its likeliest
    searched: bool = False
    bench: RunBench | None = None  # the last one; the next goes on with its account
    tested: dict[str, float] = field(default_factory=dict)  # of `fit_of`, what test rows took
    closed: bool = False  # no more is bought of it

    @property
    def gated(self) -> bool:
        """Whether it waits for zero-shot, which it must not end below."""
        return self.way.KIND != "baseline" and split_name(self.name)[0] != ZERO_SHOT

    @property
    def last(self) -> bool:
        """Whether it waits for all other ways: it is made of them."""
        return combines(self.way)

    @property
    def fit(self) -> dict[str, float]:
        """What it spent apart from test rows."""
        assert self.bench is not None
        spent = fit_of(self.bench.account.spend)
        return {name: value - self.tested.get(name, 0.0) for name, value in spent.items()}


def timed_way(name: str, ledger: RunLedger) -> TimedWay:
    """A way before anything of it is bought."""
    way = ledger.components.ways[split_name(name)[0]]
    settings = ledger.settings.ways[name]
    return TimedWay(name, way, quick_options(name, way, settings) != dict(settings))


def quick_options(name: str, way: Way, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the likeliest values only, where an option's metadata say how many to try first (`quick`).

    An option that another one makes void (`unless`) has nothing to try.

    Raises:
        OptionError: a setting that the way does not have.
    """
    options = fill_options(name, way, settings)
    few = {
        f.name: getattr(options, f.name)[: f.metadata["quick"]]
        for f in dataclasses.fields(way.Options)
        if "quick" in f.metadata and not getattr(options, f.metadata.get("unless", ""), 0)
    }
    return {**settings, **{key: value for key, value in few.items() if value != getattr(options, key)}}


@dataclass(frozen=True, slots=True)
class WayPiece:
    """What is to be done: on which rows, with which seeds or in which fold, and how thoroughly."""

    practice: TrainDevView
    test: Sequence[Example]
    searched: bool
    seeds: tuple[int, ...] | None = None
    fold: int | None = None
    share: float | None = None  # of the budget
    note: str = ""
    floor: Entry | None = None  # zero-shot's finalist, which the way must not end below
    others: Sequence[WayRun] = ()  # that stand on the same rows


def work(timed: TimedWay, piece: WayPiece, ledger: RunLedger) -> tuple[WayRun, Crossed]:
    """Do a piece: follow the way, race its own candidates on dev rows, and let the finalists answer the test rows.

    Returns:
        The way as it stands after it, and the finalists' answers; a failure stands in its `reason`.
    """
    place = InFold(piece.fold, piece.share, timed.bench)
    seeds = None if piece.seeds is None else (piece.seeds if timed.way.RANDOM else piece.seeds[:1])
    bench = RunBench(ledger, timed.name, piece.practice, seeds, note=piece.note, fold=place)
    bench.stand_beside(beside(piece.others) if combines(timed.way) else {})
    timed.bench = bench  # what was bought is bought, even if the clock ends before the piece is done
    ledger.test_answers = len(piece.test) * ledger.settings.repeats
    rules = rules_of(piece.practice, ledger)
    settings = ledger.settings.ways[timed.name]
    options = settings if piece.searched else quick_options(timed.name, timed.way, settings)
    run = run_way(timed.name, piece.practice, bench, ledger, rules, options)
    race_all([run], ledger, rules, report_looks=False)
    choose_finalists(run, rules, piece.floor)
    before = fit_of(bench.account.spend)
    try:
        crossed = cross(run, piece.test, ledger)
    finally:
        for name, value in fit_of(bench.account.spend).items():
            timed.tested[name] = timed.tested.get(name, 0.0) + value - before.get(name, 0.0)
    return run, crossed


def floor_name(name: str) -> str:
    """The way that a way of the same model must not end below."""
    return qualified_name(ZERO_SHOT, split_name(name)[1])
