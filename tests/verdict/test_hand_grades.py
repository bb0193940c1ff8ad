"""Grades by hand decide, with the judge's error taken off; few of them decide nothing, and say what would."""

import json
from dataclasses import replace

import numpy as np
import pytest
from test_sentences import unbacked

from whichway.nouns import Verdict, from_json, to_json
from whichway.verdict import Arm, decide
from whichway.verdict.decide import Extras
from whichway.verdict.hand_grades import ENOUGH, graded_contest
from whichway.verdict.more_grades import GradesPredictive
from whichway.verdict.slices import RowFacts

N, TOP = 160, 4
ROWS = tuple(f"r{i}" for i in range(N))
KINDS = {"prompt_a": "prompt", "prompt_b": "prompt", "tune_c": "fine-tune"}


def world(rng, quality=(2.0, 2.0, 2.0), favour=0.0, noise=0.5):
    """True levels and a judge's, 0..TOP, by way; the judge favours fine-tunes by so many levels."""
    shared = rng.normal(size=N)
    true, judged = {}, {}
    for way, mean in zip(KINDS, quality, strict=True):
        exact = mean + 0.7 * shared + 0.6 * rng.normal(size=N)
        seen = exact + noise * rng.normal(size=N) + favour * (KINDS[way] == "fine-tune")
        true[way], judged[way] = (np.clip(np.rint(x), 0, TOP).astype(int) for x in (exact, seen))
    return true, judged


def judgements(judged):
    return tuple(
        {"what": "level", "way": way, "candidate": f"{way}-c", "example": row, "repeat": 0, "again": again,
         "text": f"{way}{row}", "score": level / TOP}
        for way, levels in judged.items() for row, level in zip(ROWS, levels.tolist(), strict=True)
        for again in range(2)
    )  # fmt: skip


def grades(true, places):
    return tuple(
        {"example": ROWS[i], "way": way, "repeat": 0, "text": f"{way}{i}", "level": int(levels[i]), "levels": TOP + 1}
        for i in places for way, levels in true.items()
    )  # fmt: skip


def arms():
    facts = {"scores": np.ones((1, N)), "dev_scores": (1.0,)}
    return [
        Arm(way=way, kind=kind, usd_total=float(k), candidates=(f"{way}-c",), **facts)
        for k, (way, kind) in enumerate(KINDS.items(), start=1)
    ]


def verdict(true, judged, count, rng, **more):
    places = rng.permutation(N)[:count]
    extras = Extras(judged=judgements(judged), grades=grades(true, places), rows=RowFacts(ids=ROWS))
    return decide(arms(), margin=0.02, extras=extras, **more)


def test_grades_decide_where_the_judge_favours_the_other_kind():
    rng = np.random.default_rng(1)
    true, judged = world(rng, (2.6, 2.6, 2.0), favour=1.2)
    alone = {s.way: s.score for s in verdict(true, judged, 60, rng).judgement.scores}
    assert alone["tune_c"] > alone["prompt_a"]
    found = verdict(true, judged, 60, rng)
    assert (found.answer, found.sureness) == ("prompt", "decided")
    excess = {s.way: s.excess for s in found.grading.scores}
    assert excess["tune_c"] > excess["prompt_a"] + 0.1
    for line in found.standings:
        assert line.low < true[line.way].mean() / TOP < line.high
    assert unbacked(found) == []
    assert from_json(Verdict, json.loads(json.dumps(to_json(found)))) == found


def test_without_grades_the_metric_decides_as_before():
    rng = np.random.default_rng(1)
    _, judged = world(rng, (2.6, 2.6, 2.0))
    extras = Extras(judged=judgements(judged), rows=RowFacts(ids=ROWS))
    found = decide(arms(), margin=0.02, extras=extras)
    assert found.grading is None
    assert "grading" not in to_json(found)
    assert {s.score for s in found.standings} == {1.0}


def test_few_grades_decide_nothing_and_say_how_many_do():
    rng = np.random.default_rng(2)
    true, judged = world(rng, (3.6, 3.6, 0.6))
    few = verdict(true, judged, ENOUGH - 5, rng)
    assert few.answer == "undecided"
    assert not few.grading.enough
    assert any(f"At least {ENOUGH} graded inputs" in w and "5 more" in w for w in few.would_decide)
    assert unbacked(few) == []
    assert verdict(true, judged, ENOUGH, rng).sureness == "decided"


def test_it_says_how_many_more_grades_would_decide_or_that_none_would():
    rng = np.random.default_rng(3)
    true, judged = world(rng, (2.2, 2.0, 2.0))
    open_verdict = verdict(true, judged, 30, rng)
    assert open_verdict.answer == "undecided"
    assert any("more graded inputs would decide" in w or "Grading all" in w for w in open_verdict.would_decide)
    assert unbacked(open_verdict) == []
    equal_true, equal_judged = world(rng)
    whole = verdict(equal_true, equal_judged, N, rng)
    assert any("All test inputs are graded" in w for w in whole.would_decide) or whole.sureness == "decided"


def test_more_grades_make_a_decision_likelier():
    rng = np.random.default_rng(4)
    true, judged = world(rng, (2.5, 2.0, 2.0))
    lines = grades(true, rng.permutation(N)[:25])
    contest = graded_contest(lines, judgements(judged), arms(), ROWS, 0.95)
    predictive = GradesPredictive(contest.table, 0.02)
    chances = [predictive.chance(count) for count in (10, 25, 60, N)]
    assert chances[0] == 0.0
    assert chances[1] <= chances[2] <= chances[3]


def test_a_way_that_was_not_graded_does_not_compete():
    rng = np.random.default_rng(5)
    true, judged = world(rng)
    lines = [line for line in grades(true, range(30)) if line["way"] != "prompt_b"]
    contest = graded_contest(lines, judgements(judged), arms(), ROWS, 0.95)
    assert [arm.way for arm in contest.table.arms] == ["prompt_a", "tune_c"]
    assert {arm.way: arm.status for arm in contest.arms}["prompt_b"] == "failed"
    assert graded_contest((), judgements(judged), arms(), ROWS, 0.95) is None


def test_the_finalist_that_was_judged_is_the_one_that_counts():
    rng = np.random.default_rng(6)
    true, judged = world(rng)
    three = [
        replace(arm, scores=np.ones((3, N)), candidates=("x", f"{arm.way}-c", "z"), row_usd=np.ones((3, N)))
        for arm in arms()
    ]
    contest = graded_contest(grades(true, range(30)), judgements(judged), three, ROWS, 0.95)
    assert {arm.shipped for arm in contest.arms} == {f"{way}-c" for way in KINDS}
    assert contest.table.arms[0].row_usd.shape == (1, N)


def test_equal_grades_on_a_few_inputs_do_not_show_ways_equal():
    rng = np.random.default_rng(7)
    true, judged = world(rng)
    same = dict.fromkeys(KINDS, true["prompt_a"])
    level = dict.fromkeys(KINDS, judged["prompt_a"])
    found = verdict(same, level, ENOUGH, rng)
    assert all(pair.low < -0.02 and pair.high > 0.02 for pair in found.pairs)


def test_looking_again_costs_confidence_and_says_so():
    rng = np.random.default_rng(1)
    true, judged = world(rng, (2.6, 2.6, 2.0))
    places = rng.permutation(N)[:60]
    once = grades(true, places)
    later = [{**line, "look": 1 if line["example"] in {ROWS[i] for i in places[:30]} else 3} for line in once]
    first, third = (
        decide(arms(), margin=0.02, extras=Extras(judged=judgements(judged), grades=g, rows=RowFacts(ids=ROWS)))
        for g in (once, tuple(later))
    )
    assert (first.confidence, first.grading.look) == (0.95, 1)
    assert (third.confidence, third.grading.look) == (0.9833, 3)
    assert any(r.startswith("Look 3 at grades") and "98.3 %" in r for r in third.reasons)
    assert not any("Look" in r for r in first.reasons)
    assert unbacked(third) == []
    for one, two in zip(first.grading.scores, third.grading.scores, strict=True):
        assert one.score == two.score
        assert two.low < one.low < one.high < two.high


def test_groups_count_as_one():
    rng = np.random.default_rng(8)
    true, judged = world(rng)
    grouped = [replace(arm, groups=tuple(f"g{i // 40}" for i in range(N))) for arm in arms()]
    contest = graded_contest(grades(true, range(0, N, 4)), judgements(judged), grouped, ROWS, 0.95)
    assert contest.table.graded_clusters == 4
    assert not contest.grading.enough


@pytest.mark.slow
@pytest.mark.parametrize("favour", [0.0, 0.8])
def test_intervals_cover(favour):
    rng, held, worlds = np.random.default_rng(9), 0, 400
    big = np.random.default_rng(10)
    wanted = {way: np.mean([world(big, (2.0, 2.2, 2.4))[0][way].mean() for _ in range(300)]) / TOP for way in KINDS}
    for _ in range(worlds):
        true, judged = world(rng, (2.0, 2.2, 2.4), favour)
        lines = grades(true, rng.permutation(N)[:40])
        table = graded_contest(lines, judgements(judged), arms(), ROWS, 0.95).table
        gap = table.compare(0, 2)
        held += gap.low <= wanted["tune_c"] - wanted["prompt_a"] <= gap.high
    assert 0.92 <= held / worlds <= 0.985
