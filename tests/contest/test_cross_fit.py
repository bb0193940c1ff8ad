"""A contest in folds: every row is test once, nothing is paid twice, and what ships is made of all rows."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.app.open_results import results_of
from whichway.contest import run
from whichway.nouns import Budget
from whichway.runs import folder as files
from whichway.runs.run import Run
from whichway.tasks.folds import cut, practice

WAYS = {
    "base_majority": {}, "prompt_plain": {}, "prompt_shots": {"counts": (4,), "kinds": ("knn",)},
    "tune_lora": {"factors": (0.5, 1.0), "checkpoints": 2},
}  # fmt: skip


SKILL = {"zero": 0.55, "shots": 0.62, "lora": 0.75, "probe": 0.35, "full": 0.6}


def folded_task(rows: int = 150):
    return cut(small_task(rows - 60, 30, 30), 5)


def components_of(task, **world):
    return make_components(replace(task, train=tuple(e for fold in task.folds for e in fold)), skill=SKILL, **world)


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    place = tmp_path_factory.mktemp("folds")
    task = folded_task()
    outcome = run(task, components_of(task), folder=place / "r", settings=settings_for(place, WAYS))
    return task, outcome, place / "r"


def test_every_row_is_test_once_dev_once_and_never_both_in_a_fold(held):
    task, _, _ = held
    tested = Counter(e.id for fold in task.folds for e in fold)
    dev = Counter(e.id for k in range(5) for e in practice(task, k).dev)
    assert set(tested.values()) == set(dev.values()) == {1}
    assert len(tested) == 150
    for k, fold in enumerate(task.folds):
        seen = practice(task, k)
        sides = [{e.id for e in rows} for rows in (seen.train, seen.dev, fold)]
        assert sum(map(len, sides)) == len(set().union(*sides)) == 150


def test_each_finalist_answers_its_fold_once_and_the_ledger_counts_it(held):
    task, outcome, path = held
    found = Run(path)
    for way in WAYS:
        finalists = found.finalists(way)
        assert [c.seed for c in finalists] == [0, 1, 2, 3, 4]
        for fold, candidate in zip(task.folds, finalists, strict=True):
            assert all((candidate.id, e.id) in found.test_records for e in fold)
    assert found.test_calls["tune_lora"] == found.test_calls["prompt_plain"] == 150
    assert {s.crossings for s in outcome.verdict.selections if s.way in found.test_calls} == {1.0}
    lines = {s.way: s for s in outcome.verdict.standings}
    assert {(s.rows, s.seeds, s.folds) for s in lines.values()} == {(150, 1, 5)}
    right = [found.test_records[lines["tune_lora"].candidates[k], e.id][0].points
             for k, fold in enumerate(task.folds) for e in fold]  # fmt: skip
    assert lines["tune_lora"].score == pytest.approx(sum(right) / 150)


def test_no_finalist_was_made_with_its_rows(held):
    task, _, path = held
    for fold, candidate in zip(task.folds, Run(path).finalists("prompt_shots"), strict=True):
        assert not {shot.text for shot in candidate.prompt.pool} & {e.text for e in fold}
        assert candidate.prompt.pool


def test_what_ships_is_made_of_all_rows_and_says_so(held):
    _, outcome, path = held
    verdict = outcome.verdict
    made = Run(path).refits
    assert list(made) == [verdict.choice]
    line = next(s for s in verdict.standings if s.way == verdict.choice)
    assert verdict.candidate == line.refit == made[verdict.choice]["id"]
    assert made[verdict.choice]["rows"] == 150
    told = " ".join(verdict.reasons)
    assert "on all 150 rows, each answered once" in told
    assert "What ships is" in told
    best = Run(path).best
    assert best is not None
    if best.weights.adapter is not None:
        assert files.adapter_folder(path, best.way, best.weights.adapter).is_dir()


def test_the_plan_holds_the_folds_and_refuses_others(held):
    task, _, path = held
    plan = Run(path).plan
    assert (plan.folds, plan.seeds, plan.rows["test"]) == (5, (0, 1, 2, 3, 4), 150)
    assert abs(plan.rows["train"] - 90) <= 2
    again = replace(cut(replace(task, folds=()), 4))
    with pytest.raises(files.PlanMismatch, match="folds: 5 -> 4"):
        run(again, components_of(task), folder=path, settings=settings_for(path.parent, WAYS))


def test_a_rerun_pays_nothing_and_changes_nothing(held):
    task, _, path = held
    before = (path / "verdict.json").read_bytes()
    ledger = (path / "ledger.jsonl").read_bytes()
    again = run(task, components_of(task), folder=path, settings=settings_for(path.parent, WAYS))
    assert (again.paid_seconds, again.paid_usd) == (0.0, 0.0)
    assert (path / "verdict.json").read_bytes() == before
    assert (path / "ledger.jsonl").read_bytes() == ledger


def test_killed_between_folds_nothing_is_paid_twice(tmp_path: Path, monkeypatch):
    from whichway.contest import cross_fit

    task = folded_task()
    ways = {name: WAYS[name] for name in ("prompt_plain", "tune_lora")}
    honest, calls = cross_fit._cross, []

    def dies(*given):
        calls.append(given)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return honest(*given)

    monkeypatch.setattr(cross_fit, "_cross", dies)
    with pytest.raises(KeyboardInterrupt):
        run(task, components_of(task), folder=tmp_path / "r", settings=settings_for(tmp_path, ways))
    monkeypatch.setattr(cross_fit, "_cross", honest)
    resumed = run(task, components_of(task), folder=tmp_path / "r", settings=settings_for(tmp_path, ways))
    whole = run(task, components_of(task), folder=tmp_path / "w" / "r", settings=settings_for(tmp_path / "w", ways))
    assert [s.score for s in resumed.verdict.standings] == [s.score for s in whole.verdict.standings]
    keys = [json.loads(line)["key"] for line in (tmp_path / "r" / "ledger.jsonl").open()]
    assert len(keys) == len(set(keys))
    paid = [sum(json.loads(line)["calls"] for line in (tmp_path / place / "ledger.jsonl").open())
            for place in ("r", "w/r")]  # fmt: skip
    assert paid[0] == paid[1]


def test_a_process_that_is_killed_between_folds_leaves_a_verdict(tmp_path: Path, monkeypatch):
    task, states, honest = cut(small_task(90, 30, 30), 3), [], files.os.replace

    def watched(source, goal):
        honest(source, goal)
        states.append(tmp_path / f"state-{len(states)}")
        shutil.copytree(tmp_path / "r", states[-1]) if (tmp_path / "r").exists() else None

    ways = {"base_majority": {}, "prompt_plain": {}, "tune_lora": {"factors": (1.0,), "checkpoints": 2}}
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", watched)
        run(task, components_of(task), folder=tmp_path / "r", settings=settings_for(tmp_path, ways))
    verdicts = [results_of(state).verdict() for state in states if list(state.glob("ways/*/status.json"))]
    assert len(verdicts) > 6
    assert all(verdict.standings for verdict in verdicts)
    left = [sum(one.what == "fold" for one in verdict.missing) for verdict in verdicts]
    assert left == sorted(left, reverse=True)
    assert (max(left), left[-1]) == (3, 0)
    rows = [verdict.rows for verdict in verdicts]
    assert rows == sorted(rows)
    assert rows[0] == len(task.folds[0])
    assert not (tmp_path / "r" / "clock.json").exists()


def test_a_purse_is_for_all_folds(tmp_path: Path):
    task = folded_task()
    settings = replace(
        settings_for(tmp_path, {"prompt_plain": {}, "prompt_shots": {}}), budget=Budget(calls=900)
    )  # fmt: skip
    outcome = run(task, components_of(task), folder=tmp_path / "r", settings=settings)
    shots = next(s for s in outcome.verdict.standings if s.way == "prompt_shots")
    assert shots.status == "ok"  # every fold had its part of the budget
    found = Run(tmp_path / "r")
    spent = sum(line["calls"] for line in found.ledger if line["who"] == "prompt_shots" and line["what"] != "test")
    assert 0 < spent <= 900 + 64  # a chunk is finished


def test_a_budget_that_does_not_pay_for_all_folds_says_so_and_still_gives_a_verdict(tmp_path: Path):
    task = folded_task()
    ways = {name: WAYS[name] for name in ("base_majority", "prompt_plain", "prompt_shots")}
    settings = replace(settings_for(tmp_path, ways), budget=Budget(calls=300))
    verdict = run(task, components_of(task), folder=tmp_path / "r", settings=settings).verdict
    shots = next(s for s in verdict.standings if s.way == "prompt_shots")
    assert (shots.status, shots.score) == ("failed", None)
    assert shots.reason == (
        "in fold 3 of 5: the budget of prompt_shots is spent: 178 of 150 calls, before there was a first candidate; by "
        "the end of this fold 3 of 6 parts of the budget may be spent, so give a larger one, or --folds 1"
    )
    assert verdict.choice == "prompt_plain"
    assert any(shots.reason in line for line in verdict.reasons)


def test_a_budget_that_pays_for_no_way_is_no_verdict(tmp_path: Path):
    task = folded_task()
    ways = {name: WAYS[name] for name in ("base_majority", "prompt_plain")}
    settings = replace(settings_for(tmp_path, ways), budget=Budget(calls=60))
    verdict = run(task, components_of(task), folder=tmp_path / "r", settings=settings).verdict
    assert (verdict.answer, verdict.choice) == ("undecided", None)
    assert all("2 of 6 parts of the budget" in s.reason for s in verdict.standings)


def test_a_way_that_fails_in_a_fold_has_no_score(tmp_path: Path, monkeypatch):
    from whichway.errors import WayFailed
    from whichway.ways import prompt_shots

    task, honest = folded_task(), prompt_shots.adapt

    def fails(practice_, bench, options):
        if bench.seeds == (2,):
            raise WayFailed("because of the third")
        yield from honest(practice_, bench, options)

    components = components_of(task)
    monkeypatch.setattr(components.ways["prompt_shots"], "adapt", fails)
    ways = {name: WAYS[name] for name in ("prompt_plain", "prompt_shots")}
    outcome = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, ways))
    shots = next(s for s in outcome.verdict.standings if s.way == "prompt_shots")
    assert (shots.status, shots.score) == ("failed", None)
    assert shots.reason == "in fold 3 of 5: because of the third"
    assert outcome.verdict.choice == "prompt_plain"


def test_a_way_that_loses_to_one_of_its_kind_is_not_tried_in_later_folds(tmp_path: Path):
    task = folded_task(400)
    ways = {"base_majority": {}, "prompt_plain": {}, "tune_probe": {}, "tune_lora": {"factors": (1.0,)}}
    components = components_of(task)
    outcome = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, ways))
    lines = {s.way: s for s in outcome.verdict.standings}
    assert lines["tune_probe"].status == "failed"
    assert "zero-shot" in lines["tune_probe"].reason or "shown worse than tune_lora" in lines["tune_probe"].reason
    assert lines["base_majority"].status == lines["prompt_plain"].status == lines["tune_lora"].status == "ok"
    found = Run(tmp_path / "r")
    assert len([e for e in found.entries["tune_probe"] if e.finalist]) < 5
    whole = run(task, components, folder=tmp_path / "w", settings=replace(settings_for(tmp_path, ways), race=False))
    assert {s.way for s in whole.verdict.standings if s.status == "ok"} >= set(ways) - {"tune_probe"}


def test_two_trainings_are_compared_across_folds_and_the_worse_one_stops(tmp_path: Path):
    task = folded_task(450)
    ways = {"prompt_plain": {}, "tune_full": {"factors": (1.0,)}, "tune_lora": {"factors": (1.0,)}}
    components = make_components(task, skill={**SKILL, "lora": 0.95, "full": 0.6})
    outcome = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, ways))
    full = next(s for s in outcome.verdict.standings if s.way == "tune_full")
    assert full.reason.startswith("not tried in the last")
    assert "shown worse than tune_lora" in full.reason


@pytest.mark.parametrize("dear", [True, False])
def test_a_way_that_loses_to_one_of_another_kind_stops_only_where_it_is_dearer(dear: bool, tmp_path: Path, monkeypatch):
    from whichway.contest import cross_fit

    task = folded_task(400)
    ways = {"prompt_plain": {}, "prompt_shots": WAYS["prompt_shots"], "tune_lora": {"factors": (1.0,)}}
    components = make_components(task, skill={**SKILL, "shots": 0.6, "lora": 0.97})
    monkeypatch.setattr(cross_fit, "_cost", lambda task, way: float(dear == (way.name == "prompt_shots")))
    verdict = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, ways)).verdict
    shots = next(s for s in verdict.standings if s.way == "prompt_shots")
    assert shots.reason.startswith("not tried in the last") == dear
    assert verdict.choice == "tune_lora"
