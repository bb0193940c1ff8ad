"""Learning curves in a run, and repeats of drawn answers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.contest import run
from whichway.contest.curves import nested
from whichway.errors import OptionError
from whichway.nouns import Example, MetricSpec
from whichway.runs.folder import read_records

WAYS = {
    "base_majority": {},
    "prompt_shots": {"counts": (4,), "kinds": ("balanced",), "calibrate": 0},
    "tune_lora": {"rate": 1e-3, "checkpoints": 2},
}
SIZES = (8, 24)


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.open()]


@pytest.fixture(scope="module")
def curved(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("curved")
    task = small_task(90, 40, 60)
    settings = replace(settings_for(place, WAYS), curve=SIZES, seeds=(0, 1))
    run(task, make_components(task), folder=place / "r", settings=settings)
    return place


def test_subsets_are_nested_and_fair():
    rows = [Example({"text": f"row {i}"}, "common" if i % 4 else "rare") for i in range(200)]
    for seed in (0, 1):
        order = nested(rows, seed, True)
        assert sorted(e.id for e in order) == sorted(e.id for e in rows)
        for size in (8, 16, 40, 100):
            assert abs(Counter(e.target for e in order[:size])["rare"] - size / 4) <= 1
    assert nested(rows, 0, True) != nested(rows, 1, True)
    assert nested(rows[::-1], 0, True) == nested(rows, 0, True)
    assert {e.id for e in nested(rows, 0, False)} == {e.id for e in rows}


def test_every_way_has_a_point_for_each_seed_and_size(curved):
    lines = lines_of(curved / "r" / "curves.jsonl")
    points = Counter((line["way"], line["n"]) for line in lines)
    random = {"prompt_shots", "tune_lora"}
    assert points == {
        **{(way, n): 2 for way in WAYS for n in SIZES},
        **{(way, 90): 2 if way in random else 1 for way in WAYS},
    }
    for line in lines:
        assert len(line["rows"]) == 60
        assert line["score"] == pytest.approx(sum(score for _, score in line["rows"]) / 60)


def test_more_rows_teach_the_double_more(curved):
    lines = lines_of(curved / "r" / "curves.jsonl")
    mean = lambda n: sum(x["score"] for x in lines if x["way"] == "tune_lora" and x["n"] == n) / 2  # noqa: E731
    assert mean(8) < mean(90)


def test_the_points_at_all_rows_are_the_finalists_of_the_verdict(curved):
    verdict = json.loads((curved / "r" / "verdict.json").read_text())
    finalists = {c for s in verdict["standings"] for c in s["candidates"]}
    assert {x["candidate"] for x in lines_of(curved / "r" / "curves.jsonl") if x["n"] == 90} == finalists


def test_each_crossing_of_the_test_split_is_in_the_ledger_and_its_rows_in_the_records(curved):
    lines = lines_of(curved / "r" / "curves.jsonl")
    crossed = {x["candidate"] for x in lines}
    test = [r for r in read_records(curved / "r") if r.split == "test"]
    assert {r.candidate for r in test} == crossed
    assert len(test) == 60 * len(crossed)
    books = lines_of(curved / "r" / "ledger.jsonl")
    assert {x["who"] for x in books if x["who"].startswith("curve/") and x["what"] == "test"} <= {
        f"curve/{way}" for way in WAYS
    }
    assert sum(x["calls"] for x in books if x["what"] == "test" and x["who"] == "curve/tune_lora") == 2 * 2 * 60


def test_curves_leave_the_verdict_as_it_is_and_a_rerun_changes_no_byte(curved, tmp_path):
    task = small_task(90, 40, 60)
    settings = replace(settings_for(tmp_path, WAYS), seeds=(0, 1))
    plain = run(task, make_components(task), folder=tmp_path / "r", settings=settings)
    assert json.loads((curved / "r" / "verdict.json").read_text())["headline"] == plain.verdict.headline
    files = ("curves.jsonl", "records.jsonl", "ledger.jsonl", "verdict.json")
    before = [(curved / "r" / name).read_bytes() for name in files]
    settings = replace(settings_for(curved, WAYS), curve=SIZES, seeds=(0, 1))
    assert run(task, make_components(task), folder=curved / "r", settings=settings).paid_seconds == 0
    assert [(curved / "r" / name).read_bytes() for name in files] == before


def test_a_size_that_the_data_do_not_have_is_refused(tmp_path):
    task = small_task(90, 40, 60)
    settings = replace(settings_for(tmp_path, WAYS), curve=(8, 91))
    with pytest.raises(OptionError, match="90 training rows, got 8, 91"):
        run(task, make_components(task), folder=tmp_path / "r", settings=settings)


def free(place: Path, repeats: int, temperature: float = 1.0):
    task = replace(small_task(90, 40, 60), labels=(), metric=MetricSpec("exact_match"))
    ways = {
        "base_tfidf": {},
        "prompt_plain": {"layouts": ("system",)},
        "prompt_shots": {"counts": (8,), "kinds": ("random",), "temperature": temperature},
    }
    settings = replace(settings_for(place, ways), repeats=repeats, seeds=(0, 1))
    return run(task, make_components(task), folder=place / "r", settings=settings).verdict


def test_drawn_answers_are_repeated_and_the_score_is_their_mean(tmp_path):
    verdict = free(tmp_path, 3)
    by_way = {s.way: s for s in verdict.standings}
    test = [r for r in read_records(tmp_path / "r") if r.split == "test"]
    drawn = [r for r in test if r.candidate in by_way["prompt_shots"].candidates]
    assert Counter(r.repeat for r in drawn) == {0: 120, 1: 120, 2: 120}
    assert {r.repeat for r in test if r not in drawn} == {0}
    assert by_way["prompt_shots"].score == pytest.approx(sum(r.score for r in drawn) / 360)
    texts = {}
    for r in drawn:
        texts.setdefault((r.candidate, r.example), set()).add(r.text)
    assert any(len(found) > 1 for found in texts.values())  # the repeat is in the key: no shared slot
    log = (tmp_path / "r/ways/prompt_plain/log").read_text()
    assert "all 3 repeats would be equal" in log


def test_repeats_of_what_is_not_drawn_are_not_paid(tmp_path):
    free(tmp_path, 3, temperature=0.0)
    assert {r.repeat for r in read_records(tmp_path / "r")} == {0}


def test_a_temperature_for_scored_labels_is_refused(tmp_path):
    task = small_task(90, 40, 60)
    settings = settings_for(tmp_path, {"prompt_plain": {"temperature": 0.7}})
    with pytest.raises(OptionError, match="labels are scored, not drawn"):
        run(task, make_components(task), folder=tmp_path / "r", settings=settings)
