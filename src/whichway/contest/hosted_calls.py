"""Calls to a model behind an API, under a hard cap: the money of each is set aside at its worst before it is sent.

An answer is in the cache and in the ledger as soon as it comes, so neither a kill nor the cap loses one that was paid.
Money for the finalists' test rows is kept back while a way searches: a search that spent it all could not be measured.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from whichway.contest.account import WayAccount
from whichway.contest.ledger import RunLedger
from whichway.contracts import Hosted
from whichway.errors import BudgetSpent, OptionError, WayFailed
from whichway.nouns import Reply, Request, Weights, split_name
from whichway.verdict.breakeven import Price

SEEN = 8  # answers after which the dearest of them stands for what a test row will cost
CAREFUL = 1.25  # times that


@dataclass(frozen=True, slots=True)
class HostedCalls:
    """The calls of one way to one hosted model.

    Args:
        ledger: the books of the run.
        account: of the way; it pays.
        backend: of the model.
        weights: the model.
        what: the activity, as the ledger writes it.
    """

    ledger: RunLedger
    account: WayAccount
    backend: Hosted
    weights: Weights
    what: str

    def answers(self, missing: Mapping[str, Request]) -> dict[str, Reply]:
        """The answer to each request, by its key; kept and charged one by one.

        Raises:
            OptionError: the data may not leave.
            BudgetSpent: the next call could pass the cap.
            EndpointError: no call will be answered.
        """
        if not missing:
            return {}
        if self.ledger.settings.private and not self.backend.stays(self.weights):
            raise OptionError(refusal(self.weights.base))
        keys, requests = list(missing), list(missing.values())

        def keep(index: int, reply: Reply) -> None:
            self.ledger.cache.put([(keys[index], reply)], self.ledger.paid_by)
            if reply.finish != "error":
                self.account.buy_hosted(self.what, keys[index], reply, "", self.weights)

        price = self.ledger.components.price_of(self.weights)
        meter = CallMeter(price, self.left(price, requests[0]), self.account, keep)
        try:
            adapter = self.ledger.cache.adapter(self.weights)
            with self.backend.metered(self.weights, meter, adapter) as session:
                replies = (session.choose if requests[0].labels else session.generate)(requests)
        finally:
            meter.close()
        if len(replies) != len(requests):
            raise WayFailed(f"{self.weights.base} gave {len(replies)} replies to {len(requests)} requests")
        return dict(zip(keys, replies, strict=True))

    def left(self, price: Price | None, request: Request, more: int = 0) -> float | None:
        """Usd that may be spent on this; None without a cap.

        Args:
            price: of the model's tokens.
            request: like those that the finalists will answer.
            more: further answers, besides those to test rows, for which money is kept back.
        """
        cap = self.account.budget.usd
        if cap is None or price is None:
            return None
        spent = max(self.account.spend.usd, self.ledger.hosted_usd.get(self.account.way, 0.0))
        return cap - spent - (0.0 if self.what == "test" else self._for_test(price, request, cap, more))

    def _for_test(self, price: Price, request: Request, cap: float, more: int) -> float:
        """Usd that the finalists' answers to test rows will cost, about; half the cap while that is a guess."""
        way = self.ledger.components.ways.get(split_name(self.account.way)[0])
        if way is not None and self.ledger.components.base_of(self.account.way).base != self.weights.base:
            return 0.0  # a teacher: its student answers the test rows
        random = way is not None and way.RANDOM and not self.account.folded  # a fold has one finalist
        finalists = len(self.ledger.settings.seeds) if random else 1
        count = self.ledger.test_answers * finalists + more
        tokens_in, tokens_out = self.backend.most_tokens(self.weights, request)
        most = price.usd(tokens_in, 0, tokens_out)  # is set aside for the last of them as well
        if self.account.hosted_answers < SEEN:
            return min(count * most, cap / 2)
        return count * CAREFUL * self.account.dearest_usd + (most if count else 0.0)


def refusal(word: str) -> str:
    """Why a hosted model is not asked about private data."""
    return (
        f"{word} lies behind an API, and the task says private: its data stay here. Take a model on this machine, or "
        "say local: true in its entry of models.yaml if the API is your own."
    )


class CallMeter:
    """Money of calls under way, as `contracts.Meter` says.

    Args:
        price: of tokens; None where it is not known, and then nothing is set aside.
        left: usd that may be spent; None without a cap.
        account: charged for calls that gave no answer.
        keep: takes an answer.
    """

    def __init__(
        self, price: Price | None, left: float | None, account: WayAccount, keep: Callable[[int, Reply], None]
    ) -> None:
        self._price, self._left, self._account, self._keep = price, left, account, keep
        self._changed = threading.Condition()
        self._used = self._reserved = 0.0
        self._under_way = 0
        self._lost: list[tuple[float, int, int, str]] = []

    def reserve(self, tokens_in: int, tokens_out: int) -> float:
        """Set aside the worst that a call can cost; wait for calls under way where only they can free it."""
        worst = self._usd(tokens_in, 0, tokens_out)
        with self._changed:
            while self._left is not None and self._used + self._reserved + worst > self._left:
                if not self._under_way:
                    raise BudgetSpent(
                        f"the budget of {self._account.name} is spent: the next call can cost ${worst:.4g}, and "
                        f"${max(0.0, self._left - self._used):.4g} may still be spent on this"
                    )
                self._changed.wait(0.2)
            self._reserved += worst
            self._under_way += 1
        return worst

    def release(self, reserved: float) -> None:
        """Nothing was billed."""
        self._end(reserved, 0.0)

    def settle(self, reserved: float, tokens_in: int, tokens_cached: int, tokens_out: int) -> None:
        """It has cost this."""
        self._end(reserved, self._usd(tokens_in, tokens_cached, tokens_out))

    def lose(self, reserved: float, tokens_in: int, tokens_out: int, why: str) -> None:
        """It may have cost this, and gave nothing."""
        usd = self._usd(tokens_in, 0, tokens_out)
        with self._changed:
            self._lost.append((usd, tokens_in, tokens_out, why))
        self._end(reserved, usd)

    def waste(self, tokens_in: int, tokens_cached: int, tokens_out: int, why: str) -> None:
        """What was settled before gave no answer."""
        usd = self._usd(tokens_in, tokens_cached, tokens_out)
        with self._changed:
            self._lost.append((usd, tokens_in + tokens_cached, tokens_out, why))

    def keep(self, index: int, reply: Reply) -> None:
        """Keep an answer, and write down what was lost meanwhile."""
        self._keep(index, reply)
        self._write_lost()

    def close(self) -> None:
        """Write down what was lost, and what was under way when the user interrupted."""
        self._write_lost()
        with self._changed:
            reserved, calls = self._reserved, self._under_way
            self._reserved, self._under_way = 0.0, 0
        if calls:
            self._account.lose(reserved, calls, 0, 0, "interrupted while under way")

    def _write_lost(self) -> None:
        with self._changed:
            lost, self._lost = self._lost, []
        for usd, tokens_in, tokens_out, why in lost:
            self._account.lose(usd, 1, tokens_in, tokens_out, why)

    def _end(self, reserved: float, used: float) -> None:
        with self._changed:
            self._reserved -= reserved
            self._under_way -= 1
            self._used += used
            if not self._under_way:
                self._reserved = 0.0  # no rest of rounding
            self._changed.notify_all()

    def _usd(self, tokens_in: int, tokens_cached: int, tokens_out: int) -> float:
        return 0.0 if self._price is None else self._price.usd(tokens_in, tokens_cached, tokens_out)
