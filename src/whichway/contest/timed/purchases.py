"""What can be bought next in a contest against the clock, and which of it is worth most for its seconds. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from whichway.nouns import Kind, Verdict, split_name
from whichway.verdict.information import ZERO_SHOT, Known, Offer, gains, is_floor
from whichway.verdict.stats import SEED_SD, z_value

What = Literal["way", "search", "seed", "fold"]
WITHIN = math.log(1.5) / NormalDist().inv_cdf(0.95)  # log-sd of an estimate that is within 1.5 nine times of ten
LEAST_CHANCE = 0.1  # that a purchase fits into the time that is left; it goes on there another time
SHORTEST = 0.05  # seconds that a purchase takes at least
GUESS: Mapping[Kind, float] = {"baseline": 1.0, "prompt": 30.0, "fine-tune": 300.0, "both": 600.0}  # seconds
LEAST_GAIN = 1e-6  # so that everything is bought in the end, the cheapest first
NEAR = 1.5  # times; estimates of seconds are no better, so values that are nearer than this are not told apart
AHEAD = ("baseline", "fine-tune")  # these come first then: on dev rows a head led worked examples in 10 of 13 cells


@dataclass(frozen=True, slots=True)
class WayCosts:
    """What a way takes, in seconds.

    Attributes:
        first: one seed, or one fold, at its likeliest settings.
        search: its further rates and settings, for one seed or fold.
        more: one more seed or fold.
    """

    first: float
    search: float = 0.0
    more: float = 0.0


@dataclass(frozen=True, slots=True)
class Purchase:
    """Something that can be bought: a way at all, its further settings, one more of its seeds, one more fold of all."""

    what: What
    way: str  # "" for a fold
    kind: str  # of the way
    seconds: float
    last: bool = False  # made of other ways: like a fold, it waits for those that may fit


@dataclass(frozen=True, slots=True)
class Market:
    """What purchases are valued by.

    Attributes:
        kinds: of all ways that did not fail.
        random: ways whose seeds matter.
        rows: test rows that a purchase of a way adds.
        folds: that are measured so far; 0: there are none.
        confidence: of the intervals of the standings.
    """

    kinds: Mapping[str, Kind]
    random: frozenset[str]
    rows: int
    folds: int
    confidence: float


def choose(
    purchases: Sequence[Purchase], market: Market, verdict: Verdict | None, left: float | None, pace: float = 1.0
) -> Purchase | None:
    """The purchase with the most expected gain for its seconds among those that may fit; None where none does.

    The gain counts as far as it is likely to come in time; of equals the first. Of ways that are worth nearly the same
    prompts come last. A fold waits for ways that may fit, as a way that comes later has all folds to make up for; so
    does a way that is made of others.

    Args:
        purchases: that can be made now.
        market: what they are valued by.
        verdict: from what stands; None: nothing does.
        left: seconds; None: no end.
        pace: actual seconds for each estimated one, so far.
    """
    if not purchases:
        return None
    worth = gains_of(purchases, market, verdict)
    length = [max(SHORTEST, pace * purchase.seconds) for purchase in purchases]
    fits = [chance_to_fit(seconds, left) for seconds in length]
    ways = any(p.what == "way" and not p.last and f >= LEAST_CHANCE for p, f in zip(purchases, fits, strict=True))
    values = [
        0.0 if chance < LEAST_CHANCE or (ways and (purchase.what == "fold" or purchase.last))
        else max(gain, LEAST_GAIN) * chance / seconds
        for purchase, gain, seconds, chance in zip(purchases, worth, length, fits, strict=True)
    ]  # fmt: skip
    best = max(values)
    if best == 0:
        return None
    first = values.index(best)
    if purchases[first].what != "way":
        return purchases[first]
    near = [n for n, value in enumerate(values) if purchases[n].what == "way" and value * NEAR >= best]
    return purchases[min(near, key=lambda n: (purchases[n].kind not in AHEAD, -values[n], n))]


def chance_to_fit(seconds: float, left: float | None) -> float:
    """The probability that something estimated at so many seconds is done in the time that is left."""
    if left is None:
        return 1.0
    if left <= 0:
        return 0.0
    return NormalDist().cdf(math.log(left / max(seconds, SHORTEST)) / WITHIN)


def gains_of(purchases: Sequence[Purchase], market: Market, verdict: Verdict | None) -> list[float]:
    """The expected gain in score of each purchase."""
    names = list(market.kinds)
    known = {name: known_of(name, market, verdict) for name in names}
    place = {name: k for k, name in enumerate(names)}
    seeds = {line.way: line.seeds for line in verdict.standings} if verdict else {}
    offers = [_offer(purchase, market, known, place, seeds) for purchase in purchases]
    return gains(list(known.values()), offers)


def known_of(name: str, market: Market, verdict: Verdict | None) -> Known:
    """What is known of a way: its score so far with the variance of its error, seeds or folds included."""
    kind, floor = market.kinds[name], is_floor(name)
    line = next((s for s in verdict.standings if s.way == name and s.status == "ok"), None) if verdict else None
    if line is None or line.score is None:
        return Known(kind, floor=floor)
    if line.low is None or line.high is None:
        return Known(kind, line.score, 0.25, floor)
    error = ((line.high - line.low) / (2 * z_value(market.confidence))) ** 2
    unseen = name in market.random and line.seed_sd is None and not market.folds
    return Known(kind, line.score, error + (SEED_SD**2 / max(1, line.seeds) if unseen else 0.0), floor)


def _offer(
    purchase: Purchase, market: Market, known: Mapping[str, Known], place: Mapping[str, int], seeds: Mapping[str, int]
) -> Offer:
    if purchase.what == "search":
        return Offer((place[purchase.way],))
    if purchase.what == "fold":
        measured = [name for name, one in known.items() if one.score is not None]
        shrunk = market.folds / (market.folds + 1)
        return Offer(
            tuple(place[name] for name in measured) or (0,), tuple(known[n].error * shrunk for n in measured) or (0.25,)
        )
    noise = SEED_SD**2 if purchase.way in market.random else 0.0
    if purchase.what == "way":
        return Offer((place[purchase.way],), (0.25 / max(1, market.rows) + noise,))
    count, error = max(1, seeds.get(purchase.way, 1)), known[purchase.way].error
    return Offer((place[purchase.way],), (max(error / (count + 1), error - noise / count + noise / (count + 1)),))


def guessed(kinds: Mapping[str, Kind]) -> dict[str, WayCosts]:
    """Costs where nothing is known but the kinds of the ways."""
    return {name: WayCosts(GUESS[kind], GUESS[kind] / 3, GUESS[kind]) for name, kind in kinds.items()}


def forecast(costs: Mapping[str, WayCosts], market: Market, left: float) -> tuple[list[str], list[str]]:
    """Ways in the order in which they would be bought, and those that would not fit, as far as costs tell beforehand.

    Args:
        costs: of each way.
        market: with all ways.
        left: seconds.
    """
    fitting: list[str] = []
    while True:
        floors = {name for name in costs if split_name(name)[0] == ZERO_SHOT}
        offers = [
            Purchase("way", name, market.kinds[name], one.first)
            for name, one in costs.items()
            if name not in fitting and (market.kinds[name] == "baseline" or name in floors or floors <= set(fitting))
        ]
        bought = choose(offers, market, None, left)
        if bought is None:
            return fitting, [name for name in costs if name not in fitting]
        fitting.append(bought.way)
        left = max(0.0, left - bought.seconds)


def costs_json(costs: Mapping[str, WayCosts]) -> dict[str, dict[str, float]]:
    """What estimate.json holds of them."""
    return {name: {"first": one.first, "search": one.search, "more": one.more} for name, one in costs.items()}


def costs_from(facts: Mapping[str, Any]) -> dict[str, WayCosts]:
    """Costs as estimate.json holds them."""
    return {name: WayCosts(one["first"], one["search"], one["more"]) for name, one in facts.items()}
