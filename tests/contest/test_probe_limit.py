"""The probe of a slow model: few small steps, an end in time, and what was not measured is worked out from reading."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whichway.app.models import shared_timings
from whichway.backends.fake import FakeBackend
from whichway.backends.local import LocalBackend
from whichway.contest.dry_run.profile import LIMIT, Timings, units_of
from whichway.contest.dry_run.rate_memory import TIMINGS
from whichway.contracts import Work, read_kind
from whichway.models import model_cache
from whichway.nouns import Adapter, Decoding, Message, Reply, Request, TrainJob, TrainRow

LABELS = ("a", "b")
HEAD = "Which team should handle this message? Answer with one of these labels." * 4
EACH = 4e-4  # seconds for a character, as SmolLM2 takes on two plain cores: 40 ms for a row of 100
TIMES = {"lora": 3.0, "head": 1.5, "full": 3.3, "bias": 2.8}  # what training takes, in times of reading


class SlowModel(FakeBackend):
    """Counts characters, on a clock of its own; the first step of a training takes half as long again."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.asked, self.trained = 0.0, 0, 0
        self.slower = 1.0  # times that everything takes longer

    def answer_work(self, weights, request, reply):
        return Work(read_kind(weights), reply.tokens_in, reply.seconds)

    def expected_answers(self, weights, requests):
        sizes = [len(r.messages[-1].content) + (0 if n else len(HEAD)) for n, r in enumerate(requests)]
        return [Work(read_kind(weights), size, 0.0) for size in sizes]

    def expected_training(self, job):
        return (Work(train_kind(job), self._units(job), 0.0),)

    def training_work(self, job, adapter, before):
        units, seconds = adapter.work["train"]
        old, earlier = before.work["train"] if before else (0.0, 0.0)
        return (Work(train_kind(job), units - old, seconds - earlier),)

    def _units(self, job: TrainJob) -> float:
        own = sum(len(row.messages[-1].content) for row in job.rows) / len(job.rows)
        return units_of(job) * (len(HEAD) + int(job.options["batch"]) * own)

    def open(self, weights, adapter):
        self.now += 1.0 if adapter else 0.0
        return nullcontext(self)

    def choose(self, requests):
        sizes = [work.units for work in self.expected_answers(self.weights("fake"), requests)]
        each = EACH * self.slower
        self.now += each * sum(sizes)
        self.asked += len(requests)
        return [Reply("a", tokens_in=int(size), seconds=each * size) for size in sizes]

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        self.trained += 1
        units, before = self._units(job), 0.0
        each = TIMES[job.kind] * EACH * self.slower
        first = 0.5 * each * units / units_of(job)
        for share, saved in zip(job.shares, super().train(job, folder, adapter), strict=True):
            seconds = first + each * units * share
            self.now += seconds - before
            before = seconds
            yield replace(saved, seconds=seconds, work={"train": (units * share, seconds)}, bytes=10, peak_bytes=20)


def train_kind(job: TrainJob) -> str:
    return f"{read_kind(job.weights).removesuffix(' read')} {job.kind} train"


def asks() -> list[Request]:
    head = Message("system", HEAD)
    return [Request((head, Message("user", f"row {n} {'word ' * 18}")), Decoding(), LABELS) for n in range(64)]


def job(backend: SlowModel, kind: str, **options: Any) -> TrainJob:
    rows = tuple(
        TrainRow((Message("system", HEAD), Message("user", f"row {n} {'word ' * 18}")), "ab"[n % 2]) for n in range(300)
    )
    numbers = {"epochs": 4.0, "batch": 8, "checkpoints": 4, **options}
    return TrainJob(kind, backend.weights("fake"), rows, LABELS, 0, numbers)


def test_a_probe_ends_in_time_and_its_estimates_hold(tmp_path):
    backend = SlowModel()
    timings = Timings(None, tmp_path, now=lambda: backend.now)
    base = backend.weights("fake")
    row = timings.answering(backend, base, asks())
    assert row.seconds == pytest.approx(EACH * 100, rel=0.1)
    assert row.prefix == pytest.approx(EACH * len(HEAD), rel=0.1)
    for kind, within in (("head", 1.1), ("lora", 1.1), ("full", 2.0), ("bias", 2.0)):
        wanted = job(backend, kind)
        actual = TIMES[kind] * EACH * backend._units(wanted)
        found = timings.learning(backend, wanted).seconds(units_of(wanted), 3)
        assert actual / within < found < actual * within, kind
    assert backend.now <= 1.1 * LIMIT
    assert timings.worked_out
    assert backend.trained == 3  # a few steps of each; "bias" does not fit any more


def test_a_quick_model_is_measured_on_whole_steps(tmp_path, monkeypatch):
    monkeypatch.setattr("test_probe_limit.EACH", 4e-6)
    backend = SlowModel()
    timings = Timings(None, tmp_path, now=lambda: backend.now)
    timings.answering(backend, backend.weights("fake"), asks())
    wanted = job(backend, "lora")
    found = timings.learning(backend, wanted)
    assert found.seconds(units_of(wanted), 3) == pytest.approx(3 * 4e-6 * backend._units(wanted), rel=0.3)
    assert backend.trained == 3
    assert not timings.worked_out


def test_what_was_worked_out_is_measured_another_time(tmp_path):
    backend, place = SlowModel(), tmp_path / TIMINGS
    poor = Timings(place, tmp_path / "a", limit=4.0, now=lambda: backend.now)
    poor.answering(backend, backend.weights("fake"), asks())
    poor.learning(backend, job(backend, "lora"))
    assert poor.worked_out
    assert not backend.trained
    rich = Timings(place, tmp_path / "b", now=lambda: backend.now)
    rich.answering(backend, backend.weights("fake"), asks())
    rich.learning(backend, job(backend, "lora"))
    assert backend.trained
    assert not rich.worked_out


def test_times_are_shared_beside_the_models(tiny, tmp_path):
    base = LocalBackend().weights(str(tiny("llama")))
    with shared_timings([base], tmp_path / "one"):
        (tmp_path / "one").mkdir(exist_ok=True)  # times of earlier tests may lie there
        facts = {"seconds": 1.0, "when": "2026-03-01T10:00+00:00"}
        (tmp_path / "one" / TIMINGS).write_text(json.dumps({"a": facts}))
    assert model_cache.read_json(TIMINGS)["a"] == facts
    with shared_timings([base], tmp_path / "two"):
        assert '"a"' in (tmp_path / "two" / TIMINGS).read_text()
    with shared_timings([FakeBackend().weights("fake")], tmp_path / "three"):
        assert not (tmp_path / "three").exists()
