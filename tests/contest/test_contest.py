"""A whole contest on the test double: what is written, what is paid, what a rerun may and may not change."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import ALL_WAYS, make_components, settings_for, small_task

from whichway.contest import Outcome, run
from whichway.contest.bench import RunBench
from whichway.contest.cache import Cache, reply_key
from whichway.errors import OptionError, PlanMismatch, UserError
from whichway.nouns import Budget, Decoding, Message, MetricSpec, Reply, Request, TrainDevView, Weights
from whichway.runs.folder import Lines, alone, read_candidates, read_records, read_verdict


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    place = tmp_path_factory.mktemp("runs")
    task = small_task()
    return place, run(task, make_components(task), folder=place / "a", settings=settings_for(place))


def test_every_way_is_in_the_verdict_and_learning_beats_guessing(finished):
    place, outcome = finished
    by_way = {s.way: s for s in outcome.verdict.standings}
    assert set(by_way) == set(ALL_WAYS)
    assert by_way["tune_lora"].seeds == 3
    assert by_way["tune_lora"].score > by_way["base_majority"].score + 0.1
    assert read_verdict(place / "a") == outcome.verdict
    assert outcome.paid_seconds > 0


def test_records_cover_each_finalist_on_each_test_row_once(finished):
    place, outcome = finished
    test = [r for r in read_records(place / "a") if r.split == "test"]
    finalists = {c for s in outcome.verdict.standings for c in s.candidates}
    rows = outcome.verdict.rows
    assert len(test) == len({(r.candidate, r.example) for r in test}) == len(finalists) * rows


def test_second_run_pays_nothing_and_changes_no_byte(finished):
    place, _ = finished
    files = ("plan.json", "records.jsonl", "ledger.jsonl", "verdict.json", "rows.jsonl")
    before = {name: (place / "a" / name).read_bytes() for name in files}
    task = small_task()
    again = run(task, make_components(task), folder=place / "a", settings=settings_for(place))
    assert (again.paid_seconds, again.paid_usd) == (0, 0)
    assert {name: (place / "a" / name).read_bytes() for name in files} == before


def test_another_folder_with_the_same_cache_pays_nothing_but_lists_the_same(finished):
    place, outcome = finished
    task = small_task()
    other = run(task, make_components(task), folder=place / "b", settings=settings_for(place))
    assert other.paid_seconds == 0
    assert other.verdict == outcome.verdict
    assert all(r.cached for r in read_records(place / "b"))
    ledger = [json.loads(line) for line in (place / "b" / "ledger.jsonl").open()]
    assert sum(line["seconds"] for line in ledger) > 0
    assert sum(line["paid_seconds"] for line in ledger) == 0


def test_another_plan_is_refused_with_the_difference(finished):
    place, _ = finished
    task = small_task()
    before = (place / "a" / "plan.json").read_bytes()
    with pytest.raises(PlanMismatch, match=r"margin: 0.01 -> 0.2"):
        run(replace(task, margin=0.2), make_components(task), folder=place / "a", settings=settings_for(place))
    assert (place / "a" / "plan.json").read_bytes() == before


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    task = small_task()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(UserError, match="not empty"):
        run(task, make_components(task), folder=tmp_path / "mine", settings=settings_for(tmp_path))
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_finalists_adapters_are_kept_in_the_run_folder(finished):
    place, outcome = finished
    candidates = read_candidates(place / "a")
    for standing in outcome.verdict.standings:
        for name in standing.candidates:
            candidate, facts = candidates[name]
            assert facts["finalist"]
            if candidate.weights.adapter:
                assert any((place / "a/ways" / standing.way / "adapters" / candidate.weights.adapter).iterdir())


def test_an_empty_purse_leaves_the_best_so_far_and_a_warm_cache_changes_nothing(tmp_path):
    task = small_task()
    ways = {"prompt_plain": {"calibrate": 0}, "prompt_shots": {"calibrate": 0}}
    settings = replace(settings_for(tmp_path, ways), budget=Budget(calls=3 * len(task.dev)))
    cold = run(task, make_components(task), folder=tmp_path / "cold", settings=settings)
    warm = run(task, make_components(task), folder=tmp_path / "warm", settings=settings)
    shots = next(s for s in cold.verdict.standings if s.way == "prompt_shots")
    assert shots.seeds == 1  # three candidates of the first seed, then the budget was spent
    assert "is spent" in (tmp_path / "cold/ways/prompt_shots/log").read_text()
    assert warm.verdict == cold.verdict


def test_a_way_that_fails_says_why_and_has_no_score(tmp_path):
    task = small_task()
    ways = {"prompt_plain": {}, "tune_lora": {"rate": 5.0}}
    verdict = run(task, make_components(task), folder=tmp_path / "r", settings=settings_for(tmp_path, ways)).verdict
    failed = next(s for s in verdict.standings if s.way == "tune_lora")
    assert (failed.status, failed.score, failed.candidates) == ("failed", None, ())
    assert "diverged" in failed.reason


def test_worse_than_zero_shot_fails_the_sanity_gate_before_test(tmp_path):
    task = small_task()
    skill = {"zero": 0.9, "lora": 0.3}
    ways = {"prompt_plain": {"calibrate": 0}, "tune_lora": {"rate": 1e-3}}
    components = make_components(task, skill=skill)
    verdict = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, ways)).verdict
    failed = next(s for s in verdict.standings if s.way == "tune_lora")
    assert failed.status == "failed"
    assert "zero-shot" in failed.reason
    tuned = {c for c, (made, _) in read_candidates(tmp_path / "r").items() if made.way == "tune_lora"}
    assert not any(r.split == "test" and r.candidate in tuned for r in read_records(tmp_path / "r"))


@pytest.mark.parametrize(
    ("ways", "message"),
    [
        ({"tune_lorra": {}}, "Did you mean 'tune_lora'"),
        ({"tune_lora": {"rnk": 4}}, "Did you mean 'rank'"),
        ({"tune_lora": {"rank": "four"}}, "tune_lora.rank.*valid integer"),
        ({"tune_lora": {"rank": 0}}, "tune_lora.rank.*1 or more; got 0"),
        ({"tune_lora": {"batch": 0}}, "tune_lora.batch.*1 or more"),
        ({"tune_lora": {"factors": (1.0, 0.0)}}, "tune_lora.factors.*above 0"),
        ({"tune_lora": {"factors": ()}}, "tune_lora.factors.*one number at least"),
        ({"tune_lora": {"factors": float("nan")}}, "tune_lora.factors.*above 0; got nan"),
        ({"tune_lora": {"rate": -1.0}}, "tune_lora.rate.*0 or more; got -1"),
        ({"tune_lora": {"word_dropout": 2.0}}, "tune_lora.word_dropout.*below 1"),
        ({}, "no way to try"),
    ],
)
def test_unknown_ways_and_options_are_refused_before_anything_is_written(tmp_path, ways, message):
    task = small_task()
    with pytest.raises(OptionError, match=message):
        run(task, make_components(task), folder=tmp_path / "r", settings=settings_for(tmp_path, ways))
    assert not (tmp_path / "r").exists()


def test_macro_f1_goes_through_dev_selection_and_verdict(tmp_path):
    task = replace(small_task(), metric=MetricSpec("macro_f1"))
    ways = {name: {} for name in ("base_majority", "prompt_plain", "tune_probe")}
    verdict = run(task, make_components(task), folder=tmp_path / "r", settings=settings_for(tmp_path, ways)).verdict
    by_way = {s.way: s for s in verdict.standings}
    assert by_way["base_majority"].score < 0.06  # one of twelve labels right: F1 is far below accuracy
    assert by_way["tune_probe"].score > by_way["base_majority"].score


def test_free_text_is_generated_and_scored(tmp_path):
    task = replace(small_task(), labels=(), metric=MetricSpec("token_f1"))
    ways = {name: {} for name in ("base_majority", "base_tfidf", "prompt_plain", "prompt_shots", "tune_probe")}
    verdict = run(task, make_components(task), folder=tmp_path / "r", settings=settings_for(tmp_path, ways)).verdict
    by_way = {s.way: s for s in verdict.standings}
    assert by_way["base_tfidf"].score > 0.1
    assert "closed set" in by_way["tune_probe"].reason


def test_a_way_cannot_spell_the_test_split(tmp_path):
    task = small_task()
    assert not hasattr(task.train_dev_view(), "test")
    assert "test" not in TrainDevView.__dataclass_fields__

    class Peeking:
        KIND, RANDOM = "prompt", False
        Options = make_components(task).ways["base_majority"].Options

        def adapt(self, practice, bench: RunBench, options):
            bench.score(None, task.test)  # type: ignore[arg-type]
            yield None

    components = replace(make_components(task), ways={"peeking": Peeking()})
    verdict = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, {"peeking": {}})).verdict
    assert verdict.standings[0].status == "failed"
    assert "KeyError" in verdict.standings[0].reason
    assert not read_records(tmp_path / "r")


def test_reply_key_tells_apart_all_that_decides_an_answer():
    weights = Weights("local", "m", "rev", None, "none")
    request = Request((Message("user", "hello"),), Decoding(), ("a", "b"))
    others = [
        ("v", replace(weights, adapter="x", kind="lora"), request),
        ("v", replace(weights, revision="other"), request),
        ("w", weights, request),
        ("v", weights, replace(request, repeat=1)),
        ("v", weights, replace(request, labels=("b", "a"))),
        ("v", weights, replace(request, decoding=Decoding(bias=(("a", 1.0),)))),
        ("v", weights, replace(request, messages=(Message("system", "hello"),))),
    ]
    keys = {reply_key("v", weights, request), *(reply_key(*other) for other in others)}
    assert len(keys) == len(others) + 1
    assert reply_key("v", replace(weights, base="moved"), request) == reply_key("v", weights, request)


def test_failures_are_not_cached(tmp_path):
    cache = Cache(tmp_path)
    cache.put([("good", Reply("x")), ("bad", Reply("", finish="error", error="too long"))], "me")
    assert set(cache.get(["good", "bad"])) == {"good"}


def test_a_line_cut_short_by_a_kill_is_dropped(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    lines = Lines(path)
    lines.append([{"a": 3}])
    assert [line["a"] for line in lines.read()] == [1, 3]


def test_one_broken_way_does_not_cost_the_others_their_verdict(tmp_path):
    task = small_task()

    class Broken:
        KIND, RANDOM = "prompt", False
        Options = make_components(task).ways["base_majority"].Options

        def adapt(self, practice, bench, options):
            raise ValueError("empty vocabulary")
            yield

    components = make_components(task)
    components = replace(components, ways={**components.ways, "broken": Broken()})
    ways = {"broken": {}, "base_majority": {}}
    verdict = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, ways)).verdict
    by_way = {s.way: s for s in verdict.standings}
    assert "empty vocabulary" in by_way["broken"].reason
    assert by_way["base_majority"].score is not None
    assert "Traceback" in (tmp_path / "r/ways/broken/log").read_text()


def test_a_lost_cache_does_not_change_the_verdict_of_a_finished_run(tmp_path):
    task = small_task(60, 20, 40)
    ways = {"base_majority": {}, "prompt_plain": {}}
    run(task, make_components(task), folder=tmp_path / "r", settings=settings_for(tmp_path, ways))
    before = [(tmp_path / "r" / name).read_bytes() for name in ("records.jsonl", "ledger.jsonl")]
    shutil.rmtree(tmp_path / ".cache")
    run(task, make_components(task), folder=tmp_path / "r", settings=settings_for(tmp_path, ways))
    assert [(tmp_path / "r" / name).read_bytes() for name in ("records.jsonl", "ledger.jsonl")] == before


def test_two_runs_in_one_folder_at_once_are_refused(tmp_path):
    task = small_task(60, 20, 40)
    settings = settings_for(tmp_path, {"base_majority": {}})
    with alone(settings.cache, tmp_path / "r"), pytest.raises(UserError, match="another whichway"):
        run(task, make_components(task), folder=tmp_path / "r", settings=settings)


def test_equal_requests_in_a_chunk_are_asked_once(tmp_path):
    task = small_task(60, 20, 40)
    twin = replace(task.test[0], target=next(label for label in task.labels if label != task.test[0].target))
    task = replace(task, test=(*task.test, twin))
    asked = []

    class Counting(type(make_components(task).backends["fake"])):
        def open(self, weights, adapter):
            session = super().open(weights, adapter)
            inner = session.enter_result

            class Session:
                def choose(self, requests):
                    asked.extend(r.messages for r in requests)
                    return inner.choose(requests)

            return nullcontext(Session())

    components = make_components(task)
    components = replace(components, backends={**components.backends, "fake": Counting()})
    ways = {"prompt_plain": {"layouts": ("system",), "calibrate": 0}}
    run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, ways))
    assert len(asked) == len(set(asked)) == len(task.dev) + len(task.test) - 1
