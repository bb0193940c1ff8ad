"""Several models in one contest: every way on each, kept apart everywhere, and the better model may win."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.backends.fake import FakeBackend, World
from whichway.contest import run
from whichway.contest.plan import make_plan
from whichway.errors import OptionError, PlanMismatch
from whichway.nouns import Plan, Standing, to_json
from whichway.report import html
from whichway.runs.folder import read_candidates, read_lines, read_plan

WAYS = ("prompt_plain", "tune_lora")
POOR = {"zero": 0.3, "shots": 0.3, "lora": 0.45, "probe": 0.4, "full": 0.4}
GOOD = {"zero": 0.95, "shots": 0.95, "lora": 0.7, "probe": 0.7, "full": 0.7}


class Other(FakeBackend):
    name, version = "other", "other 1"


def two(task):
    """A poor model that fine-tuning helps, and a good one that a prompt suffices for."""
    gold = {e.text: e.target for e in (*task.train, *task.dev, *task.test)}
    components = make_components(task, skill=POOR)
    other = Other(World(gold, GOOD))
    second = replace(other.weights("fake:seconds=0.002"), backend="other", revision="other")
    return replace(
        components, backends={**components.backends, "other": other}, models={"small": components.base, "large": second}
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    place, task = tmp_path_factory.mktemp("models"), small_task(90, 60, 120)
    names = ["base_tfidf", *(f"{way}@{model}" for model in ("small", "large") for way in WAYS)]
    settings = replace(settings_for(place, {name: {} for name in names}), seeds=(0, 1))
    return task, settings, run(task, two(task), folder=place / "run", settings=settings)


def test_changing_the_model_and_prompting_it_wins_and_the_sentences_name_it(ran):
    verdict = ran[2].verdict
    assert verdict.choice == "prompt_plain@large"
    assert verdict.answer == "prompt"
    assert "prompt_plain@large" in verdict.headline
    assert [s.model for s in verdict.standings if s.way == "tune_lora@small"] == ["small"]
    assert [s.model for s in verdict.standings if s.way == "base_tfidf"] == [""]
    which = next(r for r in verdict.reasons if r.startswith("Which model?"))
    assert "changing the model from small to large pays" in which
    assert "prompt_plain@large − tune_lora@small" in which


def test_answers_of_two_models_are_kept_apart(ran):
    found = read_candidates(ran[2].folder)
    ways = read_plan(ran[2].folder)["ways"]
    by_way = {name: {c.weights.backend for c, _ in found.values() if c.way == name} for name in ways}
    assert by_way["prompt_plain@small"] == by_way["tune_lora@small"] == {"fake"}
    assert by_way["prompt_plain@large"] == by_way["tune_lora@large"] == {"other"}
    scores = {s.way: s.score for s in ran[2].verdict.standings}
    assert scores["prompt_plain@large"] > scores["prompt_plain@small"] + 0.3
    who = {line["who"] for line in read_lines(ran[2].folder / "ledger.jsonl")}
    assert {"prompt_plain@small", "prompt_plain@large"} <= who


def test_each_model_has_its_own_zero_shot_floor(ran):
    """LoRA on the good model ends below its zero-shot: it fails there, though it beats the poor model's."""
    status = {s.way: s.status for s in ran[2].verdict.standings}
    assert status["tune_lora@small"] == "ok"
    assert status["prompt_plain@small"] == "ok"
    assert status["tune_lora@large"] == "failed"


def test_the_plan_and_the_page_hold_every_model_and_a_rerun_is_equal(ran):
    task, settings, outcome = ran
    plan = read_plan(outcome.folder)
    small = {"model": "fake", "revision": plan["revision"]}
    assert plan["models"] == {"small": small, "large": {"model": "fake:seconds=0.002", "revision": "other"}}
    page = html.write(outcome.folder).read_text(encoding="utf-8")
    assert "tune_lora@large" in page
    assert "small: fake" in page
    before = (outcome.folder / "verdict.json").read_bytes()
    again = run(task, two(task), folder=outcome.folder, settings=settings)
    assert again.paid_seconds == 0
    assert (outcome.folder / "verdict.json").read_bytes() == before
    fewer = replace(two(task), models={"small": two(task).base})
    with pytest.raises((PlanMismatch, OptionError)):
        run(task, fewer, folder=outcome.folder, settings=settings)


def test_one_model_leaves_no_trace_of_several():
    """Plans, tasks and standings of single-model runs keep their bytes, and with them digests and golden files."""
    task = small_task(60, 20, 30)
    plan = make_plan(task, make_components(task), settings_for(Path("x")))
    assert "models" not in to_json(plan)
    assert "models" not in to_json(task)
    late = {f.name for kind in (Plan, Standing) for f in fields(kind) if f.metadata.get("late")}
    assert late >= {"models", "model"}
    several = make_plan(task, two(task), settings_for(Path("x"), {"prompt_plain@small": {}}))
    assert list(to_json(several)["models"]) == ["small", "large"]


def test_an_unknown_model_of_a_way_is_refused():
    task = small_task(60, 20, 30)
    settings = settings_for(Path("x"), {"prompt_plain@larg": {}})
    with pytest.raises(OptionError, match="large"):
        make_plan(task, two(task), settings)
