"""Variety is what it says on texts worked out by hand; intervals hold at few inputs; sentences are backed."""

import random

import numpy as np
import pytest
from test_sentences import unbacked

from whichway.verdict import Arm, decide
from whichway.verdict import variety as v
from whichway.verdict.decide import Extras

WORDS = tuple("sunseasandwindwavegullboatsailropesalttidemoonstar"[i : i + 4] for i in range(0, 48, 3))


def arm(way, texts, scores=None, draws=True, **more):
    texts = tuple(tuple(tuple(row) for row in seed) for seed in texts)
    n = len(texts[0])
    scores = np.full((len(texts), n), 0.8) if scores is None else np.asarray(scores, dtype=float)
    return Arm(way=way, kind="prompt", scores=scores, texts=texts, draws=draws, **more)


def drawn(rng, inputs, answers, spread, length=8):
    """Answers that share their first words: the more of them are drawn anew, the larger `spread` (0..1)."""
    fresh = round(spread * length)
    rows = []
    for _ in range(inputs):
        start = [rng.choice(WORDS) for _ in range(length - fresh)]
        rows.append([" ".join(start + [rng.choice(WORDS) for _ in range(fresh)]) for _ in range(answers)])
    return [rows]


# --- by hand


def test_distinct_counts_different_ngrams_over_all():
    texts = ["the cat sat", "the cat ran"]
    assert v.distinct(texts, 1) == pytest.approx(4 / 6)
    assert v.distinct(texts, 2) == pytest.approx(3 / 4)
    assert np.isnan(v.distinct(["one"], 2))
    found = v.variety(v.answers_of(arm("a", [[["one", "two"], ["one two", "one two"]]]), 2), 0.95)
    assert found.distinct_2.value == pytest.approx(1 / 2)
    assert v.variety(v.answers_of(arm("a", [[["one", "two"]] * 2]), 2), 0.95).distinct_2 is None
    assert v.distinct(["猫が", "猫が"], 1) == pytest.approx(1 / 2)


def test_equal_texts_are_wholly_alike_and_strange_ones_not_at_all():
    assert v.self_bleu(["a b c d"] * 3) == v.similarity(["a b c d"] * 3) == v.agreement(["a b c d"] * 3) == 1.0
    assert v.similarity(["xxxx", "yyyy"]) == v.agreement(["xxxx", "yyyy"]) == 0.0
    assert v.agreement(["A b", "a  B", "c"]) == pytest.approx(1 / 3)
    assert v.similarity(["", "abc"]) == 0.0
    assert v.self_bleu(["", "abc def"]) == pytest.approx(0.0, abs=0.01)


def test_similarity_and_self_bleu_are_sacrebleus():
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    one, two, three = "the old dog waits at home", "the old dog sleeps at home", "a bird flew off"
    both = CHRF().sentence_score(one, [two]).score + CHRF().sentence_score(two, [one]).score
    assert v.chrf(one, two) == pytest.approx(both / 200)
    scores = [BLEU(effective_order=True).sentence_score(a, b).score for a, b in
              ((one, [two, three]), (two, [one, three]), (three, [one, two]))]  # fmt: skip
    assert v.self_bleu([one, two, three]) == pytest.approx(np.mean(scores) / 100)


def test_more_spread_is_more_variety_by_every_measure():
    rng = random.Random(3)
    few, many = (v.variety(v.answers_of(arm("a", drawn(rng, 30, 4, s)), 4), 0.95) for s in (0.25, 1.0))
    assert few.similarity.value > many.similarity.value
    assert few.self_bleu.value > many.self_bleu.value
    assert few.distinct_1.value < many.distinct_1.value
    assert few.distinct_2.value < many.distinct_2.value
    assert few.similarity.low < few.similarity.value < few.similarity.high


# --- what is exact, what is not known


def test_one_answer_always_is_exact_and_counts_as_often_as_others_are_asked():
    once = v.answers_of(arm("a", [[["the cat sat"], ["a dog ran off"], ["go"]]], draws=False), 5)
    found = v.variety(once, 0.95)
    assert (found.answers, found.drawn) == (5, False)
    assert found.similarity.exact
    assert found.similarity.value == found.agreement.value == found.self_bleu.value == 1.0
    assert found.similarity.low is None
    assert found.distinct_1.value == pytest.approx(1 / 5)
    assert not found.distinct_1.exact


def test_without_repeats_or_texts_nothing_is_measured():
    assert v.answers_of(arm("a", [[["x"], ["y"]]]), 1) is None
    assert v.answers_of(arm("a", [[["x"], ["y"]]]), 5) is None
    assert v.answers_of(Arm(way="a", kind="prompt", scores=np.ones((1, 2))), 5) is None
    assert decide([arm("a", [[["x"], ["y"]]], draws=False)]).varieties == ()


def test_answers_of_seeds_are_compared_within_a_seed_only():
    seeds = [[["a b c", "a b c"]] * 3, [["x y z", "x y z"]] * 3]
    found = v.variety(v.answers_of(arm("a", seeds, scores=np.ones((2, 3))), 2), 0.95)
    assert found.similarity.value == 1.0


def test_equal_answers_of_few_inputs_do_not_pass_for_certain():
    five = v.variety(v.answers_of(arm("a", [[["the same"] * 3] * 5]), 3), 0.95)
    assert five.agreement.value == 1.0
    assert five.agreement.low == pytest.approx(0.05 ** (1 / 5))
    forty = v.variety(v.answers_of(arm("a", [[["the same"] * 3] * 40]), 3), 0.95)
    assert forty.agreement.low == pytest.approx(0.05 ** (1 / 40))
    assert five.agreement.low < forty.agreement.low < 1.0


def test_a_single_input_has_no_interval():
    found = v.variety(v.answers_of(arm("a", [[["a b", "c d"]]]), 2), 0.95)
    assert found.similarity.low is None
    assert found.across is None


@pytest.mark.parametrize("n", [5, 10, 40])
def test_intervals_hold_the_truth_at_few_inputs(n):
    rng, held, worlds = np.random.default_rng(n), 0, 400
    for _ in range(worlds):
        low, high = v.ends_of(rng.beta(4, 3, size=n), None, 0.95)
        held += low <= 4 / 7 <= high
    assert 0.92 <= held / worlds <= 0.985


@pytest.mark.parametrize("n", [6, 25])
def test_intervals_over_pairs_of_inputs_hold_the_truth(n):
    rng, held, worlds = np.random.default_rng(n), 0, 200
    for _ in range(worlds):
        x = rng.normal(size=n)
        pairs = (x[:, None] + x[None, :]) * (1 - np.eye(n))  # its mean over pairs is 0
        low, high = v.pair_ends(pairs, 0.95)
        held += low <= 0 <= high
    assert 0.91 <= held / worlds <= 0.995


def test_intervals_go_by_clusters():
    values = np.repeat(np.random.default_rng(1).random(6), 10)
    alone = v.ends_of(values, None, 0.95)
    grouped = v.ends_of(values, tuple(f"g{i // 10}" for i in range(60)), 0.95)
    assert grouped[1] - grouped[0] > 2 * (alone[1] - alone[0])


def test_answers_to_different_inputs_are_compared_too():
    same = v.across(["dear friend, I am lost"] * 4, 0.95)
    assert same.value == 1.0
    apart = v.across(["aaaa bbbb", "cccc dddd", "eeee ffff", "gggg hhhh"], 0.95)
    assert apart.value < 0.1
    assert v.across(["a", "b"], 0.95).low is None


# --- the sentences


def trio(n=24, hot=0.8):
    rng = random.Random(5)
    cold = arm("cold", [[row[:1] for row in drawn(rng, n, 1, 0.5)[0]]], draws=False)
    warm, wild = arm("warm", drawn(rng, n, 4, 0.25)), arm("wild", drawn(rng, n, 4, 1.0), np.full((1, n), hot))
    return [cold, warm, wild]


def said(arms, **more):
    verdict = decide(arms, extras=Extras(repeats=4), **more)
    return verdict, [s.text for s in verdict.sentences if s.part == "variety"]


def test_who_wants_variety_and_who_wants_sameness_each_get_their_answer():
    verdict, texts = said(trio())
    assert [x.way for x in verdict.varieties] == ["cold", "warm", "wild"]
    assert texts[0].startswith("If you want variety, take wild: two of its answers to one input are ")
    assert texts[0].endswith("It is shown to be more varied than warm.")
    assert texts[1].startswith("If you want sameness, take cold: it does not sample")
    assert len(texts) == 2
    assert unbacked(verdict) == []


def test_a_way_that_is_shown_worse_is_not_taken_for_its_variety():
    verdict, texts = said(trio(hot=0.1))
    assert not next(s for s in verdict.standings if s.way == "wild").not_worse
    assert texts[0].startswith("If you want variety, take warm")
    assert "more varied" not in texts[0]
    cold, _, wild = trio(hot=0.1)
    texts = said([cold, wild])[1]
    assert texts[0].startswith("If you want variety, it costs quality: every way that samples its answers is")
    assert unbacked(said([cold, wild])[0]) == []


def test_few_inputs_are_named_and_equal_variety_is_not_called_more():
    rng = random.Random(8)
    verdict, texts = said([arm("one", drawn(rng, 5, 4, 0.5)), arm("two", drawn(rng, 5, 4, 0.5))])
    assert "It is not shown to be more varied than" in texts[0]
    assert texts[-1].startswith("This rests on 5 inputs with 4 answers each")
    assert unbacked(verdict) == []


def test_where_nobody_draws_the_way_to_variety_is_told():
    texts = said(trio()[:1] * 1 + [arm("fixed", [[["b c"]] * 24], draws=False)])[1]
    assert "no way samples its answers" in texts[0]
    assert "So does" in texts[1] or "So do" in texts[1]


def test_graded_scores_without_spread_are_not_called_certain():
    line = decide([arm("a", [[["x"]] * 5], scores=np.full((1, 5), 0.5), draws=False)]).standings[0]
    assert line.low < 0.2
    assert line.high > 0.8
