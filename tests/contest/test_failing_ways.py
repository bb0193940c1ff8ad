"""A way that fails ends as "failed, because ...": never as a low score, never as a crash of the contest."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace

import pytest
import torch
from contest_kit import make_components, settings_for, small_task
from kill_kit import task

from whichway.backends import local
from whichway.contest import Components, Settings, run
from whichway.engine.train import run_job, trainer
from whichway.tasks import metrics


@pytest.fixture
def components(tiny, monkeypatch):
    """A tiny real model; training in this process, so that it can be made to fail."""
    monkeypatch.setattr(
        local, "_train_apart", lambda model, job, folder, adapter, *more: run_job.train(model, job, folder, adapter)
    )
    door = local.LocalBackend()
    ways = {name: importlib.import_module(f"whichway.ways.{name}") for name in ("prompt_plain", "tune_lora")}
    return Components({"local": door}, ways, metrics.load(task().metric), door.weights(str(tiny("llama"))))


def settings(place, **options):
    ways = {"prompt_plain": {}, "tune_lora": {"epochs": 2, "steps": 1, "batch": 10, **options}}
    return Settings(ways, place / ".cache", seeds=(0,))


def standings(components, place, **options):
    verdict = run(task(), components, folder=place / "r", settings=settings(place, **options)).verdict
    return {s.way: s for s in verdict.standings}, verdict


def failed(standing, told):
    assert standing.status == "failed"
    assert standing.score is None
    assert told in standing.reason


def test_divergence_at_every_rate(components, tmp_path, monkeypatch):
    honest = trainer.row_losses
    monkeypatch.setattr(trainer, "row_losses", lambda *given: honest(*given) * float("nan"))
    by, verdict = standings(components, tmp_path)
    failed(by["tune_lora"], "failed at every rate")
    assert by["tune_lora"].candidates == ()
    assert by["prompt_plain"].status == "ok"
    assert verdict.choice == "prompt_plain"
    log = (tmp_path / "r" / "ways" / "tune_lora" / "log").read_text()
    assert log.count("diverged at step 1") == 2


def test_divergence_at_the_rate_that_was_given(components, tmp_path, monkeypatch):
    honest = trainer.row_losses
    monkeypatch.setattr(trainer, "row_losses", lambda *given: honest(*given) * float("nan"))
    by, _ = standings(components, tmp_path, rate=0.5)
    failed(by["tune_lora"], "diverged at step 1, rate 0.5; lower the rate")


def test_divergence_of_one_rate_leaves_the_others(components, tmp_path, monkeypatch):
    honest = trainer.TrainingRun._backward

    def high(self, batch, trained):
        return honest(self, batch, trained) * (float("nan") if self.settings.factor == 1.6 else 1.0)

    monkeypatch.setattr(trainer.TrainingRun, "_backward", high)
    by, _ = standings(components, tmp_path)
    assert by["tune_lora"].status == "ok" or "zero-shot" in by["tune_lora"].reason
    assert (tmp_path / "r" / "ways" / "tune_lora" / "log").read_text().count("diverged") == 1


def test_no_memory_for_a_single_row(components, tmp_path, monkeypatch):
    asked = []

    def greedy(module, rows, *rest):
        asked.append(len(rows))
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(trainer, "row_losses", greedy)
    by, verdict = standings(components, tmp_path, rate=0.01)
    failed(by["tune_lora"], "One training row does not fit into memory")
    assert asked[-1] == 1
    assert asked[0] > 1  # smaller pieces were tried first
    assert verdict.choice == "prompt_plain"


def test_worse_than_zero_shot(tmp_path):
    task = small_task(60, 100, 60)
    components = make_components(task, skill={"zero": 0.8, "shots": 0.8, "lora": 0.4})
    ways = {"prompt_plain": {}, "tune_lora": {}}
    verdict = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, ways)).verdict
    (lora,) = [s for s in verdict.standings if s.way == "tune_lora"]
    failed(lora, "is below zero-shot's")
    status = json.loads((tmp_path / "r" / "ways" / "tune_lora" / "status.json").read_text())
    assert status["status"] == "failed"


def test_a_failed_way_stays_failed_when_the_run_is_started_again(components, tmp_path, monkeypatch):
    honest = trainer.row_losses
    monkeypatch.setattr(trainer, "row_losses", lambda *given: honest(*given) * float("nan"))
    first = standings(components, tmp_path, rate=0.5)[0]["tune_lora"]
    monkeypatch.setattr(trainer, "row_losses", honest)
    again = standings(components, tmp_path, rate=0.5)[0]["tune_lora"]
    assert replace(again, seconds_fit=first.seconds_fit) == first
