"""A heat: a way's own candidates race on the same shuffled blocks of dev rows while it searches.

The looks are those of the contest's race (n/2^k rows, ..., n/2, n). After each who is *shown worse* than the leader is
dropped (confidence sequence on paired differences, as in `race`). Unless told otherwise the rest is thinned, too, as by
successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943), but less at first, when rows say little: of N prompts
0.7 N go on at an eighth of the rows, 0.3 N at a quarter, N/8 at half, and of candidates that differ only in their
labels' biases, which share their answers, one. Where the calls do not pay for that, thinning starts earlier. It ends
when as many are left as are wanted, when the rows end, or when what is left of the purse does not pay for another row
of two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from whichway.contest.selection.race import Entry, Rules, drop_worse
from whichway.contest.selection.successive_halving import tied
from whichway.contracts import Runner
from whichway.errors import BudgetSpent


@dataclass(slots=True, eq=False)
class Lane:
    """A candidate in a heat."""

    entry: Entry
    losses: list[float] = field(default_factory=list)  # nats, where labels are scored

    @property
    def loss(self) -> float:
        """Mean of its losses; 0 where there are none."""
        return sum(self.losses) / len(self.losses) if self.losses else 0.0


@dataclass(frozen=True, slots=True)
class Heat:
    """What a heat is held with."""

    rules: Rules
    answer: Callable[[Lane, int], None]  # gives a lane its scores up to so many rows; BudgetSpent when it cannot
    price: Callable[[Sequence[Lane], int], int]  # answers that lanes must still buy for so many rows; equal ones once
    halve: bool = True


def hold(lanes: Sequence[Lane], heat: Heat, keep: int, calls: int | None) -> list[Runner]:
    """Race lanes until `keep` are left.

    Args:
        lanes: the earlier is the better when equal.
        heat: how.
        keep: how many are wanted.
        calls: answers that may be bought; None: as many as the purse pays for.

    Returns:
        All that were measured, the best first: those left, then the dropped ones, the last dropped first.
    """
    going, gone, left, reached = list(lanes), list[tuple[Lane, str]](), calls, 0
    prompts = len({_unbiased(lane) for lane in lanes})
    start = _first_cut(prompts, heat.rules.looks, calls)
    for rows in heat.rules.looks:
        if left is not None and reached:
            going, poor = _affordable(going, rows, heat, left, keep)
            gone += [(lane, "the rest of the purse paid for fewer") for lane in poor]
        to = rows if left is None else _within(going, reached, rows, heat, left)
        try:
            left = None if left is None else left - heat.price(going, to)
            for lane in going:
                heat.answer(lane, to)
        except BudgetSpent:
            break
        reached = to
        if to < rows:
            break
        size = max(keep, kept(prompts, rows, start)) if heat.halve and rows >= start else None
        going, dropped = _cut(going, rows, heat, size)
        gone += dropped
        if len(going) <= keep and (heat.halve or len(going) == 1):
            break
    return _ranked(going, gone, heat)


def kept(prompts: int, rows: int, start: float) -> int:
    """How many prompts go on after so many rows, when they are thinned out first at `start` rows."""
    if rows < start:
        return prompts
    share = 0.7 if rows < 2 * start else 0.3 if rows < 4 * start else start / (2 * rows)
    return math.ceil(prompts * share)


def _first_cut(prompts: int, at: Sequence[int], calls: int | None) -> float:
    """Rows at which the prompts are thinned out first: an eighth of all, or fewer where the calls pay fewer."""
    starts = [at[-1] / 8, *(float(rows) for rows in reversed(at) if rows < at[-1] / 8)]
    for start in starts:
        paid, before, going = 0, 0, prompts
        for rows in at:
            paid, before = paid + going * (rows - before), rows
            going = kept(prompts, rows, start)
            if going <= 1:
                break
        if calls is None or paid <= calls:
            return start
    return starts[-1]


def _within(going: Sequence[Lane], reached: int, rows: int, heat: Heat, left: int) -> int:
    """Rows up to which what is left of the purse pays for all of them: the next look, or fewer."""
    while rows > reached and heat.price(going, rows) > left:
        rows = max(reached, rows - max(1, (heat.price(going, rows) - left) // len(going)))
    return rows


def _affordable(going: list[Lane], rows: int, heat: Heat, left: int, keep: int) -> tuple[list[Lane], list[Lane]]:
    """As many of the best as the rest of the purse takes to the next look."""
    order = _order(going, heat.rules)
    for place in range(max(2, keep + 1), len(order)):
        if heat.price(order[: place + 1], rows) > left:
            return order[:place], order[place:][::-1]
    return going, []


def _cut(going: list[Lane], rows: int, heat: Heat, size: int | None) -> tuple[list[Lane], list[tuple[Lane, str]]]:
    """Who goes on (the best `size` prompts at most), and who is dropped, the worst first."""
    order = _order(going, heat.rules)
    drop_worse([lane.entry for lane in order], order[0].entry, heat.rules, rows, len(going))
    worse = [lane for lane in order if lane.entry.drop is not None]
    live = [lane for lane in order if lane.entry.drop is None]
    firsts = {_unbiased(lane): lane for lane in live[::-1]} if size is not None else {}
    twins = [lane for lane in live if firsts.get(_unbiased(lane), lane) is not lane]
    live = [lane for lane in live if lane not in twins]
    half = live[size:] if size is not None else []
    reasons = (("shown worse", worse), ("other biases lead", twins), ("halved", half))
    return [lane for lane in live if lane not in half], [(lane, why) for why, out in reasons for lane in out[::-1]]


def _unbiased(lane: Lane) -> str:
    """What candidates have in common that differ in their labels' biases only."""
    candidate = lane.entry.candidate
    return replace(candidate, decoding=replace(candidate.decoding, bias=())).id


def _order(lanes: Sequence[Lane], rules: Rules) -> list[Lane]:
    """Lanes with equal rows, the best first: one of each prompt, then those that differ from it in their biases only.

    Among the biases of one prompt those within one standard error of the best are a tie, which the loss breaks. Between
    prompts the loss says less, as some are surer of themselves than others; it breaks exact ties only.
    """
    values = {lane: rules.value(lane.entry, lane.entry.rows) for lane in lanes}
    groups: dict[str, list[Lane]] = {}
    for lane in lanes:
        groups.setdefault(_unbiased(lane), []).append(lane)
    firsts, twins = list[Lane](), list[Lane]()
    for group in groups.values():
        first = _first(group, values, rules)
        firsts.append(first)
        twins += [lane for lane in group if lane is not first]

    def merit(lane: Lane) -> tuple[float, float]:
        return -values[lane], lane.loss

    return [*sorted(firsts, key=merit), *sorted(twins, key=merit)]


def _first(group: Sequence[Lane], values: Mapping[Lane, float], rules: Rules) -> Lane:
    """The best of one prompt's."""
    best = min(group, key=lambda lane: -values[lane])
    if len(group) == 1 or not all(lane.losses for lane in group):
        return best
    rows = {lane: rules.row_values(lane.entry, lane.entry.rows) for lane in group}
    level = [lane for lane in group if tied(values[best] - values[lane], rows[best], rows[lane])]
    return min(level, key=lambda lane: lane.loss)


def _ranked(going: Sequence[Lane], gone: Sequence[tuple[Lane, str]], heat: Heat) -> list[Runner]:
    """Runners from the best to the worst. A block that the purse cut short counts for nobody."""
    rows = min((lane.entry.rows for lane in going), default=0)
    for lane in going:
        del lane.entry.scores[rows:], lane.entry.records[rows:], lane.losses[rows:]
    left = [(lane, "") for lane in (_order(going, heat.rules) if rows else [])]
    return [_runner(lane, why, heat) for lane, why in (*left, *reversed(gone)) if lane.entry.rows]


def _runner(lane: Lane, why: str, heat: Heat) -> Runner:
    entry = lane.entry
    value = heat.rules.value(entry, entry.rows)
    values = tuple(float(x) for x in heat.rules.row_values(entry, entry.rows))
    return Runner(entry.candidate, value, values, tuple(r.text for r in entry.records), why)
