"""A small contest on a model behind an API that may misbehave."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from endpoint_kit import FAULTS, LABELS, WORDS, Endpoint, truth

from whichway.backends._openai.calls import Pace
from whichway.backends.classical import ClassicalBackend
from whichway.backends.openai import OpenAIBackend
from whichway.contest import Components, Outcome, Settings, run
from whichway.errors import EndpointError
from whichway.nouns import Budget, Example, MetricSpec, Task
from whichway.runs.folder import read_lines, read_records
from whichway.tasks.metrics import load
from whichway.verdict.breakeven import Price

QUICK = Pace(tries=12, patience_seconds=30, first_wait=0.005, longest_wait=0.02)
PRICE = Price("there", 1.0, 0.5, 4.0, "2026-11-30")
WAYS = ("base_majority", "prompt_plain")


def small_task(train: int = 12, dev: int = 12, test: int = 12) -> Task:
    """Rows whose label is told by a word."""
    words = list(WORDS)
    rows = [
        Example({"text": f"row {n}: about my {words[n % 3]}"}, WORDS[words[n % 3]]) for n in range(train + dev + test)
    ]
    parts = (rows[:train], rows[train : train + dev], rows[train + dev :])
    return Task("hosted", "Which team?", *map(tuple, parts), MetricSpec("accuracy"), LABELS)  # type: ignore[arg-type]


@dataclass
class Contest:
    """Runs one task in one folder, again and again."""

    place: Path
    task: Task
    cap: float | None = None
    pace: Pace = QUICK
    private: bool = False
    known: bool = True
    ways: tuple[str, ...] = WAYS
    price: Price = PRICE
    seeds: tuple[int, ...] | None = None
    run_name: str = "run"
    word: str = "there"
    options: dict[str, dict[str, Any]] = field(default_factory=dict)  # of ways

    def hold(self) -> Outcome:
        """Begin it, or go on."""
        backend = OpenAIBackend(self.pace)
        base = backend.weights(self.word)
        ways = {name: importlib.import_module(f"whichway.ways.{name}") for name in self.ways}
        all_backends: Any = {"openai": backend, "classical": ClassicalBackend()}
        components = Components(
            all_backends, ways, load(self.task.metric), base, prices={self.word: self.price if self.known else None}
        )
        more: dict[str, Any] = {} if self.seeds is None else {"seeds": self.seeds}
        options = {name: self.options.get(name, {}) for name in self.ways}
        settings = Settings(options, self.place / ".cache", Budget(usd=self.cap), private=self.private, **more)
        return run(self.task, components, folder=self.place / self.run_name, settings=settings)

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """Lines of the hosted model."""
        return [line for line in read_lines(self.place / self.run_name / "ledger.jsonl") if "way" in line]

    def check_books(self, endpoint: Endpoint) -> None:
        """Nothing is lost, nothing stands twice, and the books hold at least what the endpoint will bill."""
        answered = [line for line in self.ledger if line["what"] != "lost"]
        assert len({line["key"] for line in self.ledger}) == len(self.ledger), "a line stands twice"
        paid = sum(line["paid_usd"] for line in self.ledger)
        assert paid >= endpoint.bill_usd - 1e-9, f"billed {endpoint.bill_usd}, booked {paid}"
        assert sum(line["calls"] for line in answered) <= len(endpoint.delivered)
        records = read_records(self.place / "run")
        texts = {e.id: e for e in (*self.task.train, *self.task.dev, *self.task.test)}
        keys = [(r.candidate, r.example, r.split, r.repeat) for r in records]
        assert len(set(keys)) == len(keys), "a record stands twice"
        baseline = {line["who"] for line in read_lines(self.place / "run" / "ledger.jsonl") if "way" not in line}
        assert baseline <= {"base_majority"}
        for record in records:
            if record.usd > 0 and record.outcome == "ok" and record.seconds > 1e-4 and record.tokens_in:
                assert record.text == truth(texts[record.example].text)


def until_finished(hold: Callable[[], Any]) -> None:
    """Begin a contest and go on with it as a user would, until it is finished."""
    for _ in range(8):
        try:
            hold()
        except EndpointError:
            continue
        return
    pytest.fail("it never ended")


def schedule(seed: int, share: float) -> Callable[[int], str | None]:
    """Faults at random: some calls alone, some in storms."""
    rng = random.Random(seed)
    storms = [(start, start + rng.randint(3, 15)) for start in (rng.randint(1, 80) for _ in range(rng.randint(0, 2)))]
    kinds = [fault for fault in FAULTS if fault not in ("hang", "drip", "429-date") or rng.random() < 0.3]
    chosen = {n: rng.choice(kinds) for n in range(1, 4000) if rng.random() < share}

    def fault(number: int) -> str | None:
        if any(start <= number < end for start, end in storms):
            return "429"
        return chosen.get(number)

    return fault


def facts(place: Path) -> Any:
    """The verdict as the file holds it."""
    return json.loads((place / "run" / "verdict.json").read_text(encoding="utf-8"))
