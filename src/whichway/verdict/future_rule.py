"""Whether `rule.py` decides, in each of many worlds of results that have not been measured yet.

A hundred ways in a thousand worlds have five million differences, and a step-down among a hundred ways has 99 steps. So
only what can change the answer is worked out:

- An arm can settle the question only where no cheaper arm of another kind scores as much, and no dearer one more by the
  margin. These few *candidates* are known by their scores alone.
- A candidate's differences tell more. It settles the question for sure where it does so at the strictest level, α/(K−1)
  of K arms, and no arm is shown better than it at α. It does not for sure where it does not even at α, or the best arm
  is shown better than it at α/(K−1): the best never leaves the step-down, so that the candidate does.
- In the worlds that are still open the whole step-down is followed. When an arm leaves, only those look for their
  clearest opponent again that lose it by that.

A difference whose t is below the normal quantile is not shown at any degrees of freedom, so that its p is not computed.
None of this is an approximation: every answer is the one that all differences would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from whichway.nouns import Kind
from whichway.verdict.folds import TAUS, FoldNoise, moderated
from whichway.verdict.stats import FloatArray, IntArray

BoolArray = NDArray[np.bool_]

BLOCK = 1 << 17  # differences that are worked out at a time
CAREFUL = 1 - 1e-9  # of a bound: rounding must not turn a difference away


@dataclass(frozen=True, slots=True, eq=False)
class FoldFuture:
    """Folds that will be measured: their trainings, and what will be seen of their scatter.

    Args:
        noise: what trainings add from fold to fold.
        added: (D, K) what they add to the variance of each score.
        scatter: (D, K, K) each difference's scatter by its expectation; of arms i < j it stands at [i, j].
    """

    noise: FoldNoise
    added: FloatArray
    scatter: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Future:
    """Results that have not been measured yet, in D worlds.

    Args:
        values: (D, K) scores.
        rows: (K, K) row variance of each difference.
        rows_df: its degrees of freedom.
        between: (D, K) V/S of each way's seeds; 0 with one seed.
        left: (K,) MSe/(nS), as the test takes it off.
        seeds: (K,) S.
        folds: what folds add; None without folds.
    """

    values: FloatArray
    rows: FloatArray
    rows_df: float
    between: FloatArray
    left: FloatArray
    seeds: IntArray
    folds: FoldFuture | None = None

    def folded(self, world: IntArray, first: IntArray, second: IntArray) -> FloatArray:
        """Squared errors of differences with folds as clusters; of no use without folds."""
        assert self.folds is not None
        low, high = np.minimum(first, second), np.maximum(first, second)
        expected = self.rows[first, second] + (self.folds.added[world, first] + self.folds.added[world, second])
        return np.asarray(expected * self.folds.scatter[world, low, high], dtype=np.float64)

    def errors(self, world: IntArray, first: IntArray, second: IntArray) -> tuple[FloatArray, FloatArray]:
        """Standard errors and degrees of freedom of differences: `stats.satterthwaite`, many at a time.

        Args:
            world: of each.
            first: arm of each.
            second: the other arm.
        """
        rows = self.rows[first, second]
        if self.folds is not None:
            noise = self.folds.noise
            added = noise.pairs_varying[first, second][:, None] * TAUS**2 / noise.count
            folds = self.folded(world, first, second)
            se, df = moderated(rows, folds, noise.prior[first, second], added, noise.count)
            return se, np.minimum(df, self.rows_df)
        several = self.seeds > 1
        own_df = np.where(several, self.seeds - 1.0, np.inf)
        left = np.where(several, self.left, 0.0)
        one, two = self.between[world, first], self.between[world, second]
        total = np.maximum(rows + ((one - left[first]) + (two - left[second])), rows)
        known = left**2 / (own_df * self.rows_df)
        spread = rows**2 / self.rows_df + (
            (one**2 / own_df[first] + known[first]) + (two**2 / own_df[second] + known[second])
        )
        least = np.minimum(np.where(one > 0, own_df[first], np.inf), np.where(two > 0, own_df[second], np.inf))
        return np.sqrt(total), np.maximum(np.minimum(least, self.rows_df), total**2 / spread)

    def tails(self, world: IntArray, first: IntArray, second: IntArray, gaps: FloatArray, most: float) -> FloatArray:
        """One-sided p of gaps between arms; 1 where it is above `most` for sure.

        Args:
            world: of each gap.
            first: arm of each gap.
            second: the other arm.
            gaps: to be shown above 0.
            most: p that is of interest.
        """
        p = np.ones(len(gaps))
        # the error is never below that of the rows, and no t has shorter tails than the normal distribution
        least = -float(special.ndtri(most)) * CAREFUL
        for start in range(0, len(gaps), BLOCK):
            part = slice(start, start + BLOCK)
            near = start + np.flatnonzero(gaps[part] >= least * np.sqrt(self.rows[first[part], second[part]]))
            se, df = self.errors(world[near], first[near], second[near])
            t = gaps[near] / se
            far = t >= least
            p[near[far]] = special.stdtr(df[far], -t[far])
        return p


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Arms that may settle the question in a world, with their differences from all arms.

    Args:
        world: (C,) of each.
        arm: (C,) its place.
        held: (C, K) whether it is shown at least as good as another arm, but for the margin.
        better: (C, K) two-sided p at which it is shown better than another arm; above 1 where it is not better.
        worse: (C, K) the same, the other arm shown better.
    """

    world: IntArray
    arm: IntArray
    held: BoolArray
    better: FloatArray
    worse: FloatArray

    def settle(self, differ: BoolArray, standing: BoolArray, levels: FloatArray) -> BoolArray:
        """Which of them settle the question.

        Args:
            differ: (K, K) as `kinds_differ` has it.
            standing: (C,) whether it is not shown worse than the best.
            levels: (C, K) or a number: at which each other arm was last tested.
        """
        arms = np.arange(len(differ))
        dearer = arms > self.arm[:, None]
        fine = np.where(dearer, self.held, self.better <= levels)
        settled = (fine | ~differ[self.arm] | (arms == self.arm[:, None])).all(axis=1)
        return np.asarray(settled & (standing | self.held.all(axis=1)), dtype=np.bool_)

    def some(self, which: BoolArray) -> Candidates:
        """Some of them."""
        return Candidates(self.world[which], self.arm[which], self.held[which], self.better[which], self.worse[which])


def kinds_differ(kinds: Sequence[Kind]) -> BoolArray:
    """(K, K) whether two arms' kinds differ; any two arms, where there is only one kind."""
    if len(set(kinds)) == 1:
        return ~np.eye(len(kinds), dtype=bool)
    return np.array([[a != b for b in kinds] for a in kinds])


def decided(future: Future, differ: BoolArray, margin: float, alpha: float) -> BoolArray:
    """Whether `rule.rule` decides, in each of many worlds: (D,).

    Args:
        future: what would be measured.
        differ: (K, K) as `kinds_differ` has it.
        margin: δ.
        alpha: two-sided level.
    """
    worlds, count = future.values.shape
    answers = np.zeros(worlds, dtype=bool)
    arms = candidates(future, differ, margin, alpha)
    strict = alpha / max(count - 1, 1)
    none: BoolArray = np.asarray((arms.worse > alpha).all(axis=1), dtype=np.bool_)
    answers[arms.world[arms.settle(differ, none, np.array(strict))]] = True
    best = future.values.argmax(axis=1)[arms.world]
    falls = arms.worse[np.arange(len(best)), best] <= strict
    arms = arms.some(arms.settle(differ, ~falls, np.array(alpha)) & ~answers[arms.world])
    places, size = np.unique(arms.world), max(1, 8 * BLOCK // count**2)
    for start in range(0, len(places), size):
        part = places[start : start + size]
        standing, levels = step_down(shown_worse(future, part, alpha), alpha)
        mine = arms.some(np.isin(arms.world, part))
        at = np.searchsorted(part, mine.world)
        answers[mine.world[mine.settle(differ, standing[at, mine.arm], levels[at])]] = True
    return answers


def candidates(future: Future, differ: BoolArray, margin: float, alpha: float) -> Candidates:
    """The arms that may settle the question by their scores, with their differences."""
    scores = np.ascontiguousarray(future.values.T)  # (K, D)
    count = len(scores)
    may = np.ones(scores.shape, dtype=bool)
    for k, others in enumerate(differ):
        cheaper, dearer = np.flatnonzero(others[:k]), k + 1 + np.flatnonzero(others[k + 1 :])
        if len(cheaper):
            may[k] &= scores[k] > scores[cheaper].max(axis=0)
        if len(dearer):
            may[k] &= scores[k] > scores[dearer].max(axis=0) - margin
    world, arm = np.nonzero(may.T)
    shape = (len(world), count)
    worlds, first, second = (
        np.broadcast_to(x, shape).ravel() for x in (world[:, None], arm[:, None], np.arange(count))
    )
    ahead = future.values[worlds, first] - future.values[worlds, second]
    held = future.tails(worlds, first, second, ahead + margin, alpha / 2) < alpha / 2
    p = 2 * future.tails(worlds, first, second, np.abs(ahead), alpha / 2)
    better, worse = (np.where(sign * ahead > 0, p, 2.0).reshape(shape) for sign in (1, -1))
    held = held.reshape(shape)
    held[np.arange(len(arm)), arm] = True  # itself
    return Candidates(world, arm, held, better, worse)


def shown_worse(future: Future, worlds: IntArray, alpha: float) -> FloatArray:
    """(W, K, K) two-sided p at which the first arm is shown worse than the second; infinite where it is above alpha."""
    values, count = future.values[worlds], future.values.shape[1]
    p = np.full((len(worlds), count, count), np.inf)
    place, worse, than = np.nonzero(values[:, :, None] < values[:, None, :])
    gaps = values[place, than] - values[place, worse]
    tails = 2 * future.tails(worlds[place], than, worse, gaps, alpha / 2)
    p[place, worse, than] = np.where(tails <= alpha, tails, np.inf)
    return p


def step_down(p: FloatArray, alpha: float) -> tuple[BoolArray, FloatArray]:
    """`rule.step_down` in each of many worlds: the arms that stand (W, K), and the level each was last tested at.

    Args:
        p: (W, K, K) at which the first arm is shown worse than the second; infinite where it is not. Overwritten.
        alpha: two-sided level.
    """
    worlds, count = p.shape[:2]
    standing, levels = np.ones((worlds, count), dtype=bool), np.full((worlds, count), alpha)
    clearest, opponent = p.min(axis=2), p.argmin(axis=2)
    active = np.arange(worlds)
    for others in range(count - 1, 0, -1):
        level = alpha / others
        levels[active] = np.where(standing[active], level, levels[active])
        worst = count - 1 - clearest[active][:, ::-1].argmin(axis=1)  # the last of equals
        shown = clearest[active, worst] <= level
        active, worst = active[shown], worst[shown]
        standing[active, worst] = False
        clearest[active, worst] = np.inf
        p[active, :, worst] = np.inf
        place, arm = np.nonzero((opponent[active] == worst[:, None]) & standing[active])
        left = p[active[place], arm]
        clearest[active[place], arm], opponent[active[place], arm] = left.min(axis=1), left.argmin(axis=1)
    return standing, levels
