"""Estimates of counted work: the tokens that the contest will count, at the rate at which it will price them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.backends.classical import ClassicalBackend
from whichway.backends.local import LocalBackend
from whichway.contest import run
from whichway.contest.dry_run.profile import Timings
from whichway.contest.dry_run.rate_memory import TIMINGS, probed_rates
from whichway.contest.dry_run.simulate import estimate
from whichway.contest.rates import FILE
from whichway.contracts import read_kind
from whichway.nouns import Decoding, Message, Request, TrainJob, TrainRow
from whichway.runs.run import Run

WAYS = {
    "base_tfidf": {},
    "prompt_plain": {"calibrate": 0},
    "tune_probe": {},
    "tune_lora": {"rate": 0.001, "epochs": 2.0, "batch": 8},
}


def local_house(task, base: str):
    components, backend = make_components(task), LocalBackend()
    return replace(components, backends={**components.backends, "local": backend}, base=backend.weights(base))


def test_an_estimate_is_the_work_that_the_ledger_counts(tiny, tmp_path: Path):
    task = small_task(40, 24, 24)
    short = [replace(e, input={"text": e.text[:60]}) for e in (*task.train, *task.dev, *task.test)]
    task = replace(task, train=tuple(short[:40]), dev=tuple(short[40:64]), test=tuple(short[64:]))
    settings = replace(settings_for(tmp_path, WAYS), seeds=(0,), forgetting=False)
    components = local_house(task, str(tiny("llama")))
    found = estimate(task, components, settings, lambda event: None)
    probed = probed_rates(settings.cache)  # as they are now: the run's trainings teach later ones
    run(task, components, folder=tmp_path / "run", settings=settings)
    actual = Run(tmp_path / "run").seconds
    for name in WAYS:
        assert found.ways[name].seconds == pytest.approx(actual[name], rel=0.15), name
    rates = json.loads((tmp_path / "run" / FILE).read_text())
    assert rates == {kind: probed(kind) for kind in rates}  # what was probed is what the run counts with


def asks(words: int, labels=("billing", "shipping")):
    head = Message("system", "Which team? " + "context " * words)
    return [Request((head, Message("user", f"row {'again ' * (n % 5)}{n}")), Decoding(), labels) for n in range(20)]


class Counting(LocalBackend):
    answered = 0

    def open(self, weights, adapter):
        Counting.answered += 1
        return super().open(weights, adapter)


def test_prompts_of_every_shape_follow_from_one_measured_rate(tiny, tmp_path: Path):
    backend, timings = Counting(), Timings(tmp_path / TIMINGS, tmp_path)
    base = backend.weights(str(tiny("llama")))
    short = timings.answering(backend, base, asks(2))
    opened = Counting.answered
    assert opened
    long_ = timings.answering(backend, base, asks(80))
    many = timings.answering(backend, base, asks(2, ("billing", "shipping", "sales", "returns")))
    assert Counting.answered == opened  # nothing was asked again
    assert long_.prefix > 5 * short.prefix > 0
    assert many.seconds > short.seconds
    rate = timings.memory.rate(read_kind(base))
    assert rate == probed_rates(tmp_path)(read_kind(base)) > 0
    works = backend.expected_answers(base, asks(2))
    with backend.open(base, None) as session:
        done = [backend.answer_work(base, q, r) for q, r in zip(asks(2), session.choose(asks(2)), strict=True)]
    assert [(w.kind, w.units) for w in works] == [(w.kind, pytest.approx(w.units)) for w in done]


@pytest.mark.parametrize(
    ("kind", "options"),
    [("lora", {}), ("top", {"layers": 1}), ("head", {"share": 0.5}), ("soft_prompt", {"tokens": 4}), ("probe", None)],
)
def test_a_training_is_counted_before_it_is_run(tiny, tmp_path: Path, kind: str, options):
    backend = LocalBackend()
    base = backend.weights(str(tiny("llama")))
    head = Message("system", "Which team?")
    rows = tuple(
        TrainRow((head, Message("user", f"{word} {'again ' * (n % 3)}{n}")), label)
        for n in range(8)
        for word, label in (("refund", "billing"), ("parcel", "shipping"))
    )
    more = {} if options is None else {"epochs": 2, "batch": 4, **options}
    job = TrainJob(kind, base, rows, ("billing", "shipping"), 0, more)
    *_, last = backend.train(job, tmp_path / "t", None)
    done = {work.kind: work.units for work in backend.training_work(job, last, None)}
    assert {w.kind: w.units for w in backend.expected_training(job)} == pytest.approx(done, rel=0.02)


def test_channel_rows_are_counted_like_those_that_are_answered(tiny):
    backend = LocalBackend()
    base = backend.weights(str(tiny("llama")))
    head, ask = Message("system", "Which team?"), Message("user", "The team:")
    requests = [
        Request((head, ask, Message("assistant", f"row {n} {'x ' * n}")), Decoding(channel=True), ("billing", "sales"))
        for n in range(4)
    ]
    with backend.open(base, None) as session:
        replies = session.choose(requests)
    done = [backend.answer_work(base, q, r).units for q, r in zip(requests, replies, strict=True)]
    assert [w.units for w in backend.expected_answers(base, requests)] == pytest.approx(done, rel=0.05)


class Importing(ClassicalBackend):
    """Its first training loads a library, as that of a new process does."""

    trained = 0

    def train(self, job, folder, adapter):
        for made in super().train(job, folder, adapter):
            yield replace(made, seconds=0.01 + 9.0 * (self.trained == 0))
            self.trained += 1


def test_a_library_that_the_first_training_loads_is_in_no_rate(tmp_path: Path):
    backend, timings = Importing(), Timings(tmp_path / TIMINGS, tmp_path)
    rows = tuple(TrainRow((Message("user", f"row {n} " * 8),), ("billing", "shipping")[n % 2]) for n in range(200))
    job = TrainJob("tfidf", backend.weights("tfidf"), rows, ("billing", "shipping"), 0, {})
    cost = timings.learning(backend, job)
    assert cost.seconds(len(rows), 0) == pytest.approx(0.01)
    assert backend.trained > 1
