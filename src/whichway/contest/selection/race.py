"""Racing: all live candidates of all ways answer the same shuffled blocks of dev rows; one that cannot win stops early.

A dev row is answered only while it can still decide something. The race looks at n/2^k rows, ..., n/4, n/2 and n (the
first look has at least `FIRST_LOOK` rows), and after each look but the last

1. drops a candidate that is *shown worse* than the leader of the race: the confidence sequence on its paired
   differences lies below −δ. The sequence is valid at every look (Waudby-Smith et al. 2024, arXiv 2103.06476; see
   `verdict.sequential`); α is split over the rivals that the best candidate may meet, so that with probability 1 − α
   the best of all is never dropped like this, whatever the number of looks;
2. *halves* each group (the candidates of one way and seed, one of which goes on to test) at n/4 and n/2, as successive
   halving does (Jamieson & Talwalkar 2016, arXiv 1502.07943): the better half goes on. This claims nothing about the
   others; it saves rows where candidates are too alike for step 1;
3. lets a group rest whose finalist is settled: one candidate left. Finalists of several seeds of a way go on, as one of
   them will be shipped; so does the leader, whom the others are compared with.

Of the checkpoints of one training the latest goes on, or is kept, whose value is within a standard error (over rows,
of the paired difference) of the best one's: at rates that suit, later checkpoints are better in the mean, as the rate
falls to nothing at the end, and a hundred dev rows seldom see it (`dev/LOG.md`).

What racing cannot do is to silence a way: each group keeps a finalist, its last one standing, and every finalist
crosses the whole test split. The verdict is made there, on full and equal rows, as without racing; racing decides only
which candidate of a way gets there and how many dev rows were spent on it.

Test rows are not raced: the break-even, the slices and the page of rows need all ways on the same rows, and intervals
after a stop that the scores chose would have to be wider than those that the report shows.

A metric that is no mean over rows (macro-F1) has no sequence, so step 1 is left out; the standard errors of checkpoints
are then those of the jackknife.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from whichway.contest.selection.successive_halving import latest
from whichway.nouns import Candidate, Example, Record, digest
from whichway.verdict.sequential import paired_sequence
from whichway.verdict.stats import FloatArray

FIRST_LOOK = 24  # rows; fewer say too little for an asymptotic sequence, and to cut a group in half
HALVINGS = 2  # at a quarter and at half of the rows

Why = Literal["shown worse", "halved"]
Values = Sequence[float] | FloatArray


class OutOfBudget(Exception):
    """No candidate of this way gets more rows: its budget is spent, or it failed."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a candidate got no more rows."""

    why: Why
    rows: int
    leader: str  # id of the candidate it was compared with
    low: float | None  # ends of the confidence sequence, candidate minus leader; None where there is none
    high: float | None


@dataclass(slots=True, eq=False)
class Entry:
    """A candidate in the race, with its scores in the order of the race."""

    candidate: Candidate
    training: str = ""  # of which, under which prompt and decoding, it is a checkpoint; "" when it is none
    step: int = 0  # of that training
    scores: MutableSequence[float] = field(default_factory=list)  # an answer that could not be read counts 0
    records: list[Record] = field(default_factory=list)  # none any more, once it was released
    released: tuple[tuple[str, ...], Sequence[float]] = ((), ())  # row and price of each record, once they are gone
    drop: Drop | None = None
    paused: bool = False  # no more rows, though not dropped: settled, or its way's budget is spent

    @property
    def group(self) -> tuple[str, int]:
        """Way and seed: of each such group one candidate goes on to test."""
        return self.candidate.way, self.candidate.seed

    @property
    def rows(self) -> int:
        """How many rows are answered so far."""
        return len(self.scores)

    @property
    def usd(self) -> Sequence[float]:
        """What each of its answers cost."""
        return [record.usd for record in self.records] or self.released[1]

    @property
    def examples(self) -> Sequence[str]:
        """The rows that it answered."""
        return [record.example for record in self.records] or self.released[0]

    def release(self, whole: bool) -> None:
        """Let its records go, which are in their file: after the race there may be many.

        Args:
            whole: False: keep the row and the price of each. Scores are kept all the same.
        """
        if not whole:
            self.released = tuple(map(sys.intern, self.examples)), array("d", self.usd)
        self.scores, self.records = array("d", self.scores), []

    @property
    def going(self) -> bool:
        """Whether it gets more rows."""
        return self.drop is None and not self.paused


def mean(entry: Entry, rows: int) -> float:
    """The value of an entry on its first rows, for metrics that are means."""
    return float(np.mean(entry.scores[:rows])) if rows else 0.0


def scores(entry: Entry, rows: int) -> Sequence[float]:
    """What each of the first rows adds to an entry's value, for metrics that are means."""
    return entry.scores[:rows]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is fixed before the race."""

    looks: tuple[int, ...]  # rows, ascending; the last is all of them
    margin: float
    alpha: float  # for the whole race
    value: Callable[[Entry, int], float] = mean
    sequence: bool = True  # whether the metric is a mean over rows
    groups: tuple[str, ...] | None = None  # cluster of each row, in the order of the race
    row_values: Callable[[Entry, int], Values] = scores  # whose paired differences have the standard error of the value
    lowest: float = 0.0  # the worst value of the metric
    plain: bool = False  # whether its values are written as plain numbers, not in percent


@dataclass(frozen=True, slots=True)
class Look:
    """The result of one interim look."""

    rows: int
    entries: int  # in the race before it
    dropped: tuple[Entry, ...]
    going: int  # after it


def shuffled(rows: Sequence[Example]) -> list[Example]:
    """The order of the race: by a hash of content, clusters in one piece; it has nothing to do with any candidate."""
    return sorted(rows, key=lambda e: (digest(["race", e.group or e.id]), digest(["race", e.id])))


def looks(rows: Sequence[Example] | int, racing: bool = True) -> tuple[int, ...]:
    """Rows at each look: halves of halves of all rows, moved up to the end of a cluster.

    Args:
        rows: in the order of the race, or their number.
        racing: False for one look at all of them.
    """
    n = rows if isinstance(rows, int) else len(rows)
    ends = [n]
    while racing and math.ceil(ends[-1] / 2) >= FIRST_LOOK:
        ends.append(math.ceil(ends[-1] / 2))
    cluster_ends = ends if isinstance(rows, int) else [_whole(rows, end) for end in ends]
    return tuple(sorted(set(cluster_ends)))


def _whole(rows: Sequence[Example], end: int) -> int:
    """The end of the cluster that row `end` − 1 is in."""
    while end < len(rows) and rows[end].group and rows[end].group == rows[end - 1].group:
        end += 1
    return end


def race(
    entries: Sequence[Entry], rules: Rules, answer: Callable[[Entry, int], None], tell: Callable[[Look], None]
) -> int:
    """Race entries; afterwards each holds its scores and, when it was dropped, why.

    Args:
        entries: in the order in which they were made; the earlier is the better when equal, but for checkpoints.
        rules: of the race.
        answer: `answer(entry, rows)` gives an entry its scores up to `rows` rows; Stop: its way gets no more rows.
        tell: hears of every look.

    Returns:
        The number of looks that were taken.
    """
    for taken, rows in enumerate(rules.looks, start=1):
        field_ = [e for e in entries if e.going]
        for entry in field_:
            if entry.going:  # its way's budget may have ended with the one before
                _answer(entry, rows, answer, entries)
        going = [e for e in field_ if e.going]
        if rows == rules.looks[-1] or not going:
            tell(Look(rows, len(field_), (), 0))
            return taken
        leader = best(going, rules, rows)
        drop_worse(going, leader, rules, rows, len(entries))
        if rows in rules.looks[-1 - HALVINGS :]:
            halve(going, rules, rows)
            if leader.drop:  # a later checkpoint of its training goes on in its place
                leader = best([e for e in going if e.going and e.group == leader.group], rules, rows)
            pause_settled(entries, leader)
        tell(Look(rows, len(field_), tuple(e for e in going if e.drop), sum(e.going for e in entries)))
        if not any(e.going for e in entries):
            return taken
    return len(rules.looks)


def _answer(entry: Entry, rows: int, answer: Callable[[Entry, int], None], entries: Sequence[Entry]) -> None:
    try:
        answer(entry, rows)
    except OutOfBudget:
        for other in entries:
            other.paused |= other.candidate.way == entry.candidate.way


def best(entries: Sequence[Entry], rules: Rules, rows: int) -> Entry:
    """The entry with the best value on the first rows; the earlier when equal."""
    return max(entries, key=lambda e: rules.value(e, rows))


def pick(entries: Sequence[Entry], rules: Rules, rows: int) -> Entry:
    """The best entry, or the latest checkpoint of its training that is within a standard error of it."""
    first = best(entries, rules, rows)
    if not first.training:
        return first
    own = sorted((e for e in entries if e.training == first.training), key=lambda e: e.step)
    return own[latest([rules.value(e, rows) for e in own], [rules.row_values(e, rows) for e in own])]


def drop_worse(going: Sequence[Entry], leader: Entry, rules: Rules, rows: int, entries: int) -> None:
    """Drop those whose sequence against the leader lies below −margin.

    The best candidate of all is dropped only when one of its `entries − 1` rivals is shown better. Only this end of a
    sequence is used, so at level 2α/(entries − 1) each pair is wrong with probability α/(entries − 1), all with α.
    """
    if not rules.sequence or entries < 2:
        return
    level = min(0.5, 2 * rules.alpha / (entries - 1))
    groups = rules.groups[:rows] if rules.groups else None
    for entry in going:
        if entry is leader:
            continue
        low, high = paired_sequence(np.subtract(entry.scores, leader.scores), level, groups)
        if high < -rules.margin:
            entry.drop = Drop("shown worse", rows, leader.candidate.id, low, high)


def halve(going: Sequence[Entry], rules: Rules, rows: int) -> None:
    """Let the better half of each group go on, rounded up."""
    for group in dict.fromkeys(e.group for e in going):
        left = [e for e in going if e.group == group and e.going]
        chosen = []
        for _ in range(math.ceil(len(left) / 2)):
            chosen.append(pick(left, rules, rows))
            left.remove(chosen[-1])
        for entry in left:
            entry.drop = Drop("halved", rows, chosen[0].candidate.id, None, None)


def pause_settled(entries: Sequence[Entry], leader: Entry) -> None:
    """Pause settled groups: one live candidate, of a way with one seed, that does not lead those still racing."""
    seeds: dict[str, set[int]] = {}
    for entry in entries:
        seeds.setdefault(entry.candidate.way, set()).add(entry.candidate.seed)
    live = [e.group for e in entries if e.going]
    for entry in entries:
        settled = live.count(entry.group) == 1 and len(seeds[entry.candidate.way]) == 1
        if entry.going and settled and entry is not leader:
            entry.paused = True
    if [e for e in entries if e.going] == [leader] and len(seeds[leader.candidate.way]) == 1:
        leader.paused = live.count(leader.group) == 1


def finalist(group: Sequence[Entry], rules: Rules) -> Entry:
    """The last candidate left of a group; among several, the one picked on the rows that all of them answered."""
    live = [e for e in group if e.drop is None] or [e for e in group if e.rows == max(g.rows for g in group)]
    return pick(live, rules, min(e.rows for e in live))
