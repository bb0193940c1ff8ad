"""The books of a run: what each way spent at list price, what was really paid and by whom, and every record once.

A hit in the cache charges the budget its list price all the same: were hits free, a rerun would get further on the same
budget and could give another verdict. *Paid* is a column of the ledger, nothing else; each answer and each checkpoint
is paid for once, by the way that came to it first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from whichway.contest.cache import Cache
from whichway.contest.clock import Clock
from whichway.contest.plan import Components, Settings
from whichway.contest.rates import Pricing
from whichway.contracts import Listener
from whichway.errors import BudgetSpent
from whichway.events import Event
from whichway.nouns import Budget, Example, Record, Reply, Weights
from whichway.runs.folder import Lines
from whichway.runs.key_index import KeyIndex, KeySet
from whichway.runs.records import WrittenRecords

SHARED = "shared"  # who paid for a row that was read for another way before: that way's own line holds it
LOST = "lost"  # what the ledger says of a call that may have been billed and gave no answer


@dataclass(slots=True)
class SpendMeter:
    """What one way has spent, at list price."""

    seconds: float = 0.0
    usd: float = 0.0
    calls: int = 0
    wall: float | None = None  # seconds by the clock, where some were counted work

    def add(self, seconds: float, usd: float, calls: int = 0, wall: float | None = None) -> None:
        """Add seconds, dollars and calls to what is spent, and the seconds by the clock where they are others."""
        if wall is not None or self.wall is not None:
            self.wall = (self.seconds if self.wall is None else self.wall) + (seconds if wall is None else wall)
        self.seconds += seconds
        self.usd += usd
        self.calls += calls

    def check(self, budget: Budget, account: str) -> None:
        """Refuse to go on when a limit is reached.

        Raises:
            BudgetSpent: it is.
        """
        for name in ("usd", "seconds", "calls"):
            limit, spent = getattr(budget, name), getattr(self, name)
            if limit is not None and spent >= limit:
                raise BudgetSpent(f"the budget of {account} is spent: {spent:.4g} of {limit:g} {name}")


@dataclass(frozen=True, slots=True)
class Charge:
    """One thing with a price: an answer, a checkpoint, a training that failed."""

    key: str
    seconds: float  # list
    paid_by: str  # the run that paid; "" for none yet, which is this very process
    usd: float | None = None  # list, where tokens have a price; None: the seconds at this machine's price
    wall: float | None = None  # seconds by the clock; None: the list's


@dataclass(frozen=True, slots=True)
class TrainingFailure:
    """A training that failed in this run: after how many checkpoints, at what price, and why."""

    checkpoint: int
    seconds: float
    reason: str
    usd: float | None = None  # list, where trained tokens have a price; None: the seconds at this machine's price


@dataclass(slots=True)
class RunLedger:
    """What all ways of a run share: ledger, records, cache, and what this process really paid."""

    folder: Path
    components: Components
    settings: Settings
    cache: Cache
    paid_by: str
    records: WrittenRecords
    ledger: Lines
    listener: Listener
    keys: KeyIndex = field(default_factory=KeyIndex)  # of lines, answers and checkpoints
    charged: KeySet = field(init=False)  # lines that the ledger has
    paid: KeySet = field(init=False)  # answers and checkpoints whose payment stands in the ledger
    failures: dict[str, TrainingFailure] = field(default_factory=dict)  # training key -> what became of it in this run
    paid_seconds: float = 0.0
    paid_usd: float = 0.0
    hosted_usd: dict[str, float] = field(default_factory=dict)  # way -> really paid for calls of hosted models
    lost_usd: dict[str, float] = field(default_factory=dict)  # account -> paid for calls that gave no answer
    test_answers: int = 0  # answers of one finalist to the test split
    pricing: Pricing = field(default_factory=lambda: Pricing(None))
    row_seconds: dict[tuple[str, str, int, int], float] = field(default_factory=dict)  # of the last chunk of its like
    clock: Clock = field(default_factory=Clock)  # checked before each piece of work
    purchases: Lines | None = None  # where a cell notes what its process paid
    rows: tuple[Example, ...] = ()  # every labelled row of the task, so that what is written anew is no copy of one

    def __post_init__(self) -> None:
        self.charged, self.paid = KeySet(self.keys), KeySet(self.keys)

    @property
    def usd_per_second(self) -> float:
        """The price of this machine."""
        return self.settings.price_per_hour / 3600

    def read_ledger(self) -> None:
        """Take up what an earlier start of this run booked."""
        for line in self.ledger.read():
            self.charged.update([line["key"]])
            if "reason" in line:
                name = line["key"].rpartition("/")[0]
                usd = line["usd"] if "way" in line else None
                self.failures[name] = TrainingFailure(line["checkpoint"], line["seconds"], line["reason"], usd)
            if "way" in line:
                self._paid_hosted(line)

    def _paid_hosted(self, line: Mapping[str, Any]) -> None:
        """Count what a line of a hosted model says was paid."""
        way, account = line["way"], line["who"]
        self.hosted_usd[way] = self.hosted_usd.get(way, 0.0) + line["paid_usd"]
        if line["what"] == LOST:
            self.lost_usd[account] = self.lost_usd.get(account, 0.0) + line["usd"]

    def usd_of(self, weights: Weights, reply: Reply) -> float | None:
        """List price of an answer by its tokens; None where it is its seconds at this machine's price."""
        price = self.components.price_of(weights)
        return None if price is None else price.usd(reply.tokens_in, reply.tokens_cached, reply.tokens_out)

    def training_usd(self, weights: Weights, tokens: int) -> float | None:
        """List price of so many trained tokens of a hosted model; None where it is seconds at this machine's price."""
        price = self.components.prices.get(weights.base)
        return None if price is None else price.training_usd(tokens)

    def charge(
        self, account: str, what: str, key: str, charges: Iterable[Charge], calls: int = 0, **facts: Any
    ) -> tuple[float, float, float | None]:
        """A line of the ledger, once per key.

        Things that were paid for under an earlier line of this run cost nothing more, whoever wants them now.

        Returns:
            list seconds, list usd, and the seconds by the clock where they are not the list's.
        """
        bought = list(charges)
        numbers = self.keys.add([charge.key for charge in bought])
        known = self.paid.has(numbers).tolist()
        self.paid.add(numbers)
        new = [charge for charge, paid in zip(bought, known, strict=True) if not paid]
        own = [charge for charge in new if charge.paid_by in ("", self.paid_by)]
        now = [charge for charge in own if charge.paid_by == ""]
        seconds, usd = self._sum(bought)
        wall = None if all(charge.wall is None for charge in bought) else sum(map(_clock, bought))
        paid_seconds, paid_usd = self._paid_sum(own)
        self.paid_seconds += self._paid_sum(now)[0]
        self.paid_usd += self._paid_sum(now)[1]
        if self.purchases is not None:
            paid = [(charge.key, *self._paid_sum([charge])) for charge in now]
            self.purchases.append([{"key": name, "seconds": took, "usd": cost} for name, took, cost in paid])
        if key not in self.charged:
            self.charged.update([key])
            line = {"who": account, "what": what, "key": key, "calls": calls, "seconds": seconds, "usd": usd}
            line |= {} if wall is None else {"wall_seconds": wall}
            line |= {"paid_seconds": paid_seconds, "paid_usd": paid_usd, **facts}
            self.ledger.append([line])
            if "way" in line:
                self._paid_hosted(line)
        return seconds, usd, wall

    def book(self, line: Mapping[str, Any]) -> None:
        """Take over a line that a cell booked for this run."""
        self.charged.update([line["key"]])
        self.paid.update([line["key"]])
        self.ledger.append([line])
        if "way" in line:
            self._paid_hosted(line)

    def _sum(self, things: Sequence[Charge]) -> tuple[float, float]:
        """List seconds and list usd of some things."""
        timed = sum(thing.seconds for thing in things if thing.usd is None)
        tokens = sum(thing.usd for thing in things if thing.usd is not None)
        return sum(thing.seconds for thing in things), timed * self.usd_per_second + tokens

    def _paid_sum(self, things: Sequence[Charge]) -> tuple[float, float]:
        """Seconds by the clock and usd of some things: what is paid is what it took, not what it lists at."""
        return self._sum([replace(thing, seconds=_clock(thing)) for thing in things])

    def write_records(self, records: Sequence[Record]) -> list[Record]:
        """Append those not written before; returns each as the file has it, also after a lost cache."""
        return self.records.add(records)

    def tell(self, event: Event) -> None:
        """Let the listener know."""
        self.listener(event)


def _clock(thing: Charge) -> float:
    """Seconds by the clock of a thing."""
    return thing.seconds if thing.wall is None else thing.wall
