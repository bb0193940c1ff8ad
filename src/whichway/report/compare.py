"""Two runs side by side in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from whichway.plurals import plural
from whichway.report.formatting import ScoreText, count, probability, usd
from whichway.verdict.explain.number_format import score_format

if TYPE_CHECKING:
    from whichway.contest.compare_runs import RunComparison


def lines(cost: RunComparison) -> Iterator[str]:
    """The comparison for a reader."""
    scores = ScoreText(score_format(cost.plain))
    for name, side in (("first", cost.first), ("second", cost.second)):
        ends = "" if side.low is None or side.high is None else f" ({scores.span(side.low, side.high)})"
        rest = f"on {count(side.rows)} test rows, {usd(side.usd_per_1000)} per 1,000"
        yield f"{name:<7}{side.run}: {side.way}, {scores.value(side.score)}{ends} {rest}"
    yield ""
    yield shared(cost)
    ends = (
        "" if cost.low is None or cost.high is None else f" ({scores.signed(cost.low)} to {scores.signed(cost.high)})"
    )
    p = "" if cost.p is None else f", p = {probability(cost.p)}"
    rows = f"; ahead on {plural(cost.wins, 'row')}, behind on {cost.losses}" if cost.paired else ""
    yield f"second − first: {scores.signed(cost.difference)}{scores.format.unit}{ends}{p}{rows}."
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
