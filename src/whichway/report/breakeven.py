"""A break-even in words, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from whichway.findings import BreakEven, SensitivityBar
from whichway.report.formatting import usd

if TYPE_CHECKING:
    from whichway.verdict.breakeven import Terms

MANY = 1_000_000_000  # requests a day that nobody has


def answer(result: BreakEven) -> str:
    """The answer in one sentence."""
    days = f"over {days_in_words(result.days)}"
    wrong = f", a wrong answer at {usd(result.wrong_answer_usd)}" if result.wrong_answer_usd else ""
    if result.answer == "dominates":
        return f"{result.second} is cheaper than {result.first} at every volume ({days}{wrong})."
    if result.answer == "never":
        return f"{result.second} is not cheaper than {result.first} at any volume ({days}{wrong})."
    if result.answer == "break-even":
        if result.requests is not None and result.requests < 1:
            return f"{result.above} is cheaper than {result.below} from the first request on ({days}{wrong})."
        low = "never" if result.per_day_low is None else figures(result.per_day_low)
        span = "" if result.per_day_low == result.per_day_high else f"90 %: {low} to {rate(result.per_day_high)}; "
        return (
            f"{result.above} is cheaper than {result.below} from about {rate(result.per_day)} on ({span}{days}{wrong})."
        )
    return (
        f"Undecided: in {100 * result.p_never:.0f} % of resamples {result.above} is never cheaper than {result.below}; "
        f"in the others from {rate(result.per_day_low)} on or more ({days}{wrong})."
    )


def days_in_words(days: float) -> str:
    """A horizon: "30 days", "12 months"."""
    months = days * 12 / 365
    return f"{months:g} months" if months >= 2 and abs(months - round(months)) < 1e-6 else f"{days:.0f} days"


def rate(per_day: float | None) -> str:
    """A volume; None is never."""
    if per_day is None:
        return "never"
    if per_day >= MANY:
        return "more requests than anybody has"
    return f"{figures(per_day)} requests a day"


def figures(x: float) -> str:
    """A volume without an exponent: "1,250", "3.2", "0.0018", "under 0.0001"."""
    return f"{x:,.0f}" if x >= 10 else f"{x:.2g}" if x >= 1e-4 else "under 0.0001"


def payback(result: BreakEven) -> str:
    """When the way with the higher fixed cost has paid back, at the volume asked about."""
    if result.pays_back_days is None:
        return f"{result.above} does not pay back within {days_in_words(result.days)}"
    latest = "later or never" if result.pays_back_high is None else f"{result.pays_back_high:,.0f}"
    spread = (
        "" if result.pays_back_low == result.pays_back_high else f" (90 %: {result.pays_back_low:,.0f} to {latest})"
    )
    return f"{result.above} has paid back by day {result.pays_back_days:,.0f}{spread}"


def lines(cost: BreakEven, terms: Terms) -> Iterator[str]:
    """The break-even for a terminal."""
    yield answer(cost)
    yield ""
    volume = f"{cost.volume:,.0f} requests a day"
    yield f"At {volume} over {days_in_words(cost.days)}:"
    for way, fixed, unit, total in (
        (cost.first, cost.fixed_first, cost.unit_first, cost.total_first),
        (cost.second, cost.fixed_second, cost.unit_second, cost.total_second),
    ):
        yield f"  {way:<16}{usd(total):>10}   = {usd(fixed)} fixed + {usd(1000 * unit)} per 1,000 requests"
    yield f"  {cost.second} is the cheaper one in {100 * cost.p_second_cheaper:.0f} % of resamples; {payback(cost)}."
    for way, price in terms.prices:
        tokens = f"{price.new:g} new, {price.cached:g} cached, {price.out:g} out"
        yield f"  {way} is priced as {price.name}, usd per million tokens as of {price.as_of}: {tokens}."
    if cost.swings:
        yield ""
        yield f"What each assumption does to it ({cost.above} is cheaper from ... on):"
        for swing in cost.swings:
            low, high = f"{swing.low:>10} {at(swing.at_low):>14}", f"{swing.high:>10} {at(swing.at_high):>14}"
            yield f"  {swing.assumption:<30}{low}   {high}"


def at(per_day: float | None) -> str:
    """A break-even in a table."""
    return "never" if per_day is None else "always" if per_day == 0 else f"{figures(per_day)}/day"


def ends(swing: SensitivityBar) -> tuple[float, float]:
    """Low and high of a swing for sorting: the widest first."""
    values = [MANY if v is None else v for v in (swing.at_low, swing.at_high)]
    return min(values), max(values)
