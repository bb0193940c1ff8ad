"""Successive halving of trainings by steps: which learning rate deserves a whole run?

Every trial is trained to the first rung, at most two of them on to the second, and one to the end; a survivor goes on
from its checkpoint, it does not start again. Four trials with rungs at a quarter and at half cost 2.0 whole runs, three
cost 1.75. Jamieson & Talwalkar 2016 (arXiv 1502.07943); few rates near a rule of thumb need no more brackets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from whichway.errors import AdapterNotLive, BudgetSpent, WayFailed
from whichway.nouns import Candidate

RUNGS = ((0.2, 2), (0.5, 1))  # (share of the steps, trials that may go on), at the first checkpoint behind the share
FEWEST_ROWS = 64  # dev rows at a rung, where there are so many: a rate is chosen for all seeds

Trial = Callable[[], Iterator[Candidate]]
Standing = tuple[float, float]  # the task's metric, then minus the loss per row: higher is better
Measure = Callable[[Candidate, float], Standing]  # of a candidate after a share of the steps
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Thinned:
    """What successive halving chose, and what it cost."""

    kept: int  # place of the survivor among the trials
    runs: float  # in whole runs, the survivor's own included
    full_runs: int  # without halving: one for each trial


def rungs(shares: Sequence[float]) -> list[tuple[int, int]]:
    """(checkpoint, trials that may go on behind it) for each rung.

    Args:
        shares: of the steps at which a trial yields, ascending; the last is 1.
    """
    found: dict[int, int] = {}
    for share, keep in RUNGS:
        found[next(i for i, s in enumerate(shares) if s >= share - 1e-9)] = keep
    return list(found.items())


def thin(
    trials: Sequence[Trial],
    shares: Sequence[float],
    measure: Measure,
    say: Say,
) -> Thinned:
    """Thin trials out until one is left.

    Args:
        trials: each starts a training, or takes it up again, and yields a candidate at every checkpoint.
        shares: of the steps at each checkpoint.
        measure: standing of a candidate after a share of the steps.
        say: hears of trials that fail.

    Returns:
        The survivor. When the purse is empty before the end, the one that leads.

    Raises:
        WayFailed: every trial failed.
        BudgetSpent: the purse was empty before any trial reached the first rung.
    """
    if len(trials) == 1:
        return Thinned(0, 1.0, 1)
    live, reached, measured = list(range(len(trials))), [0.0] * len(trials), False
    for checkpoint, keep in rungs(shares):
        standing: dict[int, Standing] = {}
        try:
            for i in live:
                found = _measured(trials[i], checkpoint, shares[checkpoint], measure, say)
                if found is not None:
                    reached[i], standing[i], measured = shares[checkpoint], found, True
        except BudgetSpent:
            if not measured:
                raise
            live = [i for i in live if i in standing] or live
            break
        if not standing:
            raise WayFailed("the training failed at every rate that was tried; give a lower one")
        live = sorted(standing, key=lambda i: standing[i], reverse=True)[:keep]
    reached[live[0]] = 1.0
    return Thinned(live[0], sum(reached), len(trials))


def _measured(trial: Trial, checkpoint: int, share: float, measure: Measure, say: Say) -> Standing | None:
    """Standing of a trial at a checkpoint; None when its training failed, or has not changed anything yet."""
    made, candidate = trial(), None
    try:
        for candidate in islice(made, checkpoint + 1):  # noqa: B007 - the last one; a short training has fewer
            pass
        getattr(made, "close", lambda: None)()  # its memory is free before the candidate answers
        return None if candidate is None else measure(candidate, share)
    except (WayFailed, AdapterNotLive) as error:
        say(str(error))
        return None
