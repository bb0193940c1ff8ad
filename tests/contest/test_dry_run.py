"""Estimates: the simulated contest counts what the real one does, probes once, and pretends everywhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.backends.fake import FakeBackend
from whichway.contest import run
from whichway.contest.dry_run.profile import Timings, units_of
from whichway.contest.dry_run.simulate import FILE, SimulatedRun, estimate, estimate_json
from whichway.errors import WayFailed
from whichway.nouns import Adapter, Decoding, Message, Reply, Request, TrainJob, TrainRow
from whichway.report import estimates
from whichway.runs.run import Run, read

WAYS = ("prompt_plain", "prompt_shots", "tune_probe", "tune_lora")
ROWS = tuple(TrainRow((Message("user", f"row {'x' * (n % 40)} {n}"),), "ab"[n % 2]) for n in range(200))


def quiet(event):
    pass


class Slow(FakeBackend):
    """Seconds that are known: a start, a step, and a saved checkpoint."""

    start, step, save = 0.5, 0.02, 0.3
    trained = 0

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        Slow.trained += 1
        units = units_of(job)
        for k, (share, made) in enumerate(zip(job.shares, super().train(job, folder, adapter), strict=True)):
            seconds = self.start + units * self.step * share + self.save * k
            yield replace(made, seconds=seconds, bytes=1000, peak_bytes=5_000_000)


def test_an_estimate_counts_what_the_contest_takes(tmp_path):
    task = small_task(120, 100, 90)
    settings = replace(settings_for(tmp_path, {name: {} for name in WAYS}), seeds=(0, 1))
    found = estimate(task, make_components(task), settings, quiet)
    run(task, make_components(task), folder=tmp_path / "run", settings=settings)
    actual = Run(tmp_path / "run").seconds
    for name in WAYS:
        amount = found.ways[name]
        assert actual[name] / 1.5 < amount.seconds < actual[name] * 1.5, name
        assert amount.seconds <= amount.ceiling_seconds
        assert amount.reason == ""
    full = replace(settings, race=False)
    run(task, make_components(task), folder=tmp_path / "whole", settings=full)
    whole = Run(tmp_path / "whole").seconds
    assert found.ways["prompt_shots"].ceiling_seconds == pytest.approx(whole["prompt_shots"], rel=0.05)


def test_steps_starts_and_saved_checkpoints_are_told_apart(tmp_path):
    timings = Timings(None, tmp_path)
    backend = Slow()
    job = TrainJob("lora", backend.weights("fake"), ROWS, ("a", "b"), 0, {"epochs": 6.0, "batch": 16, "checkpoints": 4})
    found = timings.learning(backend, job)
    assert found.unit == pytest.approx(backend.step, rel=0.05)
    assert found.start == pytest.approx(backend.start, rel=0.1)
    assert found.save == pytest.approx(backend.save, rel=0.1)
    assert (found.bytes, found.peak_bytes) == (1000, 5_000_000)
    whole = list(backend.train(job, tmp_path / "whole", None))[-1]
    assert found.seconds(units_of(job), 3) == pytest.approx(whole.seconds, rel=0.05)


def test_examples_of_a_row_s_own_are_priced_apart_from_shared_ones(tmp_path):
    """Prompts of equal length: one is computed once for all rows, the other is each row's."""

    class Sharing(FakeBackend):
        def open(self, weights, adapter):
            return nullcontext(Priced())

    class Priced:
        def choose(self, requests):
            alike = len({r.messages[:-1] for r in requests}) == 1
            return [Reply("a", seconds=0.001 if alike else 0.01) for _ in requests]

    backend, timings = Sharing(), Timings(None, tmp_path)
    weights = backend.weights("fake")

    def price(first: int) -> float:
        heads = [f"example {n * first % 7}" for n in range(20)]
        asked = [Request((Message("system", h), Message("user", "row")), Decoding(), ("a", "b")) for h in heads]
        return timings.answering(backend, weights, asked).seconds

    assert price(0) == pytest.approx(0.001)
    assert price(1) == pytest.approx(0.01)
    assert timings.probes == 2


def test_a_machine_is_probed_once_and_remembers(tmp_path):
    task = small_task(60, 20, 30)
    components = make_components(task)
    settings = replace(settings_for(tmp_path, {"tune_lora": {}}), seeds=(0,))
    components = replace(components, backends={**components.backends, "fake": Slow()})
    first = estimate(task, components, settings, quiet)
    trained = Slow.trained
    assert estimate(task, components, settings, quiet) == first
    assert Slow.trained == trained
    (tmp_path / ".cache" / "timings.json").write_text("{", encoding="utf-8")  # damaged: measured anew
    again = estimate(task, components, settings, quiet)
    assert again.ways["tune_lora"].seconds == pytest.approx(first.ways["tune_lora"].seconds)
    assert Slow.trained > trained


def test_memory_and_disk_come_from_the_probed_training(tmp_path):
    task = small_task(60, 20, 30)
    components = make_components(task)
    components = replace(components, backends={**components.backends, "fake": Slow()})
    settings = replace(settings_for(tmp_path, {"tune_lora": {}}), seeds=(0,))
    amount = estimate(task, components, settings, quiet).ways["tune_lora"]
    assert amount.memory_bytes >= 5_000_000
    assert amount.disk_bytes == 4 * 1000  # at few rows one rate, with four checkpoints
    both = replace(settings, ways={"tune_lora": {"factors": (1.6, 0.63)}})
    amount = estimate(task, components, both, quiet).ways["tune_lora"]
    assert amount.disk_bytes == 5 * 1000  # two rates, settled at the first of four checkpoints: 4 + 1
    assert amount.usd == pytest.approx(amount.seconds * 0.10 / 3600)


def test_a_training_that_cannot_work_is_known_before_the_start(tmp_path):
    class Broken(FakeBackend):
        def train(self, job, folder, adapter):
            raise WayFailed("One training row does not fit into memory.")

    task = small_task(60, 20, 30)
    components = make_components(task)
    components = replace(components, backends={**components.backends, "fake": Broken()})
    settings = replace(settings_for(tmp_path, {"prompt_plain": {}, "tune_probe": {}}), seeds=(0,))
    found = estimate(task, components, settings, quiet)
    assert "memory" in found.ways["tune_probe"].reason
    assert found.ways["prompt_plain"].seconds > 0


def test_curves_and_budgets_are_in_the_estimate(tmp_path):
    task = small_task(60, 20, 30)
    components = make_components(task)
    plain = replace(settings_for(tmp_path, {"prompt_shots": {}}), seeds=(0,))
    one = estimate(task, components, plain, quiet).ways["prompt_shots"].seconds
    curved = estimate(task, components, replace(plain, curve=(8, 16)), quiet).ways["prompt_shots"].seconds
    assert curved > 2 * one
    poor = replace(plain, budget=replace(plain.budget, calls=100))
    assert estimate(task, components, poor, quiet).ways["prompt_shots"].seconds < one


def test_the_estimate_stands_beside_the_plan_and_is_shown_with_the_actual(tmp_path):
    task = small_task(60, 24, 30)
    settings = replace(settings_for(tmp_path, {"base_majority": {}, "prompt_plain": {}}), seeds=(0,))
    found = estimate(task, make_components(task), settings, quiet)
    folder = tmp_path / "run"
    run(task, make_components(task), folder=folder, settings=settings, beside_plan={FILE: estimate_json(found)})
    written = (folder / FILE).read_bytes()
    other = {FILE: estimate_json(replace(found, within=9.0))}
    run(task, make_components(task), folder=folder, settings=settings, beside_plan=other)
    assert (folder / FILE).read_bytes() == written
    seen = read(folder)
    lines = {line.way: line for line in estimates.lines_of(seen.estimate, seen.seconds, seen.peaks)}
    assert lines["prompt_plain"].actual == pytest.approx(Run(folder).seconds["prompt_plain"])
    assert lines["prompt_plain"].ratio == pytest.approx(1.0, abs=0.3)
    assert "took" in estimates.after(list(lines.values()))
    cut = estimates.after([replace(line, actual=0.1 * line.seconds) for line in lines.values()], whole=False)
    assert "for the whole contest" in cut
    assert "furthest off" not in cut
    assert json.loads(written)["ways"]["prompt_plain"]["seconds"] == found.ways["prompt_plain"].seconds


def test_a_test_row_is_priced_between_the_candidates_that_may_become_the_finalist(tmp_path):
    task = small_task(20, 10, 10)
    simulation = SimulatedRun(Timings(None, tmp_path), 5, quiet, test=frozenset(e.id for e in task.test))

    def rows(shots: int) -> list[Request]:
        heads = [[Message("user", f"example {n} {k}") for k in range(shots)] for n in range(4)]
        return [Request((*head, Message("user", "row")), Decoding(), ("a", "b")) for head in heads]

    def price(shots: int, row, seconds: float) -> float:
        return simulation.between("prompt_shots", "none", rows(shots), row, seconds)

    assert price(4, task.dev[0], 0.25) == 0.25
    assert price(4, task.test[0], 0.25) == pytest.approx(0.25)  # nobody else so far
    assert price(12, task.dev[0], 1.0) == 1.0
    for shots, seconds in ((4, 0.25), (12, 1.0)):
        assert price(shots, task.test[0], seconds) == pytest.approx(0.75**2)
    plain = [Request((Message("user", "row"),), Decoding(), ("a", "b"))] * 2
    assert simulation.between("prompt_plain", "none", plain, task.test[0], 0.1) == 0.1
