"""Holding a contest against the clock: buy, decide, write; end with the clock or with Ctrl-C, and go on another time.

What stands is written after each purchase: the ways' files, `clock.json` and the verdict. Whatever ends a start loses
no more than the purchase in progress, and of that only what was not answered or trained yet. The next start makes the
same purchases again from the cache, in the same order, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from whichway.contest.ledger import RunLedger
from whichway.contest.rounds import announce_training
from whichway.contest.timed.on_folds import FoldsContest
from whichway.contest.timed.on_split import SplitContest
from whichway.contest.timed.purchases import Market, Purchase, WayCosts, choose
from whichway.errors import ClockEnded
from whichway.events import PurchaseBegan, StandingsChanged
from whichway.nouns import Task, Verdict, split_name
from whichway.runs.folder import read_clock, write_clock

PAID = 0.5  # share of a purchase's seconds that were really paid, from which on it says how fast this machine is
LONG = 1.0  # seconds of such a purchase at least
TRUST = 20.0  # seconds of estimates that are believed to be right before anything has shown how fast this machine is


@dataclass(slots=True)
class Held:
    """A contest against the clock, as far as it went.

    Attributes:
        contest: its ways.
        finished: whether everything was bought.
        interrupted: whether Ctrl-C ended it, and not the clock.
    """

    contest: SplitContest | FoldsContest
    finished: bool = False
    interrupted: bool = False


@dataclass(slots=True)
class Start:
    """One start of the contest.

    Args:
        task: rows in three splits, or with folds.
        ledger: of the run; its clock is the one that counts.
        costs: seconds that the ways take.
        decide: gives the verdict from the files and writes it.
        after: what is measured once nothing more can be bought: forgetting, learning curves, what ships.
    """

    task: Task
    ledger: RunLedger
    costs: Mapping[str, WayCosts]
    decide: Callable[[], Verdict]
    after: Callable[[SplitContest | FoldsContest], None]
    bought: list[list[str]] = field(default_factory=list)
    used: float = 0.0  # seconds of earlier starts
    estimated: float = 0.0  # seconds of purchases that say how fast this machine is
    actual: float = 0.0

    def hold(self) -> Held:
        """Make the earlier purchases again, then buy until the clock or the user ends it."""
        kind = FoldsContest if self.task.folds else SplitContest
        contest: SplitContest | FoldsContest = kind(self.task, self.ledger, self.costs)
        held, known = Held(contest), read_clock(self.ledger.folder)
        self.used = float(known.get("seconds", 0.0))
        if self.ledger.clock.seconds is not None:
            self.ledger.clock.seconds -= self.used
        try:
            self._again(contest, known.get("bought", ()))
            if not known:  # whatever ends this start, even the first purchase, the folder says what is missing
                self._write(contest)
            with self.ledger.clock.working():
                held.finished = self._buy(contest)
                self.after(contest)
        except KeyboardInterrupt as stop:
            held.interrupted = not isinstance(stop, ClockEnded)
            if held.interrupted and not self.bought:
                raise
            contest.write()  # in case it was ended between two files
        self._write(contest)
        return held

    def _again(self, contest: SplitContest | FoldsContest, bought: Any) -> None:
        for what, way in bought:
            purchase = next((p for p in contest.purchases() if (p.what, p.way) == (what, way)), None)
            if purchase is None:  # a way that failed then may be worked on now
                continue
            contest.make(purchase)
            self.bought.append([what, way])

    def _buy(self, contest: SplitContest | FoldsContest) -> bool:
        """Buy until nothing fits; returns whether everything was bought."""
        verdict = self.decide() if self.bought else None
        if any(split_name(name)[0].startswith(("tune_", "both_")) for name in self.ledger.settings.ways):
            announce_training(self.ledger)
        while True:
            purchases, left = contest.purchases(), self.ledger.clock.left
            purchase = choose(purchases, self._market(contest), verdict, left, self.pace)
            if purchase is None:
                return not purchases
            self.ledger.tell(PurchaseBegan(purchase.what, purchase.way, self.pace * purchase.seconds, left))
            before = (self.ledger.clock.spent, self.ledger.paid_seconds)
            contest.make(purchase)
            self._learn(purchase, self.ledger.clock.spent - before[0], self.ledger.paid_seconds - before[1])
            self.bought.append([purchase.what, purchase.way])
            self._write(contest)
            verdict = self.decide()
            self.ledger.tell(StandingsChanged(verdict, self.ledger.clock.left))

    @property
    def pace(self) -> float:
        """Actual seconds for each estimated one, as far as this start knows."""
        return (self.actual + TRUST) / (self.estimated + TRUST)

    def _learn(self, purchase: Purchase, seconds: float, paid: float) -> None:
        if purchase.seconds >= LONG and paid >= PAID * min(seconds, purchase.seconds):
            self.estimated += purchase.seconds
            self.actual += seconds

    def _market(self, contest: SplitContest | FoldsContest) -> Market:
        kinds = {name: contest.ways[name].timed.way.KIND for name in contest.live}
        random = frozenset(name for name in contest.live if contest.ways[name].timed.way.RANDOM)
        return Market(kinds, random, contest.rows, contest.folds, self.ledger.settings.confidence)

    def _write(self, contest: SplitContest | FoldsContest) -> None:
        missing = [
            {"what": p.what, "way": p.way, "kind": p.kind, "seconds": round(self.pace * p.seconds, 3)}
            for p in contest.outstanding()
        ]
        write_clock(
            self.ledger.folder,
            {
                "seconds": round(self.used + self.ledger.clock.spent, 3),
                "folds": contest.folds,
                "bought": self.bought,
                "missing": missing,
            },
        )
