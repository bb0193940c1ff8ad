"""Simulated worlds, whole contests: no true difference is not read as one, and a true ten-point gain is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from contest_kit import make_house, settings_for

from whichway.contest import run
from whichway.nouns import Example, MetricSpec, Task

WAYS = {
    "prompt_plain": {"layouts": ("system",), "calibrate": 0},
    "prompt_shots": {"counts": (4,), "kinds": ("balanced",), "calibrate": 0},
    "tune_lora": {"rate": 1e-3, "checkpoints": 1},
}
CHEAPEST = "prompt_plain"


def world_task(number: int, test: int) -> Task:
    rows = [Example({"text": f"world {number} row {i}"}, "ab"[i % 2]) for i in range(60 + 40 + test)]
    split = (tuple(rows[:60]), tuple(rows[60:100]), tuple(rows[100:]))
    return Task("world", "a or b?", *split, MetricSpec("accuracy"), ("a", "b"))


def choice_in(number: int, place: Path, skill: dict[str, float], test: int) -> tuple[str | None, str]:
    task = world_task(number, test)
    house = make_house(task, skill=skill, correlation=0.5, seed_sd=0.01, number=number)
    settings = settings_for(place / f"cache-{number}", WAYS)
    verdict = run(task, house, folder=place / str(number), settings=settings).verdict
    return verdict.choice, verdict.answer


def wrong_share(worlds: int, place: Path) -> float:
    skill = {"zero": 0.7, "shots": 0.7, "lora": 0.7}
    return sum(choice_in(k, place, skill, 150)[0] != CHEAPEST for k in range(worlds)) / worlds


def found_share(worlds: int, place: Path) -> float:
    skill = {"zero": 0.68, "shots": 0.70, "lora": 0.80}
    return sum(choice_in(1000 + k, place, skill, 400) == ("tune_lora", "fine-tune") for k in range(worlds)) / worlds


def test_worlds_quick(tmp_path):
    assert wrong_share(12, tmp_path) <= 2 / 12
    assert found_share(8, tmp_path) >= 6 / 8


@pytest.mark.slow
def test_no_true_difference_rarely_buys_something_dearer(tmp_path):
    assert wrong_share(300, tmp_path) <= 0.05


@pytest.mark.slow
def test_a_true_ten_point_gain_is_found(tmp_path):
    assert found_share(300, tmp_path) >= 0.90
