"""The books of a run: what each way spent at list price, what was really paid and by whom, and every record once.

A hit in the cache charges the purse its list price all the same: were hits free, a rerun would get further on the same
budget and could give another verdict. *Paid* is a column of the ledger, nothing else; each answer and each checkpoint
is paid for once, by the way that came to it first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichway.contest.cache import Cache
from whichway.contest.plan import House, Settings
from whichway.contracts import Listener
from whichway.errors import BudgetSpent
from whichway.events import Event
from whichway.nouns import Budget, Record
from whichway.runs.folder import Lines, record_key


@dataclass(slots=True)
class Purse:
    """What one way has spent, at list price."""

    seconds: float = 0.0
    usd: float = 0.0
    calls: int = 0

    def add(self, seconds: float, usd: float, calls: int = 0) -> None:
        """Charge."""
        self.seconds += seconds
        self.usd += usd
        self.calls += calls

    def check(self, budget: Budget, who: str) -> None:
        """Refuse to go on when a limit is reached.

        Raises:
            BudgetSpent: it is.
        """
        for name in ("usd", "seconds", "calls"):
            limit, spent = getattr(budget, name), getattr(self, name)
            if limit is not None and spent >= limit:
                raise BudgetSpent(f"the purse of {who} is empty: {spent:.4g} of {limit:g} {name} spent")


@dataclass(frozen=True, slots=True)
class Bought:
    """One thing with a price: an answer, a checkpoint, a training that failed."""

    key: str
    seconds: float  # list
    payer: str  # the run that paid; "" for none yet, which is this very process


@dataclass(frozen=True, slots=True)
class Failure:
    """A training that failed in this run: after how many checkpoints, at what price, and why."""

    checkpoint: int
    seconds: float
    reason: str


@dataclass(slots=True)
class Till:
    """What all ways of a run share: the books, the cache, and how much was really paid by this process."""

    folder: Path
    house: House
    settings: Settings
    cache: Cache
    payer: str
    records: Lines
    ledger: Lines
    listener: Listener
    written: dict[tuple[str, str, str, int], Record] = field(default_factory=dict)
    booked: set[str] = field(default_factory=set)
    failures: dict[str, Failure] = field(default_factory=dict)  # training key -> what happened to it in this run
    paid: set[str] = field(default_factory=set)  # answers and checkpoints whose payment stands in the ledger
    paid_seconds: float = 0.0
    paid_usd: float = 0.0

    @property
    def usd_per_second(self) -> float:
        """The price of this machine."""
        return self.settings.price_per_hour / 3600

    def read_ledger(self) -> None:
        """Take up what an earlier start of this run booked."""
        for line in self.ledger.read():
            self.booked.add(line["key"])
            if "reason" in line:
                name = line["key"].rpartition("/")[0]
                self.failures[name] = Failure(line["checkpoint"], line["seconds"], line["reason"])

    def book(
        self, who: str, what: str, key: str, things: Iterable[Bought], calls: int = 0, **facts: Any
    ) -> tuple[float, float]:
        """A line of the ledger, once per key.

        Things that were paid for under an earlier line of this run cost nothing more, whoever wants them now.

        Returns:
            list seconds and list usd.
        """
        seconds = paid = 0.0
        for thing in things:
            seconds += thing.seconds
            if thing.key not in self.paid:
                self.paid.add(thing.key)
                paid += thing.seconds if thing.payer in ("", self.payer) else 0.0
                self.paid_seconds += thing.seconds if thing.payer == "" else 0.0
                self.paid_usd += thing.seconds * self.usd_per_second if thing.payer == "" else 0.0
        usd = seconds * self.usd_per_second
        if key not in self.booked:
            self.booked.add(key)
            line = {"who": who, "what": what, "key": key, "calls": calls, "seconds": seconds, "usd": usd}
            self.ledger.append([{**line, "paid_seconds": paid, "paid_usd": paid * self.usd_per_second, **facts}])
        return seconds, usd

    def write_records(self, records: Sequence[Record]) -> None:
        """Append those not written before."""
        new = []
        for record in records:
            if record_key(record) not in self.written:
                self.written[record_key(record)] = record
                new.append(record)
        self.records.append(new)

    def tell(self, event: Event) -> None:
        """Let the listener know."""
        self.listener(event)
