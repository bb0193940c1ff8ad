"""A race inside a way: its own candidates answer the same shuffled blocks of dev rows while it searches.

The looks are those of the contest's race (n/2^k rows, ..., n/2, n). After each who is *shown worse* than the leader is
dropped (confidence sequence on paired differences, as in `race`). Unless told otherwise the rest is thinned, too, as by
successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943), but less at first, when rows say little: of N prompts
0.7 N go on at an eighth of the rows, 0.3 N at a quarter, N/8 at half, and of candidates that differ only in their
labels' biases, which share their answers, one. Where the calls do not pay for that, thinning starts earlier. It ends
when as many are left as are wanted, when the rows end, or when what is left of the budget does not pay for another row
of two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from whichway.contest.selection.race import Entry, Rules, drop_worse
from whichway.contest.selection.successive_halving import tied
from whichway.contracts import RaceResult
from whichway.errors import BudgetSpent


@dataclass(slots=True, eq=False)
class Contender:
    """A candidate in such a race, with its scores and losses."""

    entry: Entry
    losses: list[float] = field(default_factory=list)  # nats, where labels are scored

    @property
    def loss(self) -> float:
        """Mean of its losses; 0 where there are none."""
        return sum(self.losses) / len(self.losses) if self.losses else 0.0


@dataclass(frozen=True, slots=True)
class CandidateRace:
    """What a race among candidates is run with."""

    rules: Rules
    answer: Callable[[Contender, int], None]  # scores it up to so many rows; BudgetSpent when it cannot
    price: Callable[
        [Sequence[Contender], int], int
    ]  # answers that contenders must still buy for so many rows; equal ones once
    halve: bool = True


def run_race(
    contenders: Sequence[Contender], candidate_race: CandidateRace, keep: int, calls: int | None
) -> list[RaceResult]:
    """Race contenders until `keep` are left.

    Args:
        contenders: the earlier is the better when equal.
        candidate_race: how.
        keep: how many are wanted.
        calls: answers that may be bought; None: as many as the budget pays for.

    Returns:
        All that were measured, the best first: those left, then the dropped ones, the last dropped first.
    """
    going, gone, left, reached = list(contenders), list[tuple[Contender, str]](), calls, 0
    prompts = len({_unbiased(contender) for contender in contenders})
    start = _first_cut(prompts, candidate_race.rules.looks, calls)
    for rows in candidate_race.rules.looks:
        if left is not None and reached:
            going, poor = _affordable(going, rows, candidate_race, left, keep)
            gone += [(contender, "the rest of the budget paid for fewer") for contender in poor]
        to = rows if left is None else _within(going, reached, rows, candidate_race, left)
        try:
            left = None if left is None else left - candidate_race.price(going, to)
            for contender in going:
                candidate_race.answer(contender, to)
        except BudgetSpent:
            break
        reached = to
        if to < rows:
            break
        size = max(keep, survivors(prompts, rows, start)) if candidate_race.halve and rows >= start else None
        going, dropped = _cut(going, rows, candidate_race, size)
        gone += dropped
        if len(going) <= keep and (candidate_race.halve or len(going) == 1):
            break
    return _ranked(going, gone, candidate_race)


def survivors(prompts: int, rows: int, start: float) -> int:
    """How many prompts go on after so many rows, when they are halved first at `start` rows."""
    if rows < start:
        return prompts
    share = 0.7 if rows < 2 * start else 0.3 if rows < 4 * start else start / (2 * rows)
    return math.ceil(prompts * share)


def _first_cut(prompts: int, at: Sequence[int], calls: int | None) -> float:
    """Rows at which the prompts are halved first: an eighth of all, or fewer where the calls pay fewer."""
    starts = [at[-1] / 8, *(float(rows) for rows in reversed(at) if rows < at[-1] / 8)]
    for start in starts:
        paid, before, going = 0, 0, prompts
        for rows in at:
            paid, before = paid + going * (rows - before), rows
            going = survivors(prompts, rows, start)
            if going <= 1:
                break
        if calls is None or paid <= calls:
            return start
    return starts[-1]


def _within(going: Sequence[Contender], reached: int, rows: int, candidate_race: CandidateRace, left: int) -> int:
    """The rows up to which the calls that are left pay for all contenders: the next look, or fewer."""
    while rows > reached and candidate_race.price(going, rows) > left:
        rows = max(reached, rows - max(1, (candidate_race.price(going, rows) - left) // len(going)))
    return rows


def _affordable(
    going: list[Contender], rows: int, candidate_race: CandidateRace, left: int, keep: int
) -> tuple[list[Contender], list[Contender]]:
    """As many of the best contenders as the calls that are left take to the next look, and the others."""
    order = _order(going, candidate_race.rules)
    for place in range(max(2, keep + 1), len(order)):
        if candidate_race.price(order[: place + 1], rows) > left:
            return order[:place], order[place:][::-1]
    return going, []


def _cut(
    going: list[Contender], rows: int, candidate_race: CandidateRace, size: int | None
) -> tuple[list[Contender], list[tuple[Contender, str]]]:
    """The contenders that go on (the best `size` prompts at most), and those that are dropped, the worst first."""
    order = _order(going, candidate_race.rules)
    drop_worse([contender.entry for contender in order], order[0].entry, candidate_race.rules, rows, len(going))
    worse = [contender for contender in order if contender.entry.drop is not None]
    live = [contender for contender in order if contender.entry.drop is None]
    firsts = {_unbiased(contender): contender for contender in live[::-1]} if size is not None else {}
    twins = [contender for contender in live if firsts.get(_unbiased(contender), contender) is not contender]
    live = [contender for contender in live if contender not in twins]
    half = live[size:] if size is not None else []
    reasons = (("shown worse", worse), ("other biases lead", twins), ("halved", half))
    return [contender for contender in live if contender not in half], [
        (contender, why) for why, out in reasons for contender in out[::-1]
    ]


def _unbiased(contender: Contender) -> str:
    """What candidates have in common that differ in their labels' biases only."""
    candidate = contender.entry.candidate
    return replace(candidate, decoding=replace(candidate.decoding, bias=())).id


def _order(contenders: Sequence[Contender], rules: Rules) -> list[Contender]:
    """Contenders with equal rows, best first: one of each prompt, then those that differ from it in biases only.

    Among the biases of one prompt those within one standard error of the best are a tie, which the loss breaks. Between
    prompts the loss says less, as some are surer of themselves than others; it breaks exact ties only.
    """
    values = {contender: rules.value(contender.entry, contender.entry.rows) for contender in contenders}
    groups: dict[str, list[Contender]] = {}
    for contender in contenders:
        groups.setdefault(_unbiased(contender), []).append(contender)
    firsts, twins = list[Contender](), list[Contender]()
    for group in groups.values():
        first = _first(group, values, rules)
        firsts.append(first)
        twins += [contender for contender in group if contender is not first]

    def merit(contender: Contender) -> tuple[float, float]:
        return -values[contender], contender.loss

    return [*sorted(firsts, key=merit), *sorted(twins, key=merit)]


def _first(group: Sequence[Contender], values: Mapping[Contender, float], rules: Rules) -> Contender:
    """The best contender among those of one prompt."""
    best = min(group, key=lambda contender: -values[contender])
    if len(group) == 1 or not all(contender.losses for contender in group):
        return best
    rows = {contender: rules.row_values(contender.entry, contender.entry.rows) for contender in group}
    level = [contender for contender in group if tied(values[best] - values[contender], rows[best], rows[contender])]
    return min(level, key=lambda contender: contender.loss)


def _ranked(
    going: Sequence[Contender], gone: Sequence[tuple[Contender, str]], candidate_race: CandidateRace
) -> list[RaceResult]:
    """Results from the best to the worst. A block that the budget cut short is left out."""
    rows = min((contender.entry.rows for contender in going), default=0)
    for contender in going:
        del contender.entry.scores[rows:], contender.entry.records[rows:], contender.losses[rows:]
    left = [(contender, "") for contender in (_order(going, candidate_race.rules) if rows else [])]
    return [
        _race_result(contender, why, candidate_race)
        for contender, why in (*left, *reversed(gone))
        if contender.entry.rows
    ]


def _race_result(contender: Contender, why: str, candidate_race: CandidateRace) -> RaceResult:
    entry = contender.entry
    value = candidate_race.rules.value(entry, entry.rows)
    values = tuple(float(x) for x in candidate_race.rules.row_values(entry, entry.rows))
    return RaceResult(entry.candidate, value, values, tuple(r.text for r in entry.records), why)
