"""What one way has bought and what it has spent. What it has bought in this run is not charged to it again."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from whichway.contest.ledger import LOST, Bought, Purse, Till
from whichway.nouns import Budget, Reply, Weights, digest


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
        self.purse = Purse(usd=till.lost_usd.get(name, 0.0))
        self.dearest_usd = 0.0  # of the answers of hosted models so far
        self.hosted_answers = 0

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

    def buy_hosted(self, what: str, key: str, reply: Reply, payer: str, weights: Weights) -> None:
        """Charge an answer of a hosted model: a line of its own, so that a kill or a cap between two is no loss.

        Args:
            what: the activity.
            key: of the answer.
            reply: the answer.
            payer: the run that paid; "" for this process, just now.
            weights: who answered.
        """
        usd = self._till.usd_of(weights, reply)
        tokens = {"tokens_in": reply.tokens_in, "tokens_cached": reply.tokens_cached, "tokens_out": reply.tokens_out}
        things = [Bought(key, reply.seconds, payer, usd)]
        self.buy(what, digest([self.name, key], 32), things, calls=True, way=self.way, **tokens)
        self.dearest_usd = max(self.dearest_usd, usd or 0.0)
        self.hosted_answers += 1

    def lose(self, usd: float, calls: int, tokens_in: int, tokens_out: int, why: str) -> None:
        """Charge calls of a hosted model that may have been billed and gave no answer."""
        key = f"{LOST}/{uuid.uuid4().hex}"
        facts = {"way": self.way, "tokens_in": tokens_in, "tokens_cached": 0, "tokens_out": tokens_out, "why": why}
        _, spent = self._till.book(self.name, LOST, key, [Bought(key, 0.0, "", usd)], calls, **facts)
        self.purse.add(0.0, spent, calls)

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
