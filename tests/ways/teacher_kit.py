"""Contests of teachers and students on the double that reads and learns."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from whichway.app.configure import ways
from whichway.backends.classical import ClassicalBackend
from whichway.backends.fake import FakeBackend
from whichway.contest import Components, Outcome, Settings, run
from whichway.nouns import Example, MetricSpec, Task
from whichway.runs.folder import read_lines
from whichway.tasks import metrics

WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
TOPICS = {
    "billing": ("charged", "invoice", "refund", "payment", "receipt", "price"),
    "delivery": ("parcel", "courier", "late", "package", "address", "tracking"),
    "account": ("password", "login", "email", "profile", "username", "locked"),
}


def rows(count: int, first: int = 0) -> list[Example]:
    """Rows of two topic words each; few of them show only some of a label's words."""
    pairs = itertools.permutations(WORDS, 3)
    texts = []
    for n, three in zip(range(first + count), pairs, strict=False):
        label = list(TOPICS)[n % 3]
        words = list(itertools.combinations(TOPICS[label], 2))
        one, two = words[(n // 3) % len(words)]
        texts.append(Example({"text": f"{' '.join(three)} {one} {two}"}, label))
    return texts[first:]


def small_task(train: int = 18, unlabelled: int = 60, dev: int = 30, test: int = 30) -> Task:
    """Few labelled rows; the unlabelled ones show words that these do not."""
    every = rows(train + dev + test + unlabelled)
    labels = tuple(sorted(TOPICS))
    bare = tuple(replace(row, target="") for row in every[train + dev + test :])
    return Task(
        "topics", "Which team?", tuple(every[:train]), tuple(every[train : train + dev]),
        tuple(every[train + dev : train + dev + test]), MetricSpec("accuracy", {"labels": list(labels)}), labels,
        unlabelled=bare,
    )  # fmt: skip


def hold(
    task: Task, place: Path, options: Mapping[str, Mapping[str, Any]], fake: FakeBackend | None = None, **settings: Any
) -> Outcome:
    """A contest of some ways, with all ways at hand; a rerun in the same place goes on."""
    fake = fake or FakeBackend()
    components = Components(
        {"fake": fake, "classical": ClassicalBackend()}, ways(), metrics.load(task.metric), fake.weights("fake")
    )
    given: dict[str, Any] = {"seeds": (0,), "race": False, **settings}
    return run(task, components, folder=place / "run", settings=Settings(options, place / ".cache", **given))


def log(place: Path, way: str = "both_distill") -> str:
    """What a way told."""
    return (place / "run" / "ways" / way / "log").read_text(encoding="utf-8")


def spends(place: Path, way: str = "both_distill") -> list[dict[str, Any]]:
    """A way's lines of the ledger."""
    return [line for line in read_lines(place / "run" / "ledger.jsonl") if line["who"] == way]
