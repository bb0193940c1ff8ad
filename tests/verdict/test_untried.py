"""Ways that a run against the clock did not try keep a verdict from being called decided where they may be better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from whichway.findings import Missing
from whichway.verdict.decide import Arm, Extras, decide


def arm(way: str, kind: str, right: float, cost: float) -> Arm:
    rng = np.random.default_rng(len(way))
    scores = (rng.random((1, 400)) < right).astype(float)
    return Arm(way=way, kind=kind, scores=scores, candidates=("c",), dev_scores=(right,), usd_total=cost)


ARMS = [arm("base_majority", "baseline", 0.1, 1.0), arm("base_encoder", "baseline", 0.7, 2.0)]


def missing(what: str, way: str, kind: str) -> Missing:
    return Missing(what, way, kind, 120.0)


def test_what_was_not_tried_keeps_a_clear_result_from_being_decided():
    assert decide(ARMS).sureness == "decided"
    tuned = missing("way", "tune_lora", "fine-tune")
    verdict = decide(ARMS, extras=Extras(missing=(tuned, missing("seed", "tune_head", "fine-tune"))))
    assert verdict.choice == "base_encoder"
    assert verdict.answer == "undecided"
    assert verdict.sureness in ("leaning", "toss-up")
    assert "Not tried for want of time: tune_lora." in verdict.headline
    chance = verdict.missing[0].chance
    assert 0.05 < chance < 0.6
    assert verdict.missing[1].chance is None
    own = next(odds for odds in verdict.odds if odds.way == "base_encoder")
    assert own.near_best <= 1 - chance + 0.01
    assert verdict.would_decide[0].startswith("About 2 more minutes: tune_lora was not tried; with a probability of ")
    assert not any("test rows" in sentence for sentence in verdict.would_decide)


def test_seeds_that_are_missing_leave_a_decision_as_it_is():
    plain = decide(ARMS)
    verdict = decide(ARMS, extras=Extras(missing=(missing("seed", "tune_head", "fine-tune"),)))
    assert (verdict.answer, verdict.sureness, verdict.headline) == (plain.answer, plain.sureness, plain.headline)
    assert "further seeds of tune_head" in verdict.would_decide[0]


def test_missing_folds_take_the_place_of_more_seeds():
    arms = [ARMS[1], replace(arm("tune_head", "fine-tune", 0.7, 3.0), random=True)]
    assert any("At least 3 seeds" in sentence for sentence in decide(arms).would_decide)
    verdict = decide(arms, extras=Extras(missing=(missing("fold", "", ""),)))
    assert not any("seeds" in sentence for sentence in verdict.would_decide)


def test_nothing_tried_says_so():
    verdict = decide([], extras=Extras(missing=(missing("way", "tune_lora", "fine-tune"),)))
    assert verdict.choice is None
    assert "Not tried for want of time: tune_lora." in verdict.headline
    assert verdict.would_decide[0] == "About 2 more minutes: tune_lora was not tried."


def test_ways_that_learn_nothing_tell_nothing_of_what_learning_would_reach():
    learners = [arm("base_tfidf", "baseline", 0.52, 1.0), arm("base_encoder", "baseline", 0.69, 2.0)]
    floors = [arm("base_majority", "baseline", 0.07, 0.5), arm("prompt_plain", "prompt", 0.18, 3.0)]
    extras = Extras(missing=(missing("way", "tune_head", "fine-tune"),))
    alone, beside = (decide(ways, extras=extras).missing[0].chance for ways in (learners, [*floors, *learners]))
    assert abs(alone - beside) <= 0.02
    assert beside > 0.1
