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
    choose_finalists,
    race_all,
    rules_of,
    run_way,
    zero_shot_of,
)
from whichway.contracts import Attended
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
    way_runs = {}
    for index, name in enumerate(order):
        ledger.tell(WayBegan(name, index, len(order)))
        way_runs[name] = run_way(name, practice, bench(name), ledger, rules)
    tried = tuple(way_runs[name] for name in names)
    taken = race_all([way_runs[name] for name in order], ledger, rules)
    floors = {model: zero_shot_of(tried, rules, model) for model in {split_name(one.name)[1] for one in tried}}
    for one in tried:
        choose_finalists(one, rules, floors[split_name(one.name)[1]] if gate else None)
    return Round(tried, rules, taken)


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
