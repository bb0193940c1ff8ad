"""A LoRA adapter with a head over the labels: it learns, its folder is PEFT's, and plain transformers agrees."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from test_engine_learn import LABELS, equal, job, rows, tensors

from whichway.engine.model import load
from whichway.engine.train import head, run_job, trainer
from whichway.errors import AdapterNotLive, DataError, ModelError, OptionError, WayFailed
from whichway.nouns import Decoding, Request


def asked():
    return [Request(row.messages, Decoding(), LABELS) for row in rows()]


def test_it_learns_and_leaves_the_base_alone(model, tmp_path):
    before = {name: p.clone() for name, p in model.module.named_parameters()}
    task = job("head", epochs=12, checkpoints=2, rate=0.01)
    made = list(run_job.train(model, task, tmp_path, None))
    assert [a.weights.kind for a in made] == ["head", "head"]
    assert made[-1].loss < made[0].loss
    session = head.open_session(model, tmp_path / made[-1].weights.adapter)
    replies = session.choose(asked())
    assert sum(r.text == row.answer for r, row in zip(replies, rows(), strict=True)) >= 16
    assert all(sum(np.exp(list(r.scores.values()))) == pytest.approx(1) for r in replies)
    assert all(r.tokens_out == 0 and r.tokens_in > 0 for r in replies)
    assert equal(before, dict(model.module.named_parameters()))
    with pytest.raises(WayFailed, match="cannot write"):
        session.generate(asked())


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_plain_peft_and_transformers_give_our_scores(model, tmp_path, share):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    task = job("head", rate=0.01, share=share)
    place = tmp_path / "t" / list(run_job.train(model, task, tmp_path / "t", None))[-1].weights.adapter
    assert json.loads((place / head.LABELS).read_text()) == list(LABELS)
    base = AutoModelForSequenceClassification.from_pretrained(model.folder, num_labels=len(LABELS))
    theirs = PeftModel.from_pretrained(base, place).eval()
    ours = head.open_session(model, place).choose(asked())
    prompts = model.renderer.prompt_ids([row.messages for row in rows()])
    with torch.no_grad():
        wanted = [theirs(torch.tensor([ids])).logits[0].log_softmax(-1) for ids in prompts]
    scores = torch.tensor([[r.scores[label] for label in LABELS] for r in ours])
    assert (scores - torch.stack(wanted)).abs().max() < 1e-4


def test_the_start_is_the_logistic_fit_on_the_states(model, tmp_path):
    """A rate of nothing leaves the head where it starts; the frozen states are those of transformers."""
    task = job("head", rate=1e-12, max_steps=1, init="logistic")
    place = tmp_path / "t" / list(run_job.train(model, task, tmp_path / "t", None))[-1].weights.adapter
    score = tensors(place)["base_model.model.score.weight"]
    with torch.no_grad():
        ids = model.renderer.prompt_ids([row.messages for row in rows()])
        states = torch.stack([model.module.base_model(torch.tensor([i])).last_hidden_state[0, -1] for i in ids])
    wanted = head.fit(states.numpy(), np.array([LABELS.index(row.answer) for row in rows()]), 3)
    assert np.abs(score.numpy() - wanted).max() < 0.05 * np.abs(wanted).max()
    right = (states @ score.T).argmax(1) == torch.tensor([LABELS.index(row.answer) for row in rows()])
    assert right.sum() >= 14


def test_kept_states_equal_none(model, tmp_path, monkeypatch):
    task = job("head", share=0.5, epochs=3, rate=0.002)
    kept = list(run_job.train(model, task, tmp_path / "a" / "t", None))
    monkeypatch.setattr(trainer.TrainingRun, "_below", lambda self: None)
    without = list(run_job.train(model, task, tmp_path / "b" / "t", None))
    assert [a.loss for a in kept] == pytest.approx([a.loss for a in without], rel=1e-4)
    names = tensors(tmp_path / "a" / "t" / kept[-1].weights.adapter)
    assert all(".1." in name or "score" in name for name in names)


def test_by_hand_equals_autograd(opened, tmp_path, monkeypatch):
    """Our decoder against transformers' layers, the same job."""
    from whichway.engine.model import decoder

    task = job("head", epochs=3, rate=0.002)
    fused = list(run_job.train(opened("llama"), task, tmp_path / "a", None))
    plain = load.load(opened("llama").folder)
    decoder.unregister(plain.module)
    slow = list(run_job.train(plain, task, tmp_path / "b", None))
    assert [a.loss for a in slow] == pytest.approx([a.loss for a in fused], rel=1e-4)
    assert fused[0].loss < np.log(3) + 0.05
    place = tmp_path / "b" / slow[-1].weights.adapter
    assert len(head.open_session(plain, place).choose(asked())) == len(rows())


def test_a_stopped_training_goes_on_bit_for_bit(opened, tmp_path):
    model, task = opened("llama"), job("head", epochs=4, checkpoints=2, rate=0.01, word_dropout=0.2)
    wanted = list(run_job.train(model, task, tmp_path / "whole", None))[-1]
    stopped = run_job.train(model, task, tmp_path / "cut", None)
    next(stopped)
    stopped.close()
    last = list(run_job.train(model, task, tmp_path / "cut", None))[-1]
    name = wanted.weights.adapter
    assert last.loss == wanted.loss
    assert equal(tensors(tmp_path / "whole" / name), tensors(tmp_path / "cut" / name))


def test_memory_that_runs_out_keeps_the_batch(opened, tmp_path, monkeypatch):
    model = opened("llama")
    whole = list(run_job.train(model, job("head", max_steps=2), tmp_path / "whole", None))[-1]
    honest = trainer.row_losses

    def greedy(module, few, *rest):
        if len(few) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return honest(module, few, *rest)

    monkeypatch.setattr(trainer, "row_losses", greedy)
    small = list(run_job.train(model, job("head", max_steps=2), tmp_path / "small", None))[-1]
    assert small.loss == pytest.approx(whole.loss, rel=1e-5)


def test_in_a_short_format(opened, tiny, tmp_path, monkeypatch):
    task = job("head", epochs=3, rate=0.002)
    exact = list(run_job.train(opened("llama"), task, tmp_path / "a", None))
    monkeypatch.setattr("whichway.engine.model.throughput.dtype", lambda *_: torch.bfloat16)
    short = load.load(tiny("llama"))
    rounded = list(run_job.train(short, task, tmp_path / "b", None))
    assert [a.loss for a in rounded] == pytest.approx([a.loss for a in exact], rel=0.1)
    place = tmp_path / "b" / rounded[-1].weights.adapter
    assert len(head.open_session(short, place).choose(asked())) == len(rows())


def test_a_head_whose_adapter_or_weight_is_gone_is_not_live(opened, tmp_path):
    from safetensors.torch import save_file

    model = opened("llama")
    place = tmp_path / list(run_job.train(model, job("head", rate=0.02, epochs=4), tmp_path, None))[-1].weights.adapter
    spoilt = {"adapter": ("lora_B", 1e-30, "changes nothing"), "gone": ("lora_B", 0, "does not answer"),
              "score": ("score", -1, "does not answer"), "both": ("", 0, "changes nothing")}  # fmt: skip
    for name, (part, times, error) in spoilt.items():
        broken = tmp_path / name
        shutil.copytree(place, broken)
        kept = {k: times * t if part in k else t for k, t in tensors(place).items()}
        save_file(kept, broken / "adapter_model.safetensors", metadata={"format": "pt"})
        with pytest.raises(AdapterNotLive, match=error):
            head.open_session(model, broken)
    shutil.copytree(place, tmp_path / "shipped")
    (tmp_path / "shipped" / "live.json").unlink()
    assert head.open_session(model, tmp_path / "shipped").labels == LABELS
    (tmp_path / "shipped" / head.LABELS).unlink()
    with pytest.raises(ModelError, match="no head over labels"):
        head.open_session(model, tmp_path / "shipped")


def test_after_one_step_the_head_alone_has_moved(opened, tmp_path):
    """From a head of zeros no gradient reaches the adapter at the first step; that is no fault."""
    model = opened("llama")
    place = tmp_path / list(run_job.train(model, job("head", max_steps=1), tmp_path, None))[-1].weights.adapter
    assert not any(bool(t.any()) for name, t in tensors(place).items() if "lora_B" in name)
    replies = head.open_session(model, place).choose(asked())
    assert len({tuple(r.scores.values()) for r in replies}) > 1


def test_what_makes_no_sense_is_refused(opened, tmp_path):
    model = opened("llama")
    for changed, error, said in (
        ({"labels": ()}, WayFailed, "closed set"),
        ({"labels": ("a", "b")}, DataError, "none of the labels"),
        ({"rows": rows()[::3]}, WayFailed, "two labels"),
        ({"options": {"share": 0.5, "word_dropout": 0.1}}, OptionError, "needs share = 1"),
        ({"options": {"init": "ones"}}, OptionError, "must be"),
        ({"options": {"share": 1.5}}, OptionError, "at most 1"),
    ):
        with pytest.raises(error, match=said):
            list(run_job.train(model, dataclasses.replace(job("head"), **changed), tmp_path, None))
