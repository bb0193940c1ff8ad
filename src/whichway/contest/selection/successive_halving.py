"""Successive halving of trainings by steps: which learning rate deserves a whole run?

Every trial is trained to the first rung, at most two of them on to the second, and one to the end; a survivor goes on
from its checkpoint, it does not start again. Four trials with rungs at 0.3 and at 0.6 cost 2.2 whole runs, three cost
1.9, two are settled at the first rung and cost 1.3; at a quarter, right after the warm-up, high rates cannot be judged
yet (`benchmarks/results/rate_search.md`).
Jamieson & Talwalkar 2016 (arXiv 1502.07943); few rates near a rule of thumb need no more brackets.

Trials are compared by the task's metric. Those within two standard errors (of the paired difference) of the best are a
tie, which the earlier trial wins: whoever starts them names the likeliest to be the best first. A rung has few rows,
and the loss there favours low rates: it is a worse judge of where a training will end than what is known beforehand
(`benchmarks/results/rate_search.md`, `dev/LOG.md`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from whichway.contracts import RUNGS
from whichway.errors import AdapterNotLive, BudgetSpent, WayFailed
from whichway.nouns import Candidate
from whichway.verdict.stats import FloatArray

FEWEST_ROWS = 256  # dev rows at a rung, where there are so many: a rate is chosen for all seeds
TIE = 2.0  # standard errors within which trials are level

Trial = Callable[[], Iterator[Candidate]]


@dataclass(frozen=True, slots=True)
class RungScore:
    """The score of a trial at a rung."""

    name: str
    value: float  # the task's metric; higher is better
    scores: tuple[float, ...]  # row by row


Measure = Callable[[Candidate, float], RungScore]  # of a candidate after a share of the steps
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HalvingResult:
    """What successive halving chose, and what it cost."""

    survivor: int  # place of the survivor among the trials
    runs: float  # in whole runs, the survivor's own included
    full_runs: int  # without halving: one for each trial


def rungs(shares: Sequence[float]) -> list[tuple[int, int]]:
    """(checkpoint, trials that may go on after it) for each rung.

    Args:
        shares: of the steps at which a trial yields, ascending; the last is 1.
    """
    trials_at: dict[int, int] = {}
    for share, keep in RUNGS:
        trials_at[next(i for i, s in enumerate(shares) if s >= share - 1e-9)] = keep
    return list(trials_at.items())


def successive_halving(
    trials: Sequence[Trial],
    shares: Sequence[float],
    measure: Measure,
    say: Say,
) -> HalvingResult:
    """Run successive halving until one trial is left.

    Args:
        trials: each starts a training, or takes it up again, and yields a candidate at every checkpoint; the likeliest
            to be the best first.
        shares: of the steps at each checkpoint.
        measure: standing of a candidate after a share of the steps.
        say: hears of trials that fail, and after each rung who goes on.

    Returns:
        The survivor. When the budget is spent before the end, the one that leads.

    Raises:
        WayFailed: every trial failed.
        BudgetSpent: the budget was spent before any trial reached the first rung.
    """
    if len(trials) == 1:
        return HalvingResult(0, 1.0, 1)
    live, reached, measured = list(range(len(trials))), [0.0] * len(trials), False
    for checkpoint, keep in rungs(shares):
        if len(live) == 1:
            break
        standing: dict[int, RungScore] = {}
        try:
            for i in live:
                score = _measured(trials[i], checkpoint, shares[checkpoint], measure, say)
                if score is not None:
                    reached[i], standing[i], measured = shares[checkpoint], score, True
        except BudgetSpent:
            if not measured:
                raise
            live = [i for i in live if i in standing] or live
            break
        if not standing:
            raise WayFailed("the training failed at every rate that was tried; give a lower one")
        live = rank(standing)[: 1 if len(trials) == 2 else keep]
        say(_rung_text(standing, live))
    reached[live[0]] = 1.0
    return HalvingResult(live[0], sum(reached), len(trials))


def rank(standing: Mapping[int, RungScore]) -> list[int]:
    """Trials from best to worst; of those that are level with the best, the earlier first."""
    best = max(standing.values(), key=lambda s: s.value)
    level = [i for i in sorted(standing) if _level(best, standing[i])]
    return [*level, *sorted(standing.keys() - level, key=lambda i: (-standing[i].value, i))]


def _rung_text(standing: Mapping[int, RungScore], live: Sequence[int]) -> str:
    """Which trials go on after a rung, and why where it is not the scores alone."""
    best, on = max(standing.values(), key=lambda s: s.value), [standing[i] for i in live]
    level = [s.name for s in on if s.value < best.value and _level(best, s)]
    why = f" (dev cannot tell {' and '.join(level)} from the best)" if level else ""
    return f"{'goes' if len(on) == 1 else 'go'} on: {' and '.join(s.name for s in on)}{why}"


def _level(best: RungScore, other: RungScore) -> bool:
    return tied(best.value - other.value, best.scores, other.scores, TIE)


def tied(
    gap: float, first: Sequence[float] | FloatArray, second: Sequence[float] | FloatArray, errors: float = 1.0
) -> bool:
    """Whether a gap is within so many standard errors of two candidates' row scores.

    One row more has a gap of 1/n and an error of 1/n: rounding must not decide.
    """
    return gap <= errors * gap_error(first, second) + 1e-9


def latest(values: Sequence[float], scores: Sequence[Sequence[float] | FloatArray]) -> int:
    """The last of a training's checkpoints, in their order, whose value ties with the best one's."""
    top = values.index(max(values))
    return max(i for i, value in enumerate(values) if tied(values[top] - value, scores[top], scores[i]))


def gap_error(first: Sequence[float] | FloatArray, second: Sequence[float] | FloatArray) -> float:
    """One standard error of the paired difference of two candidates' row scores; 0 with fewer than two rows."""
    return float(np.subtract(first, second).std(ddof=1) / math.sqrt(len(first))) if len(first) > 1 else 0.0


def _measured(trial: Trial, checkpoint: int, share: float, measure: Measure, say: Say) -> RungScore | None:
    """The score of a trial at a checkpoint; None when its training failed, or has not changed anything yet."""
    checkpoints, candidate = trial(), None
    try:
        for candidate in islice(checkpoints, checkpoint + 1):  # noqa: B007 - the last one; a short training has fewer
            pass
        getattr(checkpoints, "close", lambda: None)()  # its memory is free before the candidate answers
        return None if candidate is None else measure(candidate, share)
    except (WayFailed, AdapterNotLive) as error:
        say(str(error))
        return None
