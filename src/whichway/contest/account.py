"""What one way has bought and what it has spent. What it has bought in this run is not charged to it again."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from whichway.contest.ledger import LOST, SHARED, Charge, RunLedger, SpendMeter
from whichway.errors import BudgetSpent
from whichway.nouns import Budget, Reply, Weights, digest
from whichway.runs.folder import PARTS
from whichway.runs.key_index import KeySet


class WayAccount:
    """The account of one way at the ledger.

    Args:
        ledger: the books of the run.
        way: whose account it is.
        name: as the ledger writes it: the way's, or "curve/" and the way's.
        share: of the budget that may be spent up to here, where a fold is worked on; None: all of it, no folds.
        earlier: its account of the folds before, whose budget and purchases go on.
    """

    def __init__(
        self, ledger: RunLedger, way: str, name: str, share: float | None = None, earlier: WayAccount | None = None
    ) -> None:
        self._ledger, self.way, self.name, self.folded = ledger, way, name, share is not None
        self._bought: KeySet = KeySet(ledger.keys) if earlier is None else earlier._bought  # answers and checkpoints
        # with folds a row that was dev is test later on: its crossing is counted, its answer is there already
        crossed = self._bought if share is None else KeySet(ledger.keys)
        self._crossed: KeySet = crossed if earlier is None else earlier._crossed
        self.spend: SpendMeter = SpendMeter(usd=ledger.lost_usd.get(name, 0.0)) if earlier is None else earlier.spend
        # the same without test rows: what it took to get a candidate
        self.fit: SpendMeter = SpendMeter(usd=self.spend.usd) if earlier is None else earlier.fit
        self._taken: dict[str, list[SpendMeter]] = {} if earlier is None else earlier._taken  # of other ways, each time
        self.budget = ledger.settings.budget if share is None else _part(ledger.settings.budget, share)
        self.dearest_usd: float = 0.0 if earlier is None else earlier.dearest_usd  # of hosted models' answers so far
        self.hosted_answers: int = 0 if earlier is None else earlier.hosted_answers

    def buy(self, what: str, key: str, charges: Sequence[Charge], calls: bool = False, **facts: Any) -> None:
        """Charge what this way does not have yet.

        Args:
            what: the activity, as the ledger writes it: "score", "train", "test", ...
            key: of the line in the ledger.
            charges: all that was used, with their list prices.
            calls: whether each counts as a call.
            facts: further columns of the line.
        """
        known = self._crossed if what == "test" else self._bought
        numbers = self._ledger.keys.add([charge.key for charge in charges])
        here = zip(numbers.tolist(), charges, known.has(numbers).tolist(), strict=True)
        new = {number: charge for number, charge, has in here if not has}
        if new:
            numbers = np.fromiter(new, dtype=np.int64, count=len(new))
            bought = self._bought.has(numbers).tolist()
            priced = [charge for charge, has in zip(new.values(), bought, strict=True) if not has]
            known.add(numbers)
            self._bought.add(numbers)
            count = len(new) if calls else 0
            seconds, usd, wall = self._ledger.charge(self.name, what, key, priced, count, **facts)
            self._add(seconds, usd, count, wall, fit=what != "test")

    def _add(self, seconds: float, usd: float, calls: int, wall: float | None = None, fit: bool = True) -> None:
        self.spend.add(seconds, usd, calls, wall)
        if fit:
            self.fit.add(seconds, usd, calls, wall)

    def take_over(self, other: WayAccount) -> None:
        """Charge what another way has spent on its candidates so far, less what was charged of it before.

        Whoever uses them needs all of it, so what that way bought is this way's from now on.

        Raises:
            BudgetSpent: that passes a limit of the budget.
        """
        before, spent = self._taken.setdefault(other.name, []), other.fit
        known = SpendMeter()
        for part in before:
            known.add(part.seconds, part.usd, part.calls, part.wall)
        wall = None if spent.wall is None else spent.wall - (known.seconds if known.wall is None else known.wall)
        part = SpendMeter(spent.seconds - known.seconds, spent.usd - known.usd, spent.calls - known.calls, wall)
        self._bought.take_over(other._bought)
        if part.calls or part.seconds > 0 or part.usd > 0:
            key = digest([self.name, PARTS, other.name, len(before)], 32)
            charges = [Charge(key, part.seconds, SHARED, part.usd, part.wall)]
            self._ledger.charge(self.name, PARTS, key, charges, part.calls)
            self._add(part.seconds, part.usd, part.calls, part.wall)
            before.append(part)
        self.spend.check(self.budget, self.name)

    def buy_hosted(self, what: str, key: str, reply: Reply, payer: str, weights: Weights) -> None:
        """Charge an answer of a hosted model: a line of its own, so that a kill or a cap between two is no loss.

        Args:
            what: the activity.
            key: of the answer.
            reply: the answer.
            payer: the run that paid; "" for this process, just now.
            weights: who answered.
        """
        usd = self._ledger.usd_of(weights, reply)
        tokens = {"tokens_in": reply.tokens_in, "tokens_cached": reply.tokens_cached, "tokens_out": reply.tokens_out}
        things = [Charge(key, reply.seconds, payer, usd)]
        crossing = ["test"] if self.folded and what == "test" else []
        self.buy(what, digest([self.name, key, *crossing], 32), things, calls=True, way=self.way, **tokens)
        self.dearest_usd = max(self.dearest_usd, usd or 0.0)
        self.hosted_answers += 1

    def lose(self, usd: float, calls: int, tokens_in: int, tokens_out: int, why: str) -> None:
        """Charge calls of a hosted model that may have been billed and gave no answer."""
        key = f"{LOST}/{uuid.uuid4().hex}"
        facts = {"way": self.way, "tokens_in": tokens_in, "tokens_cached": 0, "tokens_out": tokens_out, "why": why}
        _, spent, _ = self._ledger.charge(self.name, LOST, key, [Charge(key, 0.0, "", usd)], calls, **facts)
        self._add(0.0, spent, calls)

    def check(self, keys: Collection[str]) -> None:
        """Refuse a purchase when the budget is spent; what is bought already may be read again.

        Raises:
            BudgetSpent: a key is not bought, and a limit of the budget is reached.
        """
        if self._bought.missing(keys):
            self.spend.check(self.budget, self.name)

    def check_price(self, key: str, usd: float | None) -> None:
        """Refuse an answer of a hosted model that another way or run paid for, where its list price passes the cap.

        Raises:
            BudgetSpent: it does, and this way does not have the answer yet.
        """
        cap, spent = self.budget.usd, self.spend.usd
        if cap is not None and usd is not None and key not in self._bought and spent + usd > cap:
            raise BudgetSpent(f"the budget of {self.name} is spent: {spent:.4g} of {cap:g} usd, the next is ${usd:.4g}")

    def missing(self, keys: Collection[str]) -> int:
        """How many of these keys are not bought yet."""
        return len(self._bought.missing(set(keys)))

    def charge_failure(self, key: str) -> None:
        """Charge a training that failed in this run, if this one did."""
        failure = self._ledger.failures.get(key)
        if failure:
            name = f"{key}/failed"
            paid_by = self._ledger.paid_by if name in self._ledger.charged else ""
            charges = [Charge(name, failure.seconds, paid_by, failure.usd)]
            hosted: dict[str, Any] = {} if failure.usd is None else {"way": self.way}
            self.buy("train", name, charges, checkpoint=failure.checkpoint, reason=failure.reason, **hosted)

    @property
    def spent(self) -> Budget:
        """What this way has spent so far, at list price."""
        return Budget(self.spend.usd, self.spend.seconds, self.spend.calls)

    @property
    def left(self) -> Budget:
        """What is left of the budget; None: no limit."""
        limit, spend = self.budget, self.spend
        return Budget(
            None if limit.usd is None else max(0.0, limit.usd - spend.usd),
            None if limit.seconds is None else max(0.0, limit.seconds - spend.seconds),
            None if limit.calls is None else max(0, limit.calls - spend.calls),
        )


def _part(budget: Budget, share: float) -> Budget:
    """A share of every limit; at least one call."""
    return Budget(
        None if budget.usd is None else share * budget.usd,
        None if budget.seconds is None else share * budget.seconds,
        None if budget.calls is None else max(1, int(share * budget.calls)),
    )
