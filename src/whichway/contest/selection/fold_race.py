"""The race across folds: ways that are shown worse on the dev rows of the folds so far are not tried in later ones.

A way stops where it is shown worse than another one of its kind, or than a cheaper one of any kind, by more than the
margin and by a sequence that is valid at every look. No verdict could name it: the rule takes the cheapest way that no
other beats. Dev rows of a fold are test rows of another one, so this looks at rows that are counted; it can only remove
a way that loses clearly, and what it removes has no score. `benchmarks/simulate_folds.py` counts what it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whichway.nouns import Kind
from whichway.verdict.sequential import paired_sequence
from whichway.verdict.stats import Groups

LOOK = 2  # folds after which ways are compared for the first time
Gap = Callable[[str, str], tuple[Sequence[float], Groups | None]]


@dataclass(frozen=True, slots=True)
class FoldedScore:
    """How a way does on the dev rows of the folds so far."""

    name: str
    kind: Kind
    cost: float  # usd, fit and answers of a month
    dev: float  # the higher the better
    stays: bool = False  # baselines and zero-shot are tried in all folds


@dataclass(frozen=True, slots=True)
class Defeat:
    """Why a way stops: it is shown worse than another one."""

    rival: str
    rows: int
    gap: float  # mean paired difference, and its interval
    low: float
    high: float


def outraced(ways: Sequence[FoldedScore], gap: Gap, alpha: float, margin: float) -> Mapping[str, Defeat]:
    """The ways that stop, by name, each with the way that beats it.

    Args:
        ways: that are still tried.
        gap: from the names of two ways to the paired differences of their scores, first minus second, on dev rows that
            both answered, and the groups of the rows.
        alpha: two-sided, of one way against all others.
        margin: by which a way must be shown worse.
    """
    level = min(0.5, 2 * alpha / max(1, len(ways) - 1))
    lost = {}
    for way in ways:
        rivals = [w for w in ways if w is not way and (w.kind == way.kind or w.cost < way.cost)]
        if way.stays or not rivals:
            continue
        best = max(rivals, key=lambda w: (w.dev, w.name))
        differences, groups = gap(way.name, best.name)
        low, high = paired_sequence(differences, level, groups)
        if high < -margin:
            lost[way.name] = Defeat(best.name, len(differences), float(np.mean(differences)), low, high)
    return lost
