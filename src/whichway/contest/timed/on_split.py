"""A contest against the clock on the task's one split: ways first, then their further settings and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whichway.contest.ledger import RunLedger
from whichway.contest.rounds import Crossed
from whichway.contest.selection.race import Entry
from whichway.contest.selection.select import WayRun, rules_of, write_way, zero_shot_of
from whichway.contest.timed.piece import TimedWay, WayPiece, floor_name, timed_way, work
from whichway.contest.timed.purchases import Purchase, WayCosts
from whichway.events import WayRefused, WayTested
from whichway.nouns import Task, split_name


@dataclass(slots=True)
class SplitWay:
    """A way, how many of its seeds stand, and what came out."""

    timed: TimedWay
    seeds: int = 0
    run: WayRun | None = None
    crossed: Crossed = field(default_factory=list)


class SplitContest:
    """The contest on one split, as far as it was bought.

    Args:
        task: rows in three splits.
        ledger: of the run.
        costs: of each way.
    """

    def __init__(self, task: Task, ledger: RunLedger, costs: Mapping[str, WayCosts]) -> None:
        self._task, self._ledger, self._costs = task, ledger, costs
        self._practice = task.train_dev_view()
        self.ways: dict[str, SplitWay] = {
            name: SplitWay(timed_way(name, ledger)) for name in ledger.settings.ways
        }  # in the order of the settings
        self.folds = 0

    @property
    def tried(self) -> list[WayRun]:
        """The ways that stand."""
        return [one.run for one in self.ways.values() if one.run is not None]

    @property
    def crossed(self) -> list[Crossed]:
        """Their answers to test rows, in the same order, where curves or a judge need them."""
        return [one.crossed for one in self.ways.values() if one.run is not None]

    @property
    def live(self) -> list[str]:
        """Ways that did not fail, or have further settings to try."""
        return [name for name, one in self.ways.items() if not (one.run and one.run.reason and one.timed.closed)]

    @property
    def rows(self) -> int:
        """Test rows of a piece."""
        return len(self._task.test)

    def purchases(self) -> list[Purchase]:
        """What can be bought now."""
        offers: list[Purchase] = []
        for name, one in self.ways.items():
            kind, costs = one.timed.way.KIND, self._costs[name]
            if one.timed.closed:
                continue
            if one.run is None:
                if not self._waits(one.timed):
                    offers.append(Purchase("way", name, kind, costs.first, one.timed.last))
                continue
            if one.timed.searches and not one.timed.searched:
                offers.append(Purchase("search", name, kind, one.seeds * costs.search))
            if one.timed.way.RANDOM and not one.run.reason and one.seeds < len(self._ledger.settings.seeds):
                offers.append(Purchase("seed", name, kind, costs.more))
        return offers

    def outstanding(self) -> list[Purchase]:
        """All that is not bought yet, in pieces; what others must wait for included."""
        offers: list[Purchase] = []
        seeds = len(self._ledger.settings.seeds)
        for name, one in self.ways.items():
            kind, costs, random = one.timed.way.KIND, self._costs[name], one.timed.way.RANDOM
            if one.timed.closed:
                continue
            if one.run is None:
                offers.append(Purchase("way", name, kind, costs.first))
            if one.timed.searches and not one.timed.searched:
                offers.append(Purchase("search", name, kind, max(1, one.seeds) * costs.search))
            offers += [Purchase("seed", name, kind, costs.more)] * (seeds - max(1, one.seeds) if random else 0)
        return offers

    def make(self, purchase: Purchase) -> None:
        """Buy it; what stood before stands until it is whole."""
        one = self.ways[purchase.way]
        seeds = one.seeds + (purchase.what in ("way", "seed"))
        searched = one.timed.searched or purchase.what == "search" or not one.timed.searches
        piece = WayPiece(
            self._practice,
            self._task.test,
            searched,
            self._ledger.settings.seeds[:seeds],
            floor=self._floor(one.timed) if one.timed.gated else None,
            others=self.tried,
        )
        run, crossed = work(one.timed, piece, self._ledger)
        if run.reason and one.run is not None and not one.run.reason:  # what it had stands
            run.bench.say(f"goes no further: {run.reason}")
            one.timed.closed = True
            return
        one.seeds, one.timed.searched, one.run = seeds, searched, run
        one.crossed = crossed if self._ledger.settings.curve or self._task.judge else []  # else in their file only
        one.timed.closed = bool(run.reason) and searched
        run.fit = one.timed.fit
        write_way(run, self._ledger)
        if run.reason:
            self._ledger.tell(WayRefused(run.name, run.reason))
        self._ledger.tell(WayTested(run.name, len(crossed)))

    def write(self) -> None:
        """Write what the ways left."""
        for run in self.tried:
            write_way(run, self._ledger)

    def _waits(self, timed: TimedWay) -> bool:
        floor = self.ways.get(floor_name(timed.name))
        return timed.gated and floor is not None and floor.run is None

    def _floor(self, timed: TimedWay) -> Entry | None:
        return zero_shot_of(self.tried, rules_of(self._practice, self._ledger), split_name(timed.name)[1])
