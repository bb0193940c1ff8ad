"""What one way has bought and what it has spent. What it has bought in this run is not charged to it again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from whichway.contest.ledger import Bought, Purse, Till
from whichway.nouns import Budget


class WayAccount:
    """The account of one way at the ledger.

    Args:
        till: the books of the run.
        way: whose account it is.
        name: as the ledger writes it: the way's, or "curve/" and the way's.
    """

    def __init__(self, till: Till, way: str, name: str) -> None:
        self._till, self.way, self.name = till, way, name
        self._bought: set[str] = set()  # answers and checkpoints
        self.purse = Purse()

    def buy(self, what: str, key: str, things: Sequence[Bought], calls: bool = False, **facts: Any) -> None:
        """Charge what this way does not have yet.

        Args:
            what: the activity, as the ledger writes it: "score", "train", "test", ...
            key: of the line in the ledger.
            things: all that was used, with their list prices.
            calls: whether each counts as a call.
            facts: further columns of the line.
        """
        new = {thing.key: thing for thing in things if thing.key not in self._bought}
        if new:
            self._bought.update(new)
            count = len(new) if calls else 0
            seconds, usd = self._till.book(self.name, what, key, new.values(), count, **facts)
            self.purse.add(seconds, usd, count)

    def check(self, keys: Collection[str]) -> None:
        """Refuse to buy with an empty purse; what is bought already may be looked at.

        Raises:
            BudgetSpent: a key is not bought, and a limit of the budget is reached.
        """
        if not self._bought.issuperset(keys):
            self.purse.check(self._till.settings.budget, self.name)

    def missing(self, keys: Collection[str]) -> int:
        """How many of these keys are not bought yet."""
        return len(set(keys) - self._bought)

    def charge_failure(self, key: str) -> None:
        """Charge a training that failed in this run, if this one did."""
        failure = self._till.failures.get(key)
        if failure:
            name = f"{key}/failed"
            payer = self._till.payer if name in self._till.booked else ""
            things = [Bought(name, failure.seconds, payer)]
            self.buy("train", name, things, checkpoint=failure.checkpoint, reason=failure.reason)

    @property
    def spent(self) -> Budget:
        """What this way has spent so far, at list price."""
        return Budget(self.purse.usd, self.purse.seconds, self.purse.calls)

    @property
    def left(self) -> Budget:
        """What is left of the budget; None: no limit."""
        limit, purse = self._till.settings.budget, self.purse
        return Budget(
            None if limit.usd is None else max(0.0, limit.usd - purse.usd),
            None if limit.seconds is None else max(0.0, limit.seconds - purse.seconds),
            None if limit.calls is None else max(0, limit.calls - purse.calls),
        )
