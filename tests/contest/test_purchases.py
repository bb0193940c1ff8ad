"""Which piece of a contest is bought next: by expected gain for its seconds, the cheapest first where all are alike."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from whichway.contest.timed.purchases import AHEAD, NEAR, Market, Purchase, chance_to_fit, choose, gains_of
from whichway.nouns import Standing, Verdict

KINDS = {
    "base_majority": "baseline", "base_tfidf": "baseline", "base_encoder": "baseline", "prompt_plain": "prompt",
    "tune_probe": "fine-tune", "tune_head": "fine-tune", "prompt_shots": "prompt", "tune_lora": "fine-tune",
    "prompt_search": "prompt",
}  # fmt: skip
SECONDS = {  # of the example on two cores
    "base_majority": 0.01, "base_tfidf": 1.0, "base_encoder": 6.0, "prompt_plain": 25.0, "tune_probe": 40.0,
    "tune_head": 60.0, "prompt_shots": 200.0, "tune_lora": 500.0, "prompt_search": 2000.0,
}  # fmt: skip
RANDOM = frozenset(name for name in KINDS if name.startswith("tune_") or name in ("prompt_shots", "prompt_search"))
MARKET = Market(KINDS, RANDOM, 187, 0, 0.95)
TRUE = {
    "base_majority": 0.06, "base_tfidf": 0.51, "base_encoder": 0.68, "prompt_plain": 0.21, "tune_probe": 0.62,
    "tune_head": 0.77, "prompt_shots": 0.55, "tune_lora": 0.77, "prompt_search": 0.4,
}  # fmt: skip


def standing(way: str, score: float, seeds: int = 1) -> Standing:
    empty = dict.fromkeys(Standing.__dataclass_fields__)
    half = 0.06
    known = {"way": way, "kind": KINDS[way], "status": "ok", "reason": "", "seeds": seeds, "rows": 187, "score": score}
    return Standing(**{**empty, **known, "low": score - half, "high": score + half, "seed_sd": None})


def verdict(*standings: Standing) -> Verdict:
    empty = dict.fromkeys(Verdict.__dataclass_fields__)
    return Verdict(**{**empty, "standings": standings})


def whole_order(market: Market = MARKET, seconds: dict[str, float] = SECONDS, limit: float | None = None) -> list[str]:
    """Ways in the order in which they are bought, each once; seeds are not offered."""
    left, bought, order = limit, [], []
    names = list(seconds)
    while True:
        offers = [
            Purchase("way", name, market.kinds[name], seconds[name])
            for name in names
            if name not in order and (KINDS[name] == "baseline" or "prompt_plain" in (name, *order))  # zero-shot first
        ]
        pick = choose(offers, market, verdict(*bought) if bought else None, left)
        if pick is None:
            return order
        order.append(pick.way)
        bought.append(standing(pick.way, TRUE[pick.way]))
        left = None if left is None else max(0.0, left - pick.seconds)


def test_baselines_zero_shot_and_head_come_before_shots_lora_and_search():
    assert whole_order() == list(SECONDS)


def test_of_ways_that_are_worth_nearly_the_same_a_prompt_comes_last():
    shots, head = Purchase("way", "prompt_shots", "prompt", 160.0), Purchase("way", "tune_head", "fine-tune", 165.0)
    stands = verdict(standing("base_tfidf", 0.5), standing("base_encoder", 0.7), standing("prompt_plain", 0.2))
    for offers in ([shots, head], [head, shots]):
        assert choose(offers, MARKET, stands, 260.0) == head
    dear = replace(head, seconds=2 * shots.seconds)
    assert choose([shots, dear], MARKET, stands, None) == shots
    seeds = [replace(shots, what="seed"), replace(head, what="seed")]  # nothing of this holds for what is known
    assert choose(seeds, MARKET, stands, None) == choose(seeds[::-1], MARKET, stands, None)


def test_a_measured_way_gets_seeds_only_where_they_may_change_the_choice():
    stands = verdict(standing("base_tfidf", 0.5), standing("tune_head", 0.77), standing("tune_probe", 0.3))
    market = replace(MARKET, kinds={name: KINDS[name] for name in ("base_tfidf", "tune_head", "tune_probe")})
    offers = [Purchase("seed", name, "fine-tune", 60.0) for name in ("tune_probe", "tune_head")]
    near = verdict(standing("base_tfidf", 0.76), standing("tune_head", 0.77), standing("tune_probe", 0.3))
    assert gains_of(offers, market, stands)[0] < 1e-6
    assert gains_of(offers, market, near)[1] > 100 * gains_of(offers, market, near)[0]
    assert gains_of(offers, market, near)[1] > gains_of(offers, market, stands)[1]


def test_a_fold_is_worth_most_where_ways_are_close():
    market = replace(MARKET, kinds={name: KINDS[name] for name in ("base_tfidf", "tune_head")}, folds=1)
    fold = [Purchase("fold", "", "", 60.0)]
    close = verdict(standing("base_tfidf", 0.75), standing("tune_head", 0.77))
    far = verdict(standing("base_tfidf", 0.30), standing("tune_head", 0.77))
    assert gains_of(fold, market, close)[0] > 10 * gains_of(fold, market, far)[0]


def test_a_fold_waits_for_ways_that_fit():
    market = replace(MARKET, folds=1)
    offers = [Purchase("way", "tune_lora", "fine-tune", 500.0), Purchase("fold", "", "", 0.1)]
    stands = verdict(standing("base_tfidf", 0.75), standing("tune_head", 0.77))
    assert choose(offers, market, stands, None) == offers[0]
    assert choose(offers, market, stands, 600.0) == offers[0]
    assert choose(offers, market, stands, 200.0) == offers[1]


@pytest.mark.parametrize("number", range(6))
def test_the_order_is_one_of_the_costs_and_results_alone(number: int):
    rng = random.Random(number)
    seconds = {name: rng.uniform(1, 1000) for name in SECONDS}
    order = whole_order(seconds=seconds)
    assert sorted(order) == sorted(seconds)  # everything is bought in the end
    shuffled = dict(rng.sample(list(seconds.items()), len(seconds)))
    assert whole_order(seconds=shuffled) == order
    kinds = dict(rng.sample(list(KINDS.items()), len(KINDS)))
    offers = [Purchase("way", name, kinds[name], one) for name, one in seconds.items()]
    first, again = choose(offers, MARKET, None, None), choose(offers, replace(MARKET, kinds=kinds), None, None)
    assert first == again
    cheapest = min(offers, key=lambda offer: offer.seconds)
    near = [offer for offer in offers if offer.seconds <= NEAR * cheapest.seconds and offer.kind in AHEAD]
    assert first in (cheapest, *near)  # where nothing stands yet, all ways are worth the same
    assert first == choose(offers, MARKET, None, None, pace=3.0)
    cheaper = replace(offers[-1], seconds=0.1)
    assert choose([*offers[:-1], cheaper], MARKET, None, None) == cheaper


@pytest.mark.parametrize("limit", [3.0, 20.0, 100.0, 400.0, 3000.0])
def test_what_is_bought_fits(limit: float):
    order = whole_order(limit=limit)
    assert sum(SECONDS[name] for name in order[:-1]) <= limit
    assert sum(SECONDS[name] for name in order) <= 1.5 * limit
    if limit >= 20:
        assert order[:2] == ["base_majority", "base_tfidf"]
    assert len(whole_order(limit=2 * limit)) >= len(order)


def test_what_may_fit_by_a_hair_is_worth_trying_and_what_cannot_fit_is_not():
    offer = [Purchase("way", "tune_lora", "fine-tune", 100.0)]
    assert choose(offer, MARKET, None, 90.0) is not None
    assert choose(offer, MARKET, None, 60.0) is None
    assert choose(offer, MARKET, None, 0.0) is None
    assert choose(offer, MARKET, None, 90.0, pace=2.0) is None
    assert choose([], MARKET, None, None) is None
    assert chance_to_fit(100, 100) == pytest.approx(0.5)
    assert chance_to_fit(100, 150) == pytest.approx(0.95)
