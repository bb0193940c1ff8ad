"""Break-even between two ways, with uncertainty.

`C_a(N,T) = F_a + H_a·T + N·(v_a + e_a·L) + R_a·⌊T/τ_a⌋` over N requests and T days: F fixed (labels, search or
training), H hosting a day, v a request (tokens at their prices, or machine time), e the error rate, L the cost of a
wrong answer, R a retraining every τ days. Two ways cost the same at

    N* = (F_b − F_a + (H_b − H_a)·T + retraining) / ((v_a + e_a·L) − (v_b + e_b·L)).

N* is a ratio of noisy numbers, so rows (whole clusters) are resampled for both ways together and seeds for each; where
folds were measured, what their trainings add to the difference of the error rates is drawn as well (`folds.py`). A
resample in which the dearer start never pays is *never*, not a negative number. Median and 90 % interval are over all
resamples, *never* counted as infinite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from whichway.findings import BreakEven, BreakEvenAnswer, SensitivityBar
from whichway.nouns.json_form import LATE
from whichway.verdict import stats
from whichway.verdict.compare import Arm
from whichway.verdict.explain.number_format import clean, usd
from whichway.verdict.stats import FloatArray, Groups

RESAMPLES = 2000
SURE = 0.95  # share of resamples that must agree for an answer
ENDS = (0.05, 0.5, 0.95)  # median and 90 % interval
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens cost at a provider, usd per million."""

    name: str
    new: float
    cached: float
    out: float
    as_of: str = ""
    training: float | None = field(default=None, metadata=LATE)  # of a trained token; None: it is not trained there
    tuned: Price | None = field(default=None, metadata=LATE)  # of a model that was trained from it

    def usd(self, tokens_in: int, tokens_cached: int, tokens_out: int) -> float:
        """What so many tokens cost."""
        return (tokens_in * self.new + tokens_cached * self.cached + tokens_out * self.out) / MILLION

    def training_usd(self, tokens: int) -> float | None:
        """What training on so many tokens costs; None where that is not known."""
        return None if self.training is None else tokens * self.training / MILLION


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """What one way costs; F, H, v, e, R and τ of the formula."""

    way: str
    fixed: float  # F, usd
    unit: FloatArray  # (S, n) v of each answer, usd
    wrong: FloatArray  # (S, n) e: 1 − score
    hosting: float = 0.0  # H, usd a day
    retrain: float = 0.0  # R, usd each time
    retire_days: float | None = None  # τ; None: the base model is not retired

    def lump(self, days: float) -> float:
        """What does not depend on the number of requests: F + H·T + R·⌊T/τ⌋."""
        return self.fixed + self.hosting * days + self.retrain * self.retrainings(days)

    def retrainings(self, days: float) -> float:
        """The number of retrainings within the horizon, ⌊T/τ⌋."""
        return 0.0 if self.retire_days is None else float(np.floor(days / self.retire_days))

    def each(self, wrong_answer_usd: float) -> float:
        """V + e·L, usd a request."""
        return float(self.unit.mean() + wrong_answer_usd * self.wrong.mean())


@dataclass(frozen=True, slots=True)
class Terms:
    """The user's terms: volume, horizon, what a wrong answer costs, and costs that differ from the measured ones."""

    volume: float = 1000.0  # requests a day
    days: float = 30.0
    wrong_answer_usd: float = 0.0
    label_usd: float = 0.0  # of one labelled row
    hosting: tuple[tuple[str, float], ...] = ()  # way -> usd a day
    prices: tuple[tuple[str, Price], ...] = ()  # way -> token prices; the others run on the measured machine
    retire_days: float | None = None
    retrain_usd: float | None = None  # None: what making it cost


def costs_of(arm: Arm, terms: Terms) -> Costs:
    """The costs of a measured way under the user's terms."""
    prices = dict(terms.prices)
    unit = arm.row_usd if arm.row_usd is not None else np.full(arm.scores.shape, arm.usd_per_1000 / 1000)
    if arm.way in prices:
        unit = token_cost(arm, prices[arm.way])
    fixed = arm.usd_fit + terms.label_usd * arm.labels_used
    trained = arm.kind in ("fine-tune", "both")
    return Costs(
        way=arm.way,
        fixed=fixed,
        unit=unit,
        wrong=1 - arm.scores,
        hosting=dict(terms.hosting).get(arm.way, 0.0),
        retrain=(arm.usd_fit if terms.retrain_usd is None else terms.retrain_usd) if trained else 0.0,
        retire_days=terms.retire_days if trained else None,
    )


def token_cost(arm: Arm, price: Price) -> FloatArray:
    """(S, n) usd of each answer at token prices: `t_new·p_in + t_cached·p_cached + t_out·p_out`."""
    tokens = arm.row_tokens
    if tokens is None:
        tokens = np.broadcast_to((arm.tokens_in, arm.tokens_cached, arm.tokens_out), (*arm.scores.shape, 3))
    usd: FloatArray = tokens @ np.array([price.new, price.cached, price.out]) / MILLION
    return usd


def break_even(
    first: Costs,
    second: Costs,
    terms: Terms,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    trainings: float = 0.0,
) -> BreakEven:
    """From which volume on `second` is cheaper than `first`.

    Args:
        first: such as the best prompt.
        second: such as the best fine-tune; on the same rows.
        terms: volume, horizon, cost of a wrong answer.
        groups: cluster of each row.
        resamples: of the joint bootstrap.
        trainings: standard error of the difference of the scores that comes from the folds' trainings; 0 without folds.
    """
    days, wrong = terms.days, terms.wrong_answer_usd
    swap = second.lump(days) < first.lump(days)
    below, above = (second, first) if swap else (first, second)  # `above` starts dearer
    extra = above.lump(days) - below.lump(days)
    saves = np.concatenate(list(savings(below, above, wrong, groups, resamples)))  # (B,) usd a request
    saves += wrong * trainings * np.random.default_rng(18).normal(size=len(saves))
    with np.errstate(divide="ignore", invalid="ignore"):
        n_star = np.where(saves > 0, extra / saves, np.inf)
    never = float((saves <= 0).mean())
    back = pay_back(above, below, saves, terms)
    low, middle, high = quantiles(n_star)
    back_low, back_middle, back_high = quantiles(back)
    at_volume = extra < terms.volume * days * saves  # `above` is cheaper over the horizon
    cheaper = float(at_volume.mean())
    return BreakEven(
        first=first.way,
        second=second.way,
        answer=answer(never, extra, swap),
        below=below.way,
        above=above.way,
        days=days,
        volume=terms.volume,
        wrong_answer_usd=wrong,
        requests=clean(middle),
        requests_low=clean(low),
        requests_high=clean(high),
        per_day=clean(middle / days),
        per_day_low=clean(low / days),
        per_day_high=clean(high / days),
        pays_back_days=clean(back_middle),
        pays_back_low=clean(back_low),
        pays_back_high=clean(back_high),
        p_never=never,
        p_second_cheaper=1 - cheaper if swap else cheaper,
        fixed_first=tidy(first.lump(days)),
        fixed_second=tidy(second.lump(days)),
        unit_first=tidy(first.each(wrong)),
        unit_second=tidy(second.each(wrong)),
        total_first=tidy(first.lump(days) + terms.volume * days * first.each(wrong)),
        total_second=tidy(second.lump(days) + terms.volume * days * second.each(wrong)),
    )


def tidy(x: float) -> float:
    """Money to twelve significant digits: a price for one request may be tiny."""
    return float(f"{x:.12g}")


def answer(never: float, extra: float, swap: bool) -> BreakEvenAnswer:
    """The four answers, about the second way; `swap`: the second way starts cheaper."""
    if never >= SURE:
        return "dominates" if swap else "never"
    if 1 - never < SURE:
        return "undecided"
    if extra > 0:
        return "break-even"
    return "never" if swap else "dominates"


def savings(below: Costs, above: Costs, wrong: float, groups: Groups | None, resamples: int) -> Iterator[FloatArray]:
    """What `above` saves a request in each resample, in blocks: rows (or clusters) drawn together, seeds apart."""
    n = below.unit.shape[1]
    one, two = (c.unit + wrong * c.wrong for c in (below, above))
    rng = np.random.default_rng(17)
    for weights in stats.row_weights(n, groups, resamples=resamples, seed=17):
        weights /= weights.sum(axis=1, keepdims=True)
        means = []
        for each in (one, two):
            seeds = len(each)
            drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(weights)) / seeds
            means.append(((weights @ each.T) * drawn).sum(axis=1))
        yield means[0] - means[1]


def pay_back(above: Costs, below: Costs, saves: FloatArray, terms: Terms) -> FloatArray:
    """(B,) first day in the horizon by which `above` has cost less at the volume; infinite where there is none."""
    day = np.arange(1, int(np.ceil(terms.days)) + 1)
    behind = np.array([above.lump(float(t)) - below.lump(float(t)) for t in day])  # (T,)
    paid = saves[:, None] * (terms.volume * day)[None, :] >= behind[None, :]
    return np.where(paid.any(axis=1), day[np.argmax(paid, axis=1)], np.inf)


def quantiles(x: FloatArray) -> tuple[float, float, float]:
    """Low, median and high of values among which some are infinite; an infinite one comes out as infinite."""
    low, middle, high = np.quantile(x, ENDS, method="inverted_cdf")
    return float(low), float(middle), float(high)


# --- sensitivity


def with_sensitivity(result: BreakEven, first: Arm, second: Arm, terms: Terms) -> BreakEven:
    """The break-even with what each assumption does to it."""
    swings = []
    for assumption, low, high, short, long in assumptions(first, second, terms):
        at_low, at_high = (point(result.above, pairing) for pairing in (short, long))
        swings.append(SensitivityBar(assumption, low, high, clean(at_low), clean(at_high)))
    return replace(result, swings=tuple(swings))


Pairing = tuple[Costs, Costs, Terms]


def assumptions(first: Arm, second: Arm, terms: Terms) -> Iterator[tuple[str, str, str, Pairing, Pairing]]:
    """Each assumption at half and at double; the cost of a wrong answer at nothing where it has none yet."""
    base = (costs_of(first, terms), costs_of(second, terms), terms)
    a, b, _ = base
    for costs, place in ((a, 0), (b, 1)):
        if costs.fixed > 0:
            halves = [put(base, place, replace(costs, fixed=costs.fixed * f)) for f in (0.5, 2.0)]
            yield f"making {costs.way}", usd(costs.fixed / 2), usd(costs.fixed * 2), halves[0], halves[1]
        if costs.unit.mean() > 0:
            price = 1000 * float(costs.unit.mean())
            halves = [put(base, place, replace(costs, unit=costs.unit * f)) for f in (0.5, 2.0)]
            yield f"1,000 requests to {costs.way}", usd(price / 2), usd(price * 2), halves[0], halves[1]
    wrong = terms.wrong_answer_usd
    ends = (wrong / 2, wrong * 2) if wrong else (0.0, 0.01)
    low, high = ((a, b, replace(terms, wrong_answer_usd=end)) for end in ends)
    yield "a wrong answer", usd(ends[0]), usd(ends[1]), low, high
    short, long = ((a, b, replace(terms, days=terms.days * f)) for f in (0.5, 2.0))
    yield "days", f"{terms.days / 2:.0f}", f"{terms.days * 2:.0f}", short, long


def put(base: Pairing, place: int, costs: Costs) -> Pairing:
    """The pairing with one side replaced."""
    return (costs, base[1], base[2]) if place == 0 else (base[0], costs, base[2])


def point(way: str, pairing: Pairing) -> float | None:
    """Requests a day from which `way` is cheaper, from the means: 0 is every volume, None none."""
    a, b, terms = pairing
    above, below = (a, b) if a.way == way else (b, a)
    extra = above.lump(terms.days) - below.lump(terms.days)
    saves = below.each(terms.wrong_answer_usd) - above.each(terms.wrong_answer_usd)
    if saves <= 0:
        return None
    return max(0.0, extra / saves / terms.days)
