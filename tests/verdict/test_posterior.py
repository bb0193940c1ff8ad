"""Expected regret and the chance to be near the best: against closed forms, symmetries and simulated worlds."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whichway.verdict import Arm, decide
from whichway.verdict.breakeven import Terms
from whichway.verdict.compare import Table
from whichway.verdict.decide import Extras
from whichway.verdict.posterior import noise, posterior, sample

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import simulate_advice as sim


def arm(way, kind, scores, usd=1.0, **facts):
    return Arm(way=way, kind=kind, scores=np.atleast_2d(np.asarray(scores, dtype=float)), usd_total=usd, **facts)


def rows(n, *counts):
    """0/1 scores of several arms, right on the first so many rows."""
    return [np.arange(n) < count for count in counts]


def test_the_noise_is_that_of_paired_rows():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 200))
    table = Table([arm("a", "prompt", a), arm("b", "fine-tune", b)], 0.95)
    found = noise(table)
    d = b - a
    wanted = d.var(ddof=1) / 200 + 1 / 200**2
    assert found[0, 0] + found[1, 1] - 2 * found[0, 1] == pytest.approx(wanted)


def test_groups_widen_the_noise():
    x = np.repeat(np.arange(20) % 2, 10)
    plain = Table([arm("a", "prompt", x), arm("b", "prompt", 1 - x)], 0.95)
    groups = tuple(f"g{i // 10}" for i in range(200))
    grouped = Table([replace(one, groups=groups) for one in plain.arms], 0.95)
    assert noise(grouped)[0, 0] > 5 * noise(plain)[0, 0]


def test_a_seed_that_was_not_repeated_is_as_noisy_as_the_others():
    rng = np.random.default_rng(1)
    many = (rng.random((3, 100)) < np.array([[0.5], [0.7], [0.9]])).astype(float)
    table = Table([arm("a", "fine-tune", many, random=True), arm("b", "both", many[0], random=True)], 0.95)
    assert noise(table)[1, 1] > 0.9 * table.seed_part(0) > 0.005


def test_draws_have_the_posterior_mean_between_what_was_seen_and_the_common_mean():
    seen = np.array([0.5, 0.6, 0.7])
    draws = sample(seen, np.eye(3) * 0.05**2, ("prompt", "prompt", "fine-tune"))
    assert (draws == sample(seen, np.eye(3) * 0.05**2, ("prompt", "prompt", "fine-tune"))).all()
    mean = draws.mean(axis=0)
    assert seen[0] < mean[0] < mean[1] < mean[2] < seen[2]


def test_equal_ways_share_the_chances():
    base = rows(100, 70)[0]
    table = Table([arm(w, "prompt", np.roll(base, 25 * k)) for k, w in enumerate("abcd")], 0.95)
    found = posterior(table)
    assert found.regret() == pytest.approx([found.regret().mean()] * 4, abs=0.003)
    assert found.near_best(1.0) == pytest.approx([1.0] * 4)


def test_nothing_is_said_of_one_way_or_one_row():
    assert posterior(Table([arm("a", "prompt", [1, 0])], 0.95)) is None
    assert posterior(Table([arm("a", "prompt", [1]), arm("b", "prompt", [0])], 0.95)) is None


def test_a_clear_winner_is_decided_and_sure():
    a, b = rows(400, 200, 320)
    verdict = decide([arm("p", "prompt", a), arm("t", "fine-tune", b, 2.0)])
    assert verdict.sureness == "decided"
    assert verdict.odds[0].way == "t"
    assert verdict.odds[0].near_best > 0.99
    assert verdict.runner_up == "p"


def test_few_rows_are_a_toss_up_that_follows_the_score_and_not_the_price():
    rng = np.random.default_rng(3)
    p = (rng.random(60) < 0.717).astype(float)
    t = (rng.random(60) < 0.833).astype(float)
    verdict = decide([arm("base_majority", "baseline", p, 0.1), arm("tune_lora", "fine-tune", t, 0.1017)])
    assert verdict.answer == "undecided"
    assert verdict.choice == "tune_lora"
    assert verdict.sureness in ("leaning", "toss-up")
    assert "expected loss" in verdict.headline


def test_nearly_equal_ways_are_told_apart_by_cost():
    rng = np.random.default_rng(4)
    base = (rng.random(300) < 0.7).astype(float)
    verdict = decide([arm("cheap", "prompt", base, 1.0), arm("dear", "fine-tune", np.roll(base, 7), 50.0)])
    assert verdict.answer == "undecided"
    assert verdict.choice == "cheap"


def test_a_price_of_wrong_answers_turns_points_into_money():
    a, b = rows(200, 140, 147)
    b = np.roll(b, 20)
    arms = [arm("cheap", "prompt", a, 10.0), arm("dear", "fine-tune", b, 3000.0)]
    assert decide(arms).answer == "undecided"
    cheap = decide(arms, extras=Extras(terms=Terms(volume=1000, wrong_answer_usd=0.001)))
    dear = decide(arms, extras=Extras(terms=Terms(volume=1000, wrong_answer_usd=5.0)))
    assert (cheap.choice, dear.choice) == ("cheap", "dear")
    assert all(o.usd_month is not None and o.usd_month >= 0 for o in (*cheap.odds, *dear.odds))
    assert cheap.odds[0].way == "cheap"


@pytest.mark.parametrize("prior", ["lora_land", "house", "close"])
def test_advice_costs_no_more_than_the_best_test_score(prior):
    found = sim.measure(prior, rows=75, count=150)
    assert found.regret_undecided <= 1.2 * found.best_test_undecided
    assert found.wrong_kind <= 0.02
