"""Epochs and steps are resolved once: plan, estimate, progress and loop agree."""

import importlib
from dataclasses import replace

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.app import run as app_run
from whichway.backends.fake import FakeBackend
from whichway.contest import run
from whichway.contest.dry_run.profile import units_of
from whichway.contest.plan import make_plan
from whichway.engine.model import load
from whichway.engine.train.trainer import TrainingRun
from whichway.events import CheckpointSaved, TrainingBegan
from whichway.nouns import Message, TrainJob, TrainRow, Weights
from whichway.training_kinds import KINDS, options
from whichway.training_length import length_of, training_length


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "least", "most", "expected"),
    [
        (60, 16, 6, 0, None, (6.0, 24)),
        (60, 16, 6, 100, None, (25.0, 100)),
        (60, 16, 30, 100, None, (30.0, 120)),
        (7, 16, 1, 0, None, (1.0, 1)),
        (60, 16, 0.1, 0, None, (0.1, 1)),
        (60, 16, 6, 0, 5, (6.0, 5)),
    ],
)
def test_a_length_has_a_floor_and_a_ceiling(rows, batch, epochs, least, most, expected):
    length = training_length(rows, batch, epochs, least, most)
    assert (length.epochs, length.steps) == expected


def test_a_training_on_pairs_counts_pairs():
    rows = tuple(TrainRow((Message("user", str(n)),), "a") for n in range(120))
    given = {"epochs": 6, "batch": 16}
    assert length_of(TrainJob("dpo", Weights("local", "x"), rows, (), 0, given)).steps == 24
    assert length_of(TrainJob("lora", Weights("local", "x"), rows, (), 0, given)).steps == 48
    assert length_of(TrainJob("probe", Weights("local", "x"), rows, (), 0, {})) is None


@pytest.mark.parametrize(
    ("said", "steps"), [({}, 100), ({"epochs": 2}, 16), ({"epochs": 3, "steps": 40, "batch": 16}, 40)]
)
def test_plan_estimate_progress_and_loop_agree(tiny, tmp_path, said, steps):
    task, jobs, heard = small_task(60, 20, 20), [], []

    class Watched(FakeBackend):
        def train(self, job, folder, adapter):
            jobs.append(job)
            return super().train(job, folder, adapter)

    components = make_components(task)
    components = replace(components, backends={**components.backends, "fake": Watched()},
                    ways={"tune_lora": importlib.import_module("whichway.ways.tune_lora")})  # fmt: skip
    settings = replace(settings_for(tmp_path, {"tune_lora": said}), seeds=(0,), race=False)
    run(task, components, folder=tmp_path / "run", settings=settings, listener=heard.append)
    way = make_plan(task, components, settings).ways["tune_lora"]
    expected = training_length(60, way["batch"], way["epochs"], way["steps"])
    assert expected.steps == steps
    job = jobs[0]
    began = next(event for event in heard if isinstance(event, TrainingBegan))
    model = load.load(tiny("llama"))
    loop = TrainingRun(model, job, options(KINDS[job.kind].options, job.options), tmp_path / "t", None)
    told = f"trains {expected.epochs:.3g} epochs of 60 rows, {expected.steps} steps"
    assert app_run._floor(way, 60)[0].startswith(told)
    assert {loop.total, units_of(job), began.steps} == {expected.steps}
    assert began.epochs == job.options["epochs"] == expected.epochs
    last = [event for event in heard if isinstance(event, CheckpointSaved)][-1]
    assert last.epoch == pytest.approx(expected.epochs)
