"""Traps of training that others fell into, one test each: as `test_tripwires.py`.

The table they come from stands in `dev/LOG.md` (2026-11-25, tripwires).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace

import pytest
import torch
from contest_kit import make_components, settings_for, small_task
from test_engine_learn import HEAD, job, rows, tensors

from whichway import training_kinds
from whichway.contest import run
from whichway.contest.selection import select
from whichway.engine.model.attention import PackedTrainBatch
from whichway.engine.train import run_job, trainer
from whichway.errors import AdapterNotLive, DataError
from whichway.nouns import Message, TrainRow
from whichway.runs.folder import read_candidates

CAUGHT = (AssertionError, AdapterNotLive, DataError)


class Joined(PackedTrainBatch):
    """All rows of a batch in one sequence that sees itself: packing without borders."""

    def blocks(self, window):
        whole = {f.name: getattr(self, f.name) for f in dataclasses.fields(PackedTrainBatch)} | {
            "lengths": (sum(self.lengths),)
        }
        return PackedTrainBatch(**whole).blocks(window)


def test_packed_rows_do_not_see_each_other(opened, tmp_path, monkeypatch):
    """trl #3067: packed rows attended to their neighbours. Packed equals alone, and alone equals transformers."""
    model = opened("llama")
    given = training_kinds.options(training_kinds.LoraOptions, job().options)
    run_ = trainer.TrainingRun(model, job(), given, tmp_path, None)
    run_.trainable = trainer.set_up(model, job(), given, None)
    few = run_.rows[:5]

    def check():
        with torch.no_grad():
            packed = trainer.row_losses(run_.trainable.module, few, run_.prefix, run_.trainable.masters)
            alone = [-forward_alone(model, row) for row in few]
        assert torch.allclose(packed, torch.cat(alone), atol=1e-4)

    check()
    honest = trainer.pack_train_batch
    with monkeypatch.context() as planted:
        planted.setattr(
            trainer,
            "pack_train_batch",
            lambda *a, **k: Joined(*(getattr(honest(*a, **k), f.name) for f in dataclasses.fields(PackedTrainBatch))),
        )
        with pytest.raises(CAUGHT):
            check()


def forward_alone(model, row):
    ids = torch.tensor([[*row.prompt, *row.answer]])
    logits = model.module(ids).logits[0, len(row.prompt) - 1 : -1].log_softmax(-1)
    return logits.gather(1, torch.tensor(row.answer)[:, None])[:, 0]


def test_eight_rows_at_once_are_eight_rows_one_by_one(opened, tmp_path, monkeypatch):
    """transformers PR 34191: accumulated steps weighed rows by their piece, not by their tokens."""
    model = opened("llama")
    long = TrainRow((HEAD, Message("user", "twice")), "billed twice for the billing period, please refund it")
    task = dataclasses.replace(job(max_steps=3, batch=9, rate=0.01), rows=(*rows(), long))

    def losses(name, limit):
        with monkeypatch.context() as small:
            small.setitem(trainer._MICRO, "cpu", limit)
            return [a.loss for a in run_job.train(model, task, tmp_path / name, None)]

    def check(name):
        assert losses(f"{name}-whole", 4096) == pytest.approx(losses(f"{name}-pieces", 1), rel=1e-4)

    check("honest")
    honest = trainer.TrainingRun._piece

    def by_piece(self, piece, trained):  # each piece's own mean, averaged over pieces
        return honest(self, piece, len(list(self._pieces(self._batch(self.at.step)))) * self._amount(piece))

    with monkeypatch.context() as planted:
        planted.setattr(trainer.TrainingRun, "_piece", by_piece)
        with pytest.raises(CAUGHT):
            check("planted")


def test_memory_that_runs_out_keeps_step_and_batch(opened, tmp_path, monkeypatch):
    """transformers #32215, sentence-transformers #3145: a smaller batch was found, and steps or rows were lost."""
    model = opened("llama")
    whole = list(run_job.train(model, job(max_steps=3), tmp_path / "whole", None))[-1]
    honest, honest_backward = trainer.row_losses, trainer.TrainingRun._backward

    def greedy(module, few, *rest):
        if len(few) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return honest(module, few, *rest)

    monkeypatch.setattr(trainer, "row_losses", greedy)

    def check(name):
        small = list(run_job.train(model, job(max_steps=3), tmp_path / name, None))[-1]
        assert (small.step, small.tokens) == (whole.step, whole.tokens)
        assert small.loss == pytest.approx(whole.loss, rel=1e-4)

    check("honest")

    def forgets(self, batch, trained):  # the batch is halved with the memory
        return honest_backward(self, batch[:2], self._amount(batch[:2]))

    with monkeypatch.context() as planted:
        planted.setattr(trainer.TrainingRun, "_backward", forgets)
        with pytest.raises(CAUGHT):
            check("planted")


def test_a_resumed_training_has_its_whole_state(opened, tmp_path, monkeypatch):
    """peft #859, alpaca-lora #72 (0.82 became 8.7): weights came back, the optimiser's moments did not."""
    model = opened("llama")
    task = job(epochs=4, checkpoints=2, rate=0.01)
    wanted = list(run_job.train(model, task, tmp_path / "whole", None))[-1]

    def check(name):
        stopped = run_job.train(model, task, tmp_path / name, None)
        next(stopped)
        stopped.close()
        last = list(run_job.train(model, task, tmp_path / name, None))[-1]
        a, b = (tensors(tmp_path / d / x.weights.adapter) for d, x in (("whole", wanted), (name, last)))
        assert last.loss == wanted.loss
        assert all(torch.equal(a[key], b[key]) for key in a)

    check("honest")
    honest = trainer.TrainingRun._resume

    def forgets(self):
        at = honest(self)
        if at is not None:
            self.adam.state.clear()
        return at

    with monkeypatch.context() as planted:
        planted.setattr(trainer.TrainingRun, "_resume", forgets)
        with pytest.raises(CAUGHT):
            check("planted")


def test_the_best_checkpoint_is_kept_not_the_last(tmp_path, monkeypatch):
    """mlx-lm PR 1665: the last checkpoint was kept though an earlier one was better on dev."""
    task = small_task(90, 60, 40)
    settings = replace(settings_for(tmp_path, {"tune_lora": {"rate": 1e-3}}), seeds=(0,), race=False)
    values = iter((0.3, 0.9, 0.5, 0.2))  # of the four checkpoints: the second is best
    seen: dict[str, float] = {}

    def value_of(metric, order, records):
        return seen.setdefault(records[0].candidate, next(values, 0.0)) if records else 0.0

    def check(name):
        with monkeypatch.context() as known:
            known.setattr(select, "total", value_of)
            run(task, make_components(task), folder=tmp_path / name, settings=settings)
        found = read_candidates(tmp_path / name)
        (kept,) = [c for c, facts in found.values() if facts["finalist"]]
        assert seen[kept.id] == max(seen.values()) == 0.9

    check("honest")
    with monkeypatch.context() as planted:
        planted.setattr(select, "finalist", lambda group, rules: group[-1])
        with pytest.raises(CAUGHT):
            check("planted")


def test_the_loss_that_is_told_is_the_models(opened, tmp_path):
    """The first step's loss is that of the base on these rows: nothing else is trained on than what is told."""
    model = opened("llama")
    (one,) = list(run_job.train(model, job(max_steps=1, epochs=1, batch=18), tmp_path, None))
    with torch.no_grad():
        each = torch.cat([-forward_alone(model, row) for row in trainer.encode(model, job())])
    assert one.loss == pytest.approx(float(each.mean()), rel=1e-4)
    assert math.isfinite(one.loss)
