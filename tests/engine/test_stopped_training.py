"""A training that is stopped after any step leaves the checkpoints of one that never was."""

from __future__ import annotations

import pytest
from test_engine_learn import equal, job, tensors

from whichway.engine.train import run_job
from whichway.engine.train.train_progress import StopTraining

STEPS = 6  # eighteen rows twice, six at a time
COMPARED = ("step", "epoch", "loss", "tokens", "bytes")


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_no_checkpoint_is_lost_where_a_training_stops(opened, tmp_path, at):
    model, task = opened("llama"), job(rate=0.01, checkpoints=3)  # after the steps 2, 4 and 6

    def stop(now):
        if now.step == at:
            raise StopTraining

    whole = list(run_job.train(model, task, tmp_path / "whole", None))
    assert [one.step for one in whole] == [2, 4, 6]
    with pytest.raises(StopTraining):
        list(run_job.train(model, task, tmp_path / "parts", None, stop))
    parts = list(run_job.train(model, task, tmp_path / "parts", None))
    for one, two in zip(whole, parts, strict=True):
        assert one.weights == two.weights
        assert [getattr(one, name) for name in COMPARED] == [getattr(two, name) for name in COMPARED]
        name = one.weights.adapter
        assert equal(tensors(tmp_path / "whole" / name), tensors(tmp_path / "parts" / name))
    assert [one.weights for one in run_job.train(model, task, tmp_path / "parts", None)] == [o.weights for o in whole]


def test_nor_where_one_of_several_trainings_stops(opened, tmp_path):
    model, task = opened("llama"), job(rate=0.01, checkpoints=3, soup=2)

    def stop(now):
        if now.step == 8:  # of both together: each is at a checkpoint
            raise StopTraining

    whole = [one.weights for one in run_job.train(model, task, tmp_path / "whole", None)]
    with pytest.raises(StopTraining):
        list(run_job.train(model, task, tmp_path / "parts", None, stop))
    assert [one.weights for one in run_job.train(model, task, tmp_path / "parts", None)] == whole
