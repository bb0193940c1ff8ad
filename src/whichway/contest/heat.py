"""A heat: a way's own candidates race on the same shuffled blocks of dev rows while it searches.

Rows come in blocks that double: 24, 48, 96, ... After each block who is *shown worse* than the leader is dropped
(confidence sequence on paired differences, as in `race`), and, unless told otherwise, the better half of the rest goes
on (successive halving: Jamieson & Talwalkar 2016, arXiv 1502.07943). Candidates within one standard error of the
leader are a tie, which the loss of the wanted labels breaks (as in `halving`). It ends when as many are left as are
wanted, when the rows end, or when what is left of the purse does not pay for the next block of two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from whichway.contest.halving import Standing, rank
from whichway.contest.race import FIRST_LOOK, Entry, Rules, drop_worse
from whichway.contracts import Runner
from whichway.errors import BudgetSpent


@dataclass(slots=True, eq=False)
class Lane:
    """A candidate in a heat."""

    entry: Entry
    losses: list[float] = field(default_factory=list)  # nats, where labels are scored


@dataclass(frozen=True, slots=True)
class Heat:
    """What a heat is held with."""

    rules: Rules
    answer: Callable[[Lane, int], None]  # gives a lane its scores up to so many rows; BudgetSpent when it cannot
    price: Callable[[Lane, int], int]  # answers that must still be bought for so many rows
    halve: bool = True


def blocks(rows: int) -> tuple[int, ...]:
    """Rows at each look: doubling from the first; a rest shorter than a block is joined to the last."""
    found, size = [], FIRST_LOOK
    while size * 2 <= rows:
        found.append(size)
        size *= 2
    return (*found, rows)


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
    going, gone, left = list(lanes), list[tuple[Lane, str]](), calls
    for rows in blocks(heat.rules.looks[-1]):
        if left is not None and rows > FIRST_LOOK:
            going, poor = _affordable(going, rows, heat, left, keep)
            gone += [(lane, "the rest of the purse paid for fewer") for lane in poor]
        try:
            left = _block(going, rows, heat, left)
        except BudgetSpent:
            break
        if left is not None and left < 0:
            break
        going, dropped = _cut(going, rows, heat, keep)
        gone += dropped
        if len(going) <= keep and (heat.halve or len(going) == 1):
            break
    return _ranked(going, gone, heat)


def _block(going: Sequence[Lane], rows: int, heat: Heat, left: int | None) -> int | None:
    """Answer a block for all or for none; returns what is left, below 0 when the rest did not pay for all."""
    if left is not None:
        left -= sum(heat.price(lane, rows) for lane in going)
        if left < 0:
            return left
    for lane in going:
        heat.answer(lane, rows)
    return left


def _affordable(
    going: list[Lane], rows: int, heat: Heat, left: int, keep: int
) -> tuple[list[Lane], list[Lane]]:
    """As many of the best as the rest of the purse takes to the next look."""
    order, paid = _order(going), 0
    for place, lane in enumerate(order):
        paid += heat.price(lane, rows)
        if paid > left and place >= max(2, keep + 1):
            return order[:place], order[place:][::-1]
    return going, []


def _cut(going: list[Lane], rows: int, heat: Heat, keep: int) -> tuple[list[Lane], list[tuple[Lane, str]]]:
    """Who goes on, and who is dropped, the worst first."""
    order = _order(going)
    drop_worse([lane.entry for lane in order], order[0].entry, heat.rules, rows, len(going))
    worse = [lane for lane in order if lane.entry.drop is not None]
    live = [lane for lane in order if lane.entry.drop is None]
    half = live[max(keep, -(-len(live) // 2)) :] if heat.halve and len(live) > keep else []
    gone = [*((lane, "shown worse") for lane in worse[::-1]), *((lane, "halved") for lane in half[::-1])]
    return [lane for lane in live if lane not in half], gone


def _order(lanes: Sequence[Lane]) -> list[Lane]:
    """Lanes with equal rows, the best first."""
    places = rank({place: _standing(lane) for place, lane in enumerate(lanes)})
    return [lanes[place] for place in places]


def _standing(lane: Lane) -> Standing:
    scores = lane.entry.scores
    loss = sum(lane.losses) / len(lane.losses) if lane.losses else None
    return Standing(sum(scores) / len(scores) if scores else 0.0, tuple(scores), loss)


def _ranked(going: Sequence[Lane], gone: Sequence[tuple[Lane, str]], heat: Heat) -> list[Runner]:
    """Runners from the best to the worst. A block that the purse cut short counts for nobody."""
    rows = min((lane.entry.rows for lane in going), default=0)
    for lane in going:
        del lane.entry.scores[rows:], lane.entry.records[rows:], lane.losses[rows:]
    left = [(lane, "") for lane in (_order(going) if rows else [])]
    return [_runner(lane, why, heat) for lane, why in (*left, *reversed(gone)) if lane.entry.rows]


def _runner(lane: Lane, why: str, heat: Heat) -> Runner:
    entry = lane.entry
    value = heat.rules.value(entry, entry.rows)
    return Runner(entry.candidate, value, tuple(entry.scores), tuple(r.text for r in entry.records), why)
