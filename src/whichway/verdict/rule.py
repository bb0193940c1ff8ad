"""The rule: from compared arms to a choice, and whether it is decided.

Arms are compared on the same test rows, paired, as means over their seeds (`compare.py` gives intervals and p-values).
With margin δ and confidence 1−α, the rule is:

1. Order the arms by cost: `usd_total` (fit + 30 days at the task's volume) to two significant digits, ties by kind
   (baseline, prompt, fine-tune, both), then by name. Measured prices are noisy beyond that.
2. An arm is *shown worse* when some arm still standing scores higher with `p·m ≤ α`, p two-sided and m the number of
   other arms still standing. As in Holm's procedure the clearest case leaves first, then m is one less. What stands at
   the end is the *set not shown worse than the best*.
3. An arm *settles* the question when it stands (or its lower bound against every other arm is above −δ), every dearer
   arm of another kind is held within δ (lower bound of it − arm above −δ) and every cheaper arm of another kind is
   shown worse than it. The question is prompt or fine-tune: which of two fine-tunes is better may stay open. If all
   arms are of one kind, the others of that kind take this place.
4. Where some arm settles it, the verdict is *decided*: the cheapest of them whose expected regret (`posterior.py`) is
   within δ of the least names the kind, and the choice is among the arms of this kind that settle it. Where none does,
   something has to be used all the same: the choice is among all arms. In both cases it is the cheapest whose expected
   regret is within δ/10 of the least. An undecided choice is *leaning* when it is within δ of the best with a
   probability of 80 % or more, else a *toss-up*.

Taking the cheapest arm that is not shown worse when nothing is decided costs 2 to 8 points of true score on average
with 60 to 200 rows; the least expected regret costs about as much as taking the best test score
(`benchmarks/simulate_advice.py`). δ/10 lets the cheaper of two near equals win; at δ it would cost up to half more than
the best test score, and at δ/4 a tenth more with 1,000 rows, where that is a fiftieth of a point.

Why it errs rarely: among arms that are truly equal, something dearer is named, decided or provisionally, only when the
cheapest is shown worse than one of the m others, each at one-sided level α/(2m): in about α/2 of worlds in all (that
other arms left before it adds little; `benchmarks/simulate_verdict.py` measures it). Taking the observed best as the
rival without the factor m would name a dearer arm in 9 % of worlds with six equal arms: the best of many looks better
than it is. Non-inferiority to all others is an intersection-union test (Berger 1982) and needs no correction.

Departures from a plain "cheapest arm non-inferior to the best": the best-looking arm is a winner among many, so it is
not taken as non-inferior merely for being itself; it has to hold the others within δ like any arm. Otherwise the
cheapest of K equal arms would be called decided whenever luck puts it first, at any number of rows.

`Pair.p_holm` is Holm over all pairs of arms, for the reader; step 2 has its own, smaller families.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from whichway.nouns import Kind, Sureness
from whichway.verdict.compare import Arm, Comparison, Table
from whichway.verdict.posterior import Posterior, posterior
from whichway.verdict.stats import FloatArray

Answer = Literal["prompt", "fine-tune", "both", "baseline is enough", "equivalent, take the cheaper", "undecided"]
KINDS: tuple[Kind, ...] = ("baseline", "prompt", "fine-tune", "both")
NEAR_EQUAL = 0.1  # of the margin: expected regrets closer than this are told apart by cost
LEANING = 0.8  # probability to be within the margin of the best


@dataclass(frozen=True, slots=True)
class Outlook:
    """What may be lost by taking each arm, in the order of cost."""

    regret: tuple[float, ...]  # expected, in units of the metric
    near_best: tuple[float, ...]  # probability to be within the margin of the best
    loss: tuple[float, ...]  # expected, in units of `worth`: score, or usd a month
    runner_up: int  # the arm of least expected loss after the choice


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rule says; arms by their place in the order of cost."""

    choice: int
    best: int
    decided: bool
    standing: frozenset[int]  # not shown worse than the best
    worse: frozenset[int]  # shown worse than the choice
    held: frozenset[int]  # the choice is shown non-inferior to them
    equal: tuple[int, ...]  # dearer arms of another kind within ±margin
    open: tuple[int, ...]  # what keeps the question of kinds undecided
    siblings: tuple[int, ...]  # open as well, but of the choice's kind
    outlook: Outlook | None = None  # None with one arm, or fewer than two independent rows

    @property
    def sureness(self) -> Sureness:
        """How sure the choice is."""
        if self.decided:
            return "decided"
        near = self.outlook is not None and self.outlook.near_best[self.choice] >= LEANING
        return "leaning" if near else "toss-up"


def answer(ruling: Ruling | None, kinds: Sequence[Kind]) -> Answer:
    """The answer that a ruling gives; `kinds` of the arms in the order of cost."""
    if ruling is None or not ruling.decided:
        return "undecided"
    kind = kinds[ruling.choice]
    if kind == "baseline":
        return "baseline is enough"
    return "equivalent, take the cheaper" if ruling.equal else kind


def order(arm: Arm, volume: float) -> tuple[float, int, str]:
    """The place of an arm in the order of cost."""
    return two_digits(arm.total(volume)), KINDS.index(arm.kind), arm.way


def two_digits(x: float) -> float:
    """A number to two significant digits."""
    return float(f"{x:.1e}")


def rule(table: Table, margin: float, worth: MonthlyWorth | None = None) -> Ruling:
    """Apply the rule of this module to arms that are in the order of cost.

    Args:
        table: the arms' results.
        margin: δ, in units of the metric.
        worth: turns true scores into money, where the price of a wrong answer is known; None: the score counts.
    """
    count = len(table.arms)
    ahead = differences(table)
    standing, levels = step_down(ahead, count, 1 - table.confidence)
    kinds = [arm.kind for arm in table.arms]
    others = [[j for j in range(count) if j != i] for i in range(count)]

    def blocking(i: int) -> list[int]:
        open_arms = unsettled(ahead, levels, i, margin)
        return [j for j in open_arms if kinds[j] != kinds[i] or len(set(kinds)) == 1]

    fit = [i for i in range(count) if i in standing or all(held(ahead[i, j], margin) for j in others[i])]
    settled = [i for i in fit if count > 1 and not blocking(i)]
    drawn = posterior(table)
    if drawn is None:
        choice, outlook = (settled or fit)[0], None
    else:
        arms = list(range(count))
        if settled:
            first, _ = chosen(drawn, settled, margin, 1.0, worth)
            arms = [i for i in settled if kinds[i] == kinds[first]]
        choice, outlook = chosen(drawn, arms, margin, NEAR_EQUAL, worth)
    worse = frozenset(j for j in others[choice] if better(ahead[choice, j], levels[j]))
    within = frozenset(j for j in others[choice] if held(ahead[choice, j], margin))
    equal = [j for j in within if j > choice and kinds[j] != kinds[choice] and held(ahead[j, choice], margin)]
    return Ruling(
        choice=choice,
        best=max(range(count), key=lambda k: (table.value(k), -k)),
        decided=bool(settled),
        standing=frozenset(standing),
        worse=worse,
        held=within,
        equal=tuple(j for j in sorted(equal) if "baseline" not in (kinds[j], kinds[choice])),
        open=tuple(blocking(choice)),
        siblings=tuple(j for j in unsettled(ahead, levels, choice, margin) if j not in blocking(choice)),
        outlook=outlook,
    )


@dataclass(frozen=True, slots=True)
class MonthlyWorth:
    """What true scores are worth in a month: `θ·L·N − cost`."""

    answers_usd: float  # L·N: what a whole point of score (all answers right instead of none) saves in a month
    costs_usd: tuple[float, ...]  # of each arm, a month


def chosen(
    drawn: Posterior, arms: Sequence[int], margin: float, near_equal: float, worth: MonthlyWorth | None
) -> tuple[int, Outlook]:
    """The arm of least expected loss among some, or a cheaper one that is nearly as good; and what may be lost.

    Args:
        drawn: true scores.
        arms: in question.
        margin: δ.
        near_equal: expected regrets that differ by so many margins are told apart by cost.
        worth: money for scores, where known.
    """
    regret, near = drawn.regret(), drawn.near_best(margin)
    loss, tolerance = regret, near_equal * margin
    if worth is not None:
        loss = drawn.regret(drawn.draws * worth.answers_usd - np.array(worth.costs_usd))
        tolerance = 0.0  # cost is counted already
    best = cheapest_near_best(loss, arms, tolerance)
    rest = [i for i in range(len(loss)) if i != best]
    runner_up = min(rest, key=lambda i: (loss[i], i))
    return best, Outlook(rounded(regret), rounded(near), rounded(loss), runner_up)


def cheapest_near_best(loss: FloatArray, arms: Sequence[int], tolerance: float) -> int:
    """The first (cheapest) of some arms whose expected loss is within a tolerance of the least."""
    least = min(loss[i] for i in arms)
    return next(i for i in arms if loss[i] <= least + tolerance)


def rounded(values: FloatArray) -> tuple[float, ...]:
    """The values as floats without their last digits, so that a verdict is the same on every machine."""
    return tuple(round(float(v), 6) for v in values)


def differences(table: Table) -> dict[tuple[int, int], Comparison]:
    """The paired difference of each arm `i` minus each arm `j`."""
    places = range(len(table.arms))
    return {(i, j): table.compare(j, i) for i in places for j in places}


def not_shown_worse(table: Table) -> frozenset[int]:
    """The arms not shown worse than the best, without a choice among them."""
    return frozenset(step_down(differences(table), len(table.arms), 1 - table.confidence)[0])


def step_down(ahead: dict[tuple[int, int], Comparison], count: int, alpha: float) -> tuple[set[int], list[float]]:
    """The arms not shown worse than the best, and for each arm the level at which it was last tested."""
    standing, levels = set(range(count)), [alpha] * count
    while len(standing) > 1:
        level = alpha / (len(standing) - 1)
        for i in standing:
            levels[i] = level
        shown = [(ahead[j, i].p, i) for i in standing for j in standing if better(ahead[j, i], level)]
        if not shown:
            break
        standing.discard(min(shown, key=lambda shown_pair: (shown_pair[0] or 0.0, -shown_pair[1]))[1])
    return standing, levels


def unsettled(ahead: dict[tuple[int, int], Comparison], levels: Sequence[float], i: int, margin: float) -> list[int]:
    """Arms neither held within the margin of arm `i` (more expensive ones) nor shown worse (cheaper ones)."""
    others = (j for j in range(len(levels)) if j != i)
    return [j for j in others if not (held(ahead[i, j], margin) if j > i else better(ahead[i, j], levels[j]))]


def better(ahead: Comparison, level: float) -> bool:
    """Whether an arm is shown better than another at a two-sided level."""
    return ahead.p is not None and ahead.value > 0 and ahead.p <= level


def held(ahead: Comparison, margin: float) -> bool:
    """Whether an arm is shown non-inferior to another: at worst, its score is less by less than the margin."""
    return ahead.low is not None and ahead.low > -margin
