"""What the ways share that buy as much as a budget allows and keep a part of it for what comes after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from whichway.contracts import Bench
from whichway.errors import BudgetSpent
from whichway.nouns import Budget

Item = TypeVar("Item")
Bought = TypeVar("Bought")


def bought_in_blocks(
    bench: Bench,
    items: Sequence[Item],
    size: int,
    reserve: Budget,
    buy: Callable[[Sequence[Item]], Sequence[Bought]],
    done: str,
) -> Iterator[tuple[Item, Bought]]:
    """Yield each item with what was bought for it, as far as the budget goes; the log says where it ended.

    Args:
        bench: pays.
        items: in their order.
        size: items bought at once: what a spent budget can cost.
        reserve: of the budget, for what comes after.
        buy: what a block of items gets, one for each.
        done: what was done with the items that were reached, in words.
    """
    took = Budget()
    for start in range(0, len(items), size):
        block, before = items[start : start + size], bench.spent
        try:
            if not affordable(bench.left, reserve, took):
                raise BudgetSpent("what is left of the budget is for training on them")
            bought = buy(block)
        except BudgetSpent as spent:
            bench.say(f"{start} of {len(items)} {done}: {spent}")
            return
        took = difference(bench.spent, before)
        yield from zip(block, bought, strict=True)


def difference(after: Budget, before: Budget) -> Budget:
    """What was spent between two moments."""
    return Budget(
        (after.usd or 0.0) - (before.usd or 0.0),
        (after.seconds or 0.0) - (before.seconds or 0.0),
        (after.calls or 0) - (before.calls or 0),
    )


def with_share(reserve: Budget, left: Budget, share: float) -> Budget:
    """A reserve with a share of what is left beyond it."""
    parts = {
        name: (getattr(reserve, name) or 0) + share * max(0, (getattr(left, name) or 0) - (getattr(reserve, name) or 0))
        for name in ("usd", "seconds")
    }
    calls = (reserve.calls or 0) + int(share * max(0, (left.calls or 0) - (reserve.calls or 0)))
    return Budget(**parts, calls=calls)


def affordable(left: Budget, reserve: Budget, next_one: Budget) -> bool:
    """Whether the next piece of work leaves the reserve."""
    return all(
        limit is None or limit - (getattr(reserve, name) or 0) - (getattr(next_one, name) or 0) > 0
        for name, limit in (("usd", left.usd), ("seconds", left.seconds), ("calls", left.calls))
    )
