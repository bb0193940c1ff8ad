"""Heats: a way's candidates race on the same blocks of dev rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from bench_way import BenchWay
from contest_kit import make_components, settings_for, small_task
from scipy.special import ndtri

from whichway.contest import run
from whichway.contest.selection.candidate_race import CandidateRace, Contender, run_race
from whichway.contest.selection.race import Entry, Rules, looks
from whichway.contracts import RaceResult
from whichway.errors import BudgetSpent
from whichway.nouns import Budget, Candidate, Decoding, Prompt, Weights


def candidate(number: int, bias: float = 0.0) -> Candidate:
    decoding = Decoding(bias=(("a", bias),) if bias else ())
    return Candidate(Prompt(objective=f"prompt {number}"), Weights("fake", "fake"), decoding)


def held(
    scores: np.ndarray,
    keep: int = 1,
    calls: int | None = None,
    halve: bool = True,
    losses: np.ndarray | None = None,
    limit: int | None = None,
    candidates: Sequence[Candidate] | None = None,
) -> tuple[list[RaceResult], list[Contender]]:
    contenders = [Contender(Entry(c)) for c in candidates or [candidate(k) for k in range(len(scores))]]
    place = {id(contender): k for k, contender in enumerate(contenders)}
    bought = 0

    def answer(contender: Contender, to: int) -> None:
        nonlocal bought
        k, before = place[id(contender)], contender.entry.rows
        if limit is not None and bought + to - before > limit:
            raise BudgetSpent("empty")
        bought += to - before
        contender.entry.scores += scores[k, before:to].tolist()
        if losses is not None:
            contender.losses += losses[k, before:to].tolist()

    def price(some: Sequence[Contender], to: int) -> int:
        return sum(to - contender.entry.rows for contender in some)

    rules = Rules(looks(scores.shape[1]), margin=0.01, alpha=0.05)
    return run_race(contenders, CandidateRace(rules, answer, price, halve), keep, calls), contenders


def test_the_better_prompts_go_on_by_the_schedule_and_most_rows_are_saved():
    rng = np.random.default_rng(0)
    scores = (rng.random((16, 800)) < np.linspace(0.5, 0.8, 16)[:, None]).astype(float)
    ranked, contenders = held(scores)
    assert {r.candidate.id for r in ranked} == {contender.entry.candidate.id for contender in contenders}
    assert ranked[0].why == ""
    assert ranked[0].candidate.id in {candidate(k).id for k in (13, 14, 15)}
    assert sum(contender.entry.rows for contender in contenders) <= 0.4 * scores.size
    firsts = [runner.scores[:25] for runner in ranked]
    assert all(len(first) == 25 for first in firsts)


def test_a_cap_on_calls_is_never_passed_and_starts_the_halving_earlier():
    scores = np.tile(np.arange(800) % 2, (8, 1)).astype(float)
    for calls in (200, 300, 500, 900, 3000):
        ranked, contenders = held(scores, calls=calls)
        assert sum(contender.entry.rows for contender in contenders) <= calls
        assert ranked
    assert held(scores, calls=100)[0] == [] or len(held(scores, calls=100)[0][0].scores) <= 100 // 8


def test_a_spent_budget_leaves_what_was_measured():
    scores = np.tile(np.arange(400) % 2, (4, 1)).astype(float)
    ranked, _ = held(scores, limit=130)
    assert len(ranked) == 4
    assert {len(r.scores) for r in ranked} == {25}
    assert held(scores, limit=3)[0] == []


def test_of_candidates_that_differ_in_bias_one_goes_on():
    rng = np.random.default_rng(3)
    some = [candidate(0), candidate(0, 1.0), candidate(1), candidate(1, 1.0)]
    scores = (rng.random((4, 320)) < [[0.5], [0.9], [0.6], [0.5]]).astype(float)
    ranked, _ = held(scores, candidates=some)
    assert ranked[0].candidate == some[1]
    assert "other biases lead" in {runner.why for runner in ranked} or "shown worse" in {r.why for r in ranked}


def test_ties_are_broken_by_the_loss():
    scores = np.tile(np.arange(320) % 2, (2, 1)).astype(float)
    losses = np.array([np.full(320, 1.0), np.full(320, 0.5)])
    assert held(scores, losses=losses)[0][0].candidate == candidate(1)
    assert held(scores)[0][0].candidate == candidate(0)


def test_a_last_comparison_drops_only_who_is_shown_worse():
    rng = np.random.default_rng(5)
    alike = (rng.random((2, 320)) < 0.6).astype(float)
    ranked, _ = held(alike, halve=False)
    assert [len(r.scores) for r in ranked] == [320, 320]
    apart = (rng.random((2, 320)) < [[0.2], [0.9]]).astype(float)
    ranked, _ = held(apart, halve=False)
    assert (ranked[0].candidate, ranked[1].why) == (candidate(1), "shown worse")
    assert len(ranked[1].scores) < 320


def test_finalists_are_rarely_shown_worse_than_those_of_a_full_evaluation():
    rng, worse, rows, full = np.random.default_rng(11), 0, 0, 0
    for spread in [0.0, 0.03, 0.08] * 66 + [0.03] * 2:
        skills = np.clip(0.6 + spread * rng.normal(size=16), 0, 1)
        latent = 0.77 * rng.normal(size=1400) + 0.63 * rng.normal(size=(16, 1400))  # prompts of one model are alike
        scores = (latent < ndtri(skills)[:, None]).astype(float)
        ranked, contenders = held(scores[:, :400])
        first = int(ranked[0].candidate.prompt.objective.split()[1])
        whole = int(np.argmax(scores[:, :400].mean(1)))
        gap = scores[first, 400:] - scores[whole, 400:]
        worse += bool(gap.std() and gap.mean() / (gap.std(ddof=1) / math.sqrt(1000)) < -1.96)
        rows, full = rows + sum(contender.entry.rows for contender in contenders), full + 16 * 400
    assert 1 - rows / full >= 0.6
    assert worse / 200 <= 0.05


def at_bench(tmp_path, work, calls: int | None = None):
    task = small_task(150, 120, 70)
    components = make_components(task)
    components = replace(components, ways={**components.ways, "probe": BenchWay(work)})
    settings = replace(settings_for(tmp_path, {"probe": {}}), seeds=(0,), budget=Budget(calls=calls))
    return run(task, components, folder=tmp_path / "run", settings=settings)


def test_biases_share_their_answers_at_the_bench(tmp_path):
    told = {}

    def work(task, bench):
        plain = Candidate(Prompt(objective="Which?", labels=task.labels), bench.base, Decoding())
        moved = replace(plain, decoding=Decoding(bias=((task.labels[3], 50.0),)))
        bench.score(plain, task.dev[:20])
        told["before"], told["price"] = bench.spent.calls, bench.price(moved, task.dev[:30])
        told["texts"] = {r.text for r in bench.score(moved, task.dev[:20])}
        told["after"], told["label"] = bench.spent.calls, task.labels[3]
        return plain

    at_bench(tmp_path, work)
    assert (told["before"], told["price"], told["after"]) == (20, 10, 20)
    assert told["texts"] == {told["label"]}


def test_a_race_at_the_bench_keeps_to_its_calls_and_knows_what_is_left(tmp_path):
    told = {}

    def work(task, bench):
        prompts = [Prompt(objective=f"Which {k}?", labels=task.labels) for k in range(4)]
        some = [Candidate(prompt, bench.base, Decoding()) for prompt in prompts]
        told["ranked"] = bench.race(some, calls=180)
        told["spent"], told["left"] = bench.spent.calls, bench.left.calls
        return told["ranked"][0].candidate

    at_bench(tmp_path, work, calls=400)
    assert told["spent"] <= 180
    assert told["spent"] + told["left"] == 400
    assert len(told["ranked"]) == 4
    assert all(len(r.scores) == len(r.texts) >= 30 for r in told["ranked"])


@pytest.mark.parametrize("keep", [1, 2])
def test_as_many_are_left_as_are_wanted(keep):
    rng = np.random.default_rng(keep)
    scores = (rng.random((8, 800)) < np.linspace(0.5, 0.7, 8)[:, None]).astype(float)
    ranked, _ = held(scores, keep=keep)
    assert sum(r.why == "" for r in ranked) >= keep


def test_a_race_is_won_by_the_metric_and_not_by_right_rows():
    scores = np.zeros((2, 64))
    scores[0, :40], scores[1, :20] = 1.0, 1.0
    contenders = [Contender(Entry(candidate(k))) for k in range(2)]
    better = {contenders[0].entry.candidate.id: -0.2, contenders[1].entry.candidate.id: 0.4}
    rules = Rules((32, 64), 0.01, 0.05, value=lambda e, n: better[e.candidate.id], sequence=False,
                  row_values=lambda e, n: [better[e.candidate.id]] * n)  # fmt: skip

    def answer(contender, rows):
        contender.entry.scores += scores[contenders.index(contender), contender.entry.rows : rows].tolist()

    ranked = run_race(contenders, CandidateRace(rules, answer, lambda some, rows: len(some) * rows), 1, None)
    assert [runner.value for runner in ranked] == [0.4, -0.2]
    assert set(ranked[0].scores) == {0.4}
