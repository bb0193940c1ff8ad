"""Two runs side by side in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from whichway.report.formatting import count, points, probability, signed, span, usd

if TYPE_CHECKING:
    from whichway.contest.compare_runs import RunComparison


def lines(cost: RunComparison) -> Iterator[str]:
    """The comparison for a reader."""
    for name, side in (("first", cost.first), ("second", cost.second)):
        ends = "" if side.low is None or side.high is None else f" ({span(side.low, side.high)})"
        price = f"{usd(side.usd_per_1000)} per 1,000"
        yield f"{name:<7}{side.run}: {side.way}, {points(side.score)}{ends} on {count(side.rows)} test rows, {price}"
    yield ""
    yield shared(cost)
    ends = "" if cost.low is None or cost.high is None else f" ({signed(cost.low)} to {signed(cost.high)})"
    p = "" if cost.p is None else f", p = {probability(cost.p)}"
    rows = f"; ahead on {cost.wins} rows, behind on {cost.losses}" if cost.paired else ""
    yield f"second − first: {signed(cost.difference)} points{ends}{p}{rows}."
    if cost.unlike:
        yield f"The runs differ in more than the way: {', '.join(cost.unlike)}."


def shared(result: RunComparison) -> str:
    """How many rows coincide, and what that makes of the comparison."""
    if result.paired:
        return (
            f"Paired on {result.shared} test rows that both runs have ({result.first.rows} and {result.second.rows})."
        )
    some = "one test row coincides" if result.shared else "no test row coincides"
    return f"Not paired: {some}. Compared as independent samples, which shows less."
