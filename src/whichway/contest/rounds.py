"""One round of a contest: ways are followed on one train and dev split, raced, and their finalists cross test rows.

A contest with a single split has one round; with folds, one for each fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whichway.contest.bench import HouseBench
from whichway.contest.ledger import Till
from whichway.contest.selection.race import Rules
from whichway.contest.selection.select import (
    ZERO_SHOT,
    Tried,
    follow,
    hold_race,
    rules_of,
    settle,
    zero_shot_of,
)
from whichway.contracts import Attended
from whichway.errors import AdapterNotLive, BudgetSpent, WayFailed
from whichway.events import WayBegan
from whichway.nouns import Example, Practice, Record, apart

Crossed = list[list[list[Record]]]  # [finalist][repeat][row]


@dataclass(frozen=True, slots=True)
class Round:
    """What a round left.

    Attributes:
        tried: the ways, in the order of the settings.
        rules: of the race over dev rows.
        taken: looks of that race.
    """

    tried: tuple[Tried, ...]
    rules: Rules
    taken: int


def try_all(
    practice: Practice, till: Till, names: Sequence[str], bench: Callable[[str], HouseBench], gate: bool = True
) -> Round:
    """Follow the ways, zero-shot first (it is cheap, and its first rows tell whether anything works), then race.

    Args:
        practice: train and dev rows.
        till: of the run.
        names: of the ways.
        bench: a way's bench.
        gate: whether a way that ends below zero-shot on dev fails here.
    """
    rules = rules_of(practice, till)
    order = sorted(names, key=lambda name: apart(name)[0] != ZERO_SHOT)
    if any(name.startswith(("tune_", "both_")) for name in names):
        _expect(till)
    found = {}
    for index, name in enumerate(order):
        till.tell(WayBegan(name, index, len(order)))
        found[name] = follow(name, practice, bench(name), till, rules)
    tried = tuple(found[name] for name in names)
    taken = hold_race([found[name] for name in order], till, rules)
    floors = {model: zero_shot_of(tried, rules, model) for model in {apart(one.name)[1] for one in tried}}
    for one in tried:
        settle(one, rules, floors[apart(one.name)[1]] if gate else None)
    return Round(tried, rules, taken)


def _expect(till: Till) -> None:
    """Trainings are planned: whoever trains may get ready while the prompts are tried."""
    for name in sorted({base.backend for base in till.house.bases}):
        backend = till.house.backends[name]
        if isinstance(backend, Attended):
            backend.expect()


def cross(tried: Tried, test: Sequence[Example], till: Till) -> Crossed:
    """Finalists over test rows, once each; a way that failed does not get there, one that fails there has a reason."""
    try:
        if not tried.reason:
            return [tried.bench.cross(c, test, till.settings.repeats) for c, _ in tried.finalists]
    except (WayFailed, AdapterNotLive, BudgetSpent) as error:
        tried.reason = f"on test: {error}"
    return []
