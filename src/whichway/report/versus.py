"""Two runs side by side in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from whichway.report.words import count, points, probability, signed, span, usd

if TYPE_CHECKING:
    from whichway.contest.compare_runs import Versus


def lines(found: Versus) -> Iterator[str]:
    """The comparison for a reader."""
    for name, side in (("first", found.first), ("second", found.second)):
        ends = "" if side.low is None or side.high is None else f" ({span(side.low, side.high)})"
        price = f"{usd(side.usd_per_1000)} per 1,000"
        yield f"{name:<7}{side.run}: {side.way}, {points(side.score)}{ends} on {count(side.rows)} test rows, {price}"
    yield ""
    yield shared(found)
    ends = "" if found.low is None or found.high is None else f" ({signed(found.low)} to {signed(found.high)})"
    p = "" if found.p is None else f", p = {probability(found.p)}"
    rows = f"; ahead on {found.wins} rows, behind on {found.losses}" if found.paired else ""
    yield f"second − first: {signed(found.difference)} points{ends}{p}{rows}."
    if found.unlike:
        yield f"The runs differ in more than the way: {', '.join(found.unlike)}."


def shared(found: Versus) -> str:
    """How many rows coincide, and what that makes of the comparison."""
    if found.paired:
        return f"Paired on {found.shared} test rows that both runs have ({found.first.rows} and {found.second.rows})."
    some = "one test row coincides" if found.shared else "no test row coincides"
    return f"Not paired: {some}. Compared as independent samples, which shows less."
