"""Break-even: the formula by hand, the four answers, uncertainty, retirement, payback, sensitivity."""

import numpy as np
import pytest

from whichway.verdict import Arm, decide
from whichway.verdict.breakeven import Costs, Price, Terms, break_even, costs_of, token_cost, with_sensitivity
from whichway.verdict.decide import Extras


def costs(way, fixed, unit, wrong=0.0, n=200, **more):
    return Costs(way, fixed, np.full((1, n), unit), np.full((1, n), wrong), **more)


def test_the_formula_by_hand():
    prompt, tuned = costs("p", 10.0, 0.004, 0.3, hosting=0.0), costs("t", 110.0, 0.001, 0.2, hosting=2.0)
    terms = Terms(volume=100.0, days=30.0, wrong_answer_usd=0.02)
    found = break_even(prompt, tuned, terms)
    n_star = (110 - 10 + 2.0 * 30) / ((0.004 + 0.3 * 0.02) - (0.001 + 0.2 * 0.02))
    assert found.answer == "break-even"
    assert found.requests == pytest.approx(n_star)
    assert found.per_day == pytest.approx(n_star / 30)
    assert (found.below, found.above) == ("p", "t")
    assert found.p_never == 0.0
    assert found.total_first == pytest.approx(10 + 100 * 30 * 0.010)
    assert found.total_second == pytest.approx(110 + 60 + 100 * 30 * 0.005)
    assert found.p_second_cheaper == 0.0  # 32,000 requests are needed, 3,000 come


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [
        ((1.0, 0.002), (0.5, 0.001), "dominates"),
        ((1.0, 0.001), (5.0, 0.002), "never"),
        ((1.0, 0.002), (5.0, 0.001), "break-even"),
        ((5.0, 0.001), (1.0, 0.002), "break-even"),
        ((1.0, 0.001), (1.0, 0.001), "never"),
        ((1.0, 0.002), (1.0, 0.001), "dominates"),
    ],
)
def test_the_answers(first, second, answer):
    found = break_even(costs("a", *first), costs("b", *second), Terms())
    assert found.answer == answer


def test_the_way_with_the_cheaper_start_is_below_whoever_comes_first():
    found = break_even(costs("a", 5.0, 0.001), costs("b", 1.0, 0.002), Terms())
    assert (found.below, found.above) == ("b", "a")
    assert found.requests == pytest.approx(4000)


def errors(rng, p, n=300, groups=1):
    hard = np.repeat(rng.normal(size=n // groups), groups)
    return (hard + rng.normal(size=n) < np.sqrt(2) * p)[None].astype(float)


def test_errors_on_few_rows_make_it_undecided_and_on_many_they_decide():
    rng = np.random.default_rng(1)
    few = [Costs(w, f, np.full((1, 60), 0.001), errors(rng, -0.6, 60)) for w, f in (("a", 1.0), ("b", 50.0))]
    found = break_even(*few, Terms(wrong_answer_usd=1.0))
    assert found.answer == "undecided"
    assert 0.05 < found.p_never < 0.95
    one, two = (
        Costs(w, f, np.full((1, 4000), 0.001), errors(rng, p, 4000))
        for w, f, p in (("a", 1.0, -0.2), ("b", 50.0, -0.7))
    )
    found = break_even(one, two, Terms(wrong_answer_usd=1.0))
    assert found.answer == "break-even"
    assert found.requests_low < found.requests < found.requests_high


def test_the_interval_of_the_ratio_covers():
    rng, held = np.random.default_rng(2), 0
    for _ in range(120):
        wrong = [(rng.random((1, 400)) < p).astype(float) for p in (0.4, 0.2)]
        pair = [
            Costs(w, f, np.full((1, 400), 0.01), e) for (w, f), e in zip((("a", 0.0), ("b", 100.0)), wrong, strict=True)
        ]
        found = break_even(*pair, Terms(wrong_answer_usd=1.0), resamples=400)
        truth = 100 / 0.2
        held += found.requests_low <= truth <= (found.requests_high or np.inf)
    assert held / 120 >= 0.83  # 90 % intervals, known to ±5.4 points


def test_clusters_widen_and_seeds_are_drawn():
    rng = np.random.default_rng(3)
    wrong = np.repeat((rng.random((1, 40)) < 0.3).astype(float), 10, axis=1)
    a, b = Costs("a", 0.0, np.full((1, 400), 0.01), 1 - wrong * 0.5), Costs("b", 100.0, np.full((1, 400), 0.01), wrong)
    terms = Terms(wrong_answer_usd=1.0)
    plain, grouped = break_even(a, b, terms), break_even(a, b, terms, [i // 10 for i in range(400)])
    assert grouped.requests_high - grouped.requests_low > 2 * (plain.requests_high - plain.requests_low)
    shaky = Costs("b", 100.0, np.full((3, 400), 0.01), np.stack([np.full(400, e) for e in (0.1, 0.3, 0.5)]))
    steady = Costs("b", 100.0, np.full((3, 400), 0.01), np.full((3, 400), 0.3))
    first = Costs("a", 0.0, np.full((1, 400), 0.01), np.full((1, 400), 0.9))
    assert break_even(first, steady, terms).requests_low == break_even(first, steady, terms).requests_high
    assert break_even(first, shaky, terms).requests_low < break_even(first, shaky, terms).requests_high


def test_retirement_adds_a_retraining_each_time():
    tuned = costs("t", 100.0, 0.001, retrain=50.0, retire_days=90.0)
    assert tuned.lump(89) == 100.0
    assert tuned.lump(365) == 100.0 + 4 * 50.0
    found = break_even(costs("p", 0.0, 0.002), tuned, Terms(volume=500.0, days=365.0))
    assert found.requests == pytest.approx(300 / 0.001)
    assert found.p_second_cheaper == 0.0


def test_payback_is_the_first_day_on_which_it_has_come_back():
    found = break_even(costs("p", 0.0, 0.002), costs("t", 10.0, 0.001), Terms(volume=1000.0, days=30.0))
    assert found.pays_back_days == 10
    assert (
        break_even(costs("p", 0.0, 0.002), costs("t", 10.0, 0.001), Terms(volume=100.0, days=30.0)).pays_back_days
        is None
    )


def arm(way, kind, usd_fit, **more):
    return Arm(way=way, kind=kind, scores=np.full((1, 50), 0.5), usd_fit=usd_fit, usd_per_1000=1.0, **more)


def test_prompt_caching_moves_it_tenfold():
    many = arm("p", "prompt", 0.0, tokens_in=50.0, tokens_cached=2000.0, tokens_out=5.0)
    dear, cheap = Price("full", 1.0, 1.0, 4.0), Price("cached", 1.0, 0.1, 4.0)
    assert token_cost(many, dear).mean() == pytest.approx((50 + 2000 + 20) / 1e6)
    assert token_cost(many, cheap).mean() == pytest.approx((50 + 200 + 20) / 1e6)
    tuned = arm("t", "fine-tune", 30.0, tokens_in=50.0, tokens_out=5.0)
    n = {}
    for name, price in (("full", dear), ("cached", cheap)):
        terms = Terms(prices=(("p", price), ("t", Price("tuned", 2.0, 2.0, 8.0))))
        n[name] = break_even(costs_of(many, terms), costs_of(tuned, terms), terms).requests
    assert n["cached"] / n["full"] > 9


def test_terms_enter_the_costs():
    terms = Terms(label_usd=0.2, hosting=(("t", 3.0),), retire_days=30.0, retrain_usd=7.0)
    tuned = costs_of(arm("t", "fine-tune", 1.0, labels_used=500), terms)
    assert tuned.fixed == pytest.approx(101.0)
    assert tuned.lump(60) == pytest.approx(101.0 + 180.0 + 14.0)
    prompt = costs_of(arm("p", "prompt", 1.0, labels_used=8), terms)
    assert prompt.lump(60) == pytest.approx(1.0 + 1.6)


def test_swings_show_what_halving_and_doubling_does():
    first, second = arm("p", "prompt", 1.0), arm("t", "fine-tune", 31.0)
    first = Arm(way="p", kind="prompt", scores=first.scores, usd_fit=1.0, usd_per_1000=2.0)
    terms = Terms(days=30.0)
    found = with_sensitivity(break_even(costs_of(first, terms), costs_of(second, terms), terms), first, second, terms)
    assert found.per_day == pytest.approx(1000)
    swings = {s.assumption: (s.at_low, s.at_high) for s in found.swings}
    assert swings["making t"] == pytest.approx((14.5 / 0.001 / 30, 61 / 0.001 / 30))
    assert swings["1,000 requests to p"] == (None, pytest.approx(30 / 0.003 / 30))
    assert swings["days"] == pytest.approx((2000, 500))


def test_what_trainings_add_from_fold_to_fold_widens_the_interval():
    rng = np.random.default_rng(6)
    pair = [Costs(w, f, np.full((1, 400), u), (rng.random((1, 400)) < p).astype(float))
            for w, f, u, p in (("prompt", 1.0, 0.01, 0.4), ("tuned", 50.0, 0.001, 0.2))]  # fmt: skip
    terms = Terms(wrong_answer_usd=0.1)
    rows, both = break_even(*pair, terms), break_even(*pair, terms, trainings=0.04)
    assert both.requests == pytest.approx(rows.requests, rel=0.1)
    assert both.requests_high - both.requests_low > 1.2 * (rows.requests_high - rows.requests_low)
    free = Terms()  # where a wrong answer costs nothing, scores do not matter
    assert break_even(*pair, free, trainings=0.04) == break_even(*pair, free)


def test_the_break_even_of_a_verdict_knows_its_folds():
    rng = np.random.default_rng(7)
    prompt, tuned = (rng.random((1, 300)) < p for p in (0.6, 0.8))
    folds = np.arange(300) % 5

    def found(of):
        arms = [
            Arm(way=w, kind=k, scores=x.astype(float), usd_fit=f, usd_per_1000=u, folds=of, random=w == "tune_lora",
                candidates=tuple(f"{w}{n}" for n in range(5)) if of is not None else ("one",))
            for w, k, x, f, u in (("prompt_plain", "prompt", prompt, 0, 9), ("tune_lora", "fine-tune", tuned, 40, 1))
        ]  # fmt: skip
        return decide(arms, extras=Extras(terms=Terms(wrong_answer_usd=0.1))).break_even

    single, folded = found(None), found(folds)
    assert folded.requests_high - folded.requests_low > single.requests_high - single.requests_low
