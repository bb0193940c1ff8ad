"""Simulated worlds, whole contests with racing: no difference is not read as one, a true ten-point gain is found."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for

from whichway.contest import run
from whichway.nouns import Example, MetricSpec, Task

WAYS = {
    "prompt_plain": {"calibrate": 0},
    "prompt_shots": {"counts": (4, 8), "kinds": ("balanced",), "calibrate": 0},
    "tune_lora": {"rate": 1e-3, "checkpoints": 4},
}
CHEAPEST = "prompt_plain"
EQUAL = {"zero": 0.7, "shots": 0.7, "lora": 0.7}
GAIN = {"zero": 0.68, "shots": 0.70, "lora": 0.80}


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one contest."""

    choice: str | None
    answer: str
    evaluations: int
    full_evaluations: int


def world_task(number: int, test: int) -> Task:
    rows = [Example({"text": f"world {number} row {i}"}, "ab"[i % 2]) for i in range(60 + 100 + test)]
    split = (tuple(rows[:60]), tuple(rows[60:160]), tuple(rows[160:]))
    return Task("world", "a or b?", *split, MetricSpec("accuracy"), ("a", "b"))


def hold(number: int, place: Path, skill: dict[str, float], test: int, racing: bool = True) -> Came:
    """One contest in one world; with and without racing they share a cache."""
    task = world_task(number, test)
    components = make_components(task, skill=skill, correlation=0.5, seed_sd=0.01, number=number)
    folder = place / f"{number}-{racing}"
    settings = replace(settings_for(place / f"cache-{number}", WAYS), race=racing)
    verdict = run(task, components, folder=folder, settings=settings).verdict
    race = json.loads((folder / "race.json").read_text()) if racing else {"evaluations": 0, "full_evaluations": 0}
    return Came(verdict.choice, verdict.answer, race["evaluations"], race["full_evaluations"])


def wrong_share(worlds: int, place: Path) -> float:
    came = (hold(k, place, EQUAL, 150) for k in range(worlds))
    return sum(c.answer != "undecided" and c.choice != CHEAPEST for c in came) / worlds


def found_share(worlds: int, place: Path) -> float:
    came = [hold(1000 + k, place, GAIN, 400) for k in range(worlds)]
    return sum((c.choice, c.answer) == ("tune_lora", "fine-tune") for c in came) / worlds


def test_worlds_quick(tmp_path):
    assert wrong_share(12, tmp_path) <= 2 / 12
    assert found_share(8, tmp_path) >= 6 / 8


def test_racing_saves_rows_at_the_same_verdict(tmp_path):
    for number in range(1000, 1004):
        raced, plain = (hold(number, tmp_path, GAIN, 400, racing) for racing in (True, False))
        assert (raced.choice, raced.answer) == (plain.choice, plain.answer)
        assert raced.evaluations < 0.75 * raced.full_evaluations


@pytest.mark.slow
def test_no_true_difference_rarely_buys_something_dearer(tmp_path):
    assert wrong_share(300, tmp_path) <= 0.05


@pytest.mark.slow
def test_a_true_ten_point_gain_is_found(tmp_path):
    assert found_share(300, tmp_path) >= 0.90
