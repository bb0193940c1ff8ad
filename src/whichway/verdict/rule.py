"""The rule: from compared arms to a choice, and whether it is decided.

Arms are compared on the same test rows, paired, as means over their seeds (`compare.py` gives intervals and p-values).
With margin δ and confidence 1−α, the rule is:

1. Order the arms by cost: `usd_total` (fit + 30 days at the task's volume) to two significant digits, ties by kind
   (baseline, prompt, fine-tune, both), then by name. Measured prices are noisy beyond that.
2. An arm is *shown worse* when some arm still standing scores higher with `p·m ≤ α`, p two-sided and m the number of
   other arms still standing. As in Holm's procedure the clearest case leaves first, then m is one less. What stands at
   the end is the *set not shown worse than the best*.
3. The choice is the cheapest arm that stands, or an even cheaper one whose lower bound against every other arm is above
   −δ (it may be worse, but by less than what matters).
4. The choice is *decided* when every dearer arm of another kind is held within δ (lower bound of choice − arm above −δ)
   and every cheaper arm of another kind is shown worse than the choice. The question is prompt or fine-tune: which of
   two fine-tunes is better may stay open. If all arms are of one kind, the others of that kind take this place.

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

from whichway.nouns import Kind
from whichway.verdict.compare import Arm, Comparison, Table

Answer = Literal["prompt", "fine-tune", "both", "baseline is enough", "equivalent, take the cheaper", "undecided"]
KINDS: tuple[Kind, ...] = ("baseline", "prompt", "fine-tune", "both")


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


def rule(table: Table, margin: float) -> Ruling:
    """Apply the rule of this module to arms that are in the order of cost."""
    count = len(table.arms)
    ahead = {(i, j): table.compare(j, i) for i in range(count) for j in range(count)}  # i minus j
    standing, levels = step_down(ahead, count, 1 - table.confidence)
    others = [[j for j in range(count) if j != i] for i in range(count)]
    choice = next(i for i in range(count) if i in standing or all(held(ahead[i, j], margin) for j in others[i]))
    worse = frozenset(j for j in others[choice] if better(ahead[choice, j], levels[j]))
    within = frozenset(j for j in others[choice] if held(ahead[choice, j], margin))
    unsettled = [j for j in others[choice] if j not in (within if j > choice else worse)]
    kinds = [arm.kind for arm in table.arms]
    blocking = [j for j in unsettled if kinds[j] != kinds[choice] or len(set(kinds)) == 1]
    equal = [j for j in within if j > choice and kinds[j] != kinds[choice] and held(ahead[j, choice], margin)]
    return Ruling(
        choice=choice,
        best=max(range(count), key=lambda k: (table.value(k), -k)),
        decided=count > 1 and not blocking,
        standing=frozenset(standing),
        worse=worse,
        held=within,
        equal=tuple(j for j in sorted(equal) if "baseline" not in (kinds[j], kinds[choice])),
        open=tuple(blocking),
        siblings=tuple(j for j in unsettled if j not in blocking),
    )


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
        standing.discard(min(shown, key=lambda found: (found[0] or 0.0, -found[1]))[1])
    return standing, levels


def better(ahead: Comparison, level: float) -> bool:
    """Whether an arm is shown better than another at a two-sided level."""
    return ahead.p is not None and ahead.value > 0 and ahead.p <= level


def held(ahead: Comparison, margin: float) -> bool:
    """Whether an arm is shown non-inferior to another: at worst less than the margin behind."""
    return ahead.low is not None and ahead.low > -margin
