"""Small tasks and components for the tests of the contest."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import whichway
from whichway.backends.classical import ClassicalBackend
from whichway.backends.fake import FakeBackend, World
from whichway.contest import Components, Settings
from whichway.nouns import Example, MetricSpec, Task
from whichway.tasks.metrics import load

ALL_WAYS = ("base_majority", "base_tfidf", "prompt_plain", "prompt_shots", "tune_probe", "tune_lora", "tune_full")
TICKETS = Path(whichway.__file__).parent / "examples" / "support" / "tickets.csv"


def small_task(train: int = 150, dev: int = 40, test: int = 70) -> Task:
    with TICKETS.open(encoding="utf-8", newline="") as file:
        rows = [Example({"text": r["text"]}, r["team"]) for r in csv.DictReader(file)][: train + dev + test]
    labels = tuple(sorted({e.target for e in rows}))
    ask = "Which team should handle this message?"
    return Task(
        "support",
        ask,
        tuple(rows[:train]),
        tuple(rows[train : train + dev]),
        tuple(rows[train + dev :]),
        MetricSpec("accuracy"),
        labels,
    )


def make_components(
    task: Task, base: str = "fake", skill: Mapping[str, float] | None = None, **world: Any
) -> Components:
    gold = {e.text: e.target for e in (*task.train, *task.dev, *task.test)}
    fake = FakeBackend(World(gold, skill, **world) if skill else None)
    ways = {name: importlib.import_module(f"whichway.ways.{name}") for name in ALL_WAYS}
    return Components({"fake": fake, "classical": ClassicalBackend()}, ways, load(task.metric), fake.weights(base))


def settings_for(place: Path, ways: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    return Settings({name: {} for name in ALL_WAYS} if ways is None else ways, cache=place / ".cache")
