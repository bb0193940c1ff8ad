"""A contest against the clock in folds: every way in the first fold, then fold by fold; whole folds count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from whichway.contest.cross_fit import FoldedWay, lost
from whichway.contest.ledger import RunLedger
from whichway.contest.rounds import Crossed
from whichway.contest.selection.fold_race import LOOK
from whichway.contest.selection.select import WayRun, write_way
from whichway.contest.timed.piece import TimedWay, WayPiece, floor_name, timed_way, work
from whichway.contest.timed.purchases import Purchase, WayCosts
from whichway.events import WayRefused, WayTested
from whichway.nouns import Task
from whichway.tasks.folds import practice


@dataclass(slots=True)
class FoldsWay:
    """A way and its part in each fold that counts."""

    timed: TimedWay
    parts: list[WayRun] = field(default_factory=list)
    reason: str = ""  # why it is not tried any more


class FoldsContest:
    """The contest in folds, as far as it was bought. Folds take the place of seeds.

    Args:
        task: with folds.
        ledger: of the run.
        costs: of each way in one fold.
    """

    def __init__(self, task: Task, ledger: RunLedger, costs: Mapping[str, WayCosts]) -> None:
        self._task, self._ledger, self._costs = task, ledger, costs
        self.ways: dict[str, FoldsWay] = {name: FoldsWay(timed_way(name, ledger)) for name in ledger.settings.ways}
        self.folds = 0  # that count

    @property
    def tried(self) -> list[WayRun]:
        """The ways that stand, all folds of each as one."""
        return [self._whole(one) for one in self.ways.values() if one.parts]

    @property
    def crossed(self) -> list[Crossed]:
        """Nothing: what needs the answers of one split is not done in folds."""
        return []

    @property
    def live(self) -> list[str]:
        """Ways that did not fail."""
        return [name for name, one in self.ways.items() if not one.reason]

    @property
    def rows(self) -> int:
        """Test rows of the folds that count, or of the first."""
        return sum(len(fold) for fold in self._task.folds[: max(1, self.folds)])

    def purchases(self) -> list[Purchase]:
        """What can be bought now."""
        offers: list[Purchase] = []
        measured = [name for name in self.live if self.ways[name].parts]
        for name in self.live:
            one, costs = self.ways[name], self._costs[name]
            kind = one.timed.way.KIND
            if not one.parts:
                if not self._waits(one.timed):
                    seconds = costs.first + costs.more * (max(1, self.folds) - 1)
                    offers.append(Purchase("way", name, kind, seconds, one.timed.last))
            elif one.timed.searches and not one.timed.searched and not one.timed.closed:
                offers.append(Purchase("search", name, kind, self.folds * costs.search))
        if measured and self.folds < len(self._task.folds):
            offers.append(Purchase("fold", "", "", sum(self._costs[name].more for name in measured)))
        return offers

    def outstanding(self) -> list[Purchase]:
        """All that is not bought yet, in pieces; what others must wait for included."""
        offers: list[Purchase] = []
        folds = max(1, self.folds)
        for name in self.live:
            one, costs = self.ways[name], self._costs[name]
            kind = one.timed.way.KIND
            if not one.parts:
                offers.append(Purchase("way", name, kind, costs.first + costs.more * (folds - 1)))
            if one.timed.searches and not one.timed.searched and not one.timed.closed:
                offers.append(Purchase("search", name, kind, folds * costs.search))
        each = sum(self._costs[name].more for name in self.live)
        return offers + [Purchase("fold", "", "", each)] * (len(self._task.folds) - folds)

    def make(self, purchase: Purchase) -> None:
        """Buy it; what stood before stands until it is whole."""
        if purchase.what == "fold":
            self._next_fold()
        else:
            self._way(self.ways[purchase.way], purchase.what == "search")
        if self.folds >= LOOK:
            self._look()
        self.write()

    def write(self) -> None:
        """Write what the ways left in the folds that count."""
        for one in self.tried:
            write_way(one, self._ledger)

    def _way(self, one: FoldsWay, search: bool) -> None:
        """A way in all folds that count, anew or for the first time."""
        searched = search or one.timed.searched or not one.timed.searches
        parts: list[WayRun] = []
        for fold in range(max(1, self.folds)):
            others = [other.parts[fold] for other in self.ways.values() if len(other.parts) > fold]
            parts.append(self._part(one.timed, fold, searched, others))
            if parts[-1].reason:
                break
        reason = parts[-1].reason
        if reason and search:  # what it had stands
            parts[-1].bench.say(f"goes no further: {reason}")
            one.timed.closed = True
            return
        one.parts, one.timed.searched = parts, searched
        if reason:
            self._refuse(one, self._failed(reason, len(parts) - 1))
        self.folds = max(1, self.folds)
        self._ledger.tell(WayTested(one.timed.name, len(parts)))

    def _next_fold(self) -> None:
        """One more fold for all ways that are in, the shortest first."""
        names = [name for name in self.live if self.ways[name].parts]
        parts: dict[str, WayRun] = {}
        for name in sorted(names, key=lambda name: (self.ways[name].timed.last, self._costs[name].more)):
            timed = self.ways[name].timed
            parts[name] = self._part(timed, self.folds, timed.searched or not timed.searches, list(parts.values()))
        for name, part in parts.items():
            self.ways[name].parts.append(part)
            if part.reason:
                self._refuse(self.ways[name], self._failed(part.reason, self.folds))
        self.folds += 1

    def _part(self, timed: TimedWay, fold: int, searched: bool, others: Sequence[WayRun]) -> WayRun:
        count = len(self._task.folds)
        share = max(fold + 1, self.folds) / (count + 1)
        note = f"fold {fold + 1} of {count}: "
        seen, test = practice(self._task, fold), self._task.folds[fold]
        piece = WayPiece(seen, test, searched, None, fold, share, note, others=others)
        run, _ = work(timed, piece, self._ledger)
        return run

    def _failed(self, reason: str, fold: int) -> str:
        return f"in fold {fold + 1} of {len(self._task.folds)}: {reason}"

    def _look(self) -> None:
        """Ways that fail the sanity gate, or are shown worse than one of their kind, on dev rows so far."""
        ways = {
            name: FoldedWay(name, list(one.parts), one.reason)
            for name, one in self.ways.items()
            if one.parts and len(one.parts) == self.folds
        }
        for name, reason in lost(self._task, ways, self._ledger, self.folds).items():
            self._refuse(self.ways[name], reason)

    def _refuse(self, one: FoldsWay, reason: str) -> None:
        one.reason, one.timed.closed = reason, True
        self._ledger.tell(WayRefused(one.timed.name, reason))

    def _whole(self, one: FoldsWay) -> WayRun:
        whole = FoldedWay(one.timed.name, list(one.parts), one.reason).whole()
        whole.fit = one.timed.fit
        return whole

    def _waits(self, timed: TimedWay) -> bool:
        floor = self.ways.get(floor_name(timed.name))
        return timed.gated and floor is not None and not floor.parts and not floor.reason
