"""One round of a contest: ways are followed on one train and dev split, raced, and their finalists cross test rows.

A contest with a single split has one round; with folds, one for each fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whichway.contest.bench import RunBench
from whichway.contest.ledger import RunLedger
from whichway.contest.selection.race import Rules
from whichway.contest.selection.select import (
    WayRun,
    beside,
    choose_finalists,
    race_all,
    rules_of,
    run_way,
    zero_shot_of,
)
from whichway.contracts import Attended, combines
from whichway.errors import AdapterNotLive, BudgetSpent, WayFailed
from whichway.events import WayBegan
from whichway.nouns import Example, Record, TrainDevView, split_name
from whichway.verdict.information import ZERO_SHOT

Crossed = list[list[list[Record]]]  # [finalist][repeat][row]


@dataclass(frozen=True, slots=True)
class Round:
    """The result of a round.

    Attributes:
        tried: the ways, in the order of the settings.
        rules: of the race over dev rows.
        taken: looks of that race.
    """

    tried: tuple[WayRun, ...]
    rules: Rules
    taken: int


def try_all(
    practice: TrainDevView, ledger: RunLedger, names: Sequence[str], bench: Callable[[str], RunBench], gate: bool = True
) -> Round:
    """Follow the ways, zero-shot first (it is cheap, and its first rows tell whether anything works), then race.

    Ways that are made of others' finalists come after the race of the others.

    Args:
        practice: train and dev rows.
        ledger: of the run.
        names: of the ways.
        bench: a way's bench.
        gate: whether a way that ends below zero-shot on dev fails here.
    """
    rules = rules_of(practice, ledger)
    order = sorted(names, key=lambda name: split_name(name)[0] != ZERO_SHOT)
    if any(name.startswith(("tune_", "both_")) for name in names):
        announce_training(ledger)
    last = [name for name in order if combines(ledger.components.ways[split_name(name)[0]])]
    way_runs: dict[str, WayRun] = {}
    taken = 0
    for group in ([name for name in order if name not in last], last):
        known = beside(way_runs.values())
        for name in group:
            ledger.tell(WayBegan(name, len(way_runs), len(order)))
            own = bench(name)
            own.stand_beside(known)
            way_runs[name] = run_way(name, practice, own, ledger, rules)
        taken = max(taken, race_all([way_runs[name] for name in group], ledger, rules, group is not last))
        floors = {m: zero_shot_of(tuple(way_runs.values()), rules, m) for m in {split_name(n)[1] for n in way_runs}}
        for name in group:
            choose_finalists(way_runs[name], rules, floors[split_name(name)[1]] if gate else None)
    return Round(tuple(way_runs[name] for name in names), rules, taken)


def announce_training(ledger: RunLedger) -> None:
    """Tell the backends that trainings are planned, so that they get ready while prompts are tried."""
    for name in sorted({base.backend for base in ledger.components.bases}):
        backend = ledger.components.backends[name]
        if isinstance(backend, Attended):
            backend.expect()


def cross(tried: WayRun, test: Sequence[Example], ledger: RunLedger) -> Crossed:
    """Finalists over test rows, once each; a way that failed does not get there, one that fails there has a reason."""
    try:
        if not tried.reason:
            return [tried.bench.cross(c, test, ledger.settings.repeats) for c, _ in tried.finalists]
    except (WayFailed, AdapterNotLive, BudgetSpent) as error:
        tried.reason, tried.out_of_budget = f"on test: {error}", isinstance(error, BudgetSpent)
    return []
