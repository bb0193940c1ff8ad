"""Variants of LoRA, biases, norms, soft prompts, preferences: they learn, survive, and PEFT gives our scores."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from test_engine_learn import HEAD, LABELS, choose, equal, job, rows
from torch.nn import functional as F

from whichway.engine.infer import session as answer
from whichway.engine.train import adapter_check, adapters, prompt_tuning, run_job, trainer
from whichway.errors import OptionError, WayFailed
from whichway.nouns import Decoding, Message, Request, TrainJob, TrainRow, Weights

KINDS = [
    ("lora", {"variant": "rslora"}),
    ("lora", {"variant": "dora"}),
    ("lora", {"variant": "pissa", "rank": 4}),
    ("top", {"variant": "pissa", "rank": 4, "layers": 1}),
    ("bias", {}),
    ("bias", {"part": "norm"}),
    ("soft_prompt", {"tokens": 6, "text": "Which team should handle this message?"}),
]
RATES = {"lora": 0.01, "top": 0.01, "bias": 0.05, "soft_prompt": 0.3}
NAMES = [f"{kind}-{'-'.join(map(str, more.values()))[:12]}" for kind, more in KINDS]


def train(model, place, kind, more, **others):
    return list(run_job.train(model, job(kind, rate=RATES[kind], **more, **others), place, None))


def session(model, place):
    module = adapters.trained(model.module, place)
    adapter_check.check(place, model, module)
    return answer.InferenceSession(prompt_tuning.with_prefix_ids(model, module), module)


def asked():
    return [Request(r.messages, Decoding(), LABELS) for r in rows()]


@pytest.mark.parametrize(("kind", "more"), KINDS, ids=NAMES)
def test_it_learns_and_leaves_the_base_alone(model, tmp_path, kind, more):
    before = {name: p.clone() for name, p in model.module.named_parameters()}
    base = choose(model, model.module)
    made = train(model, tmp_path, kind, more, epochs=12, checkpoints=2)
    # A vector that is the same for all rows cannot tell them apart in a random model this small: the loss must fall.
    assert made[-1].loss < (0.9 if kind == "lora" else 0.97) * made[0].loss
    tuned = session(model, tmp_path / made[-1].weights.adapter).choose(asked())
    if kind == "lora":
        assert sum(reply.text == row.answer for reply, row in zip(tuned, rows(), strict=True)) >= 12
    assert [r.scores for r in tuned] != [r.scores for r in base]
    assert equal(before, dict(model.module.named_parameters()))
    assert [r.scores for r in choose(model, model.module)] == [r.scores for r in base]


@pytest.mark.parametrize(("kind", "more"), KINDS, ids=NAMES)
def test_plain_peft_gives_our_label_scores(model, tmp_path, kind, more):
    """Loaded by `peft` on `transformers` alone; label scores by the definition, row by row, without our engine."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    made = train(model, tmp_path, kind, more, epochs=4)
    place = tmp_path / made[-1].weights.adapter
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model.folder), place).eval()
    ours = session(model, place).choose(asked()[:4])
    base = choose(model, model.module)[:4]
    for request, reply, plain in zip(asked()[:4], ours, base, strict=True):
        (prompt,) = model.renderer.prompt_ids([request.messages])
        scores = by_definition(theirs, prompt, {label: model.renderer.answer_ids(label) for label in LABELS}, model)
        assert scores == pytest.approx(reply.scores, abs=2e-4)
        assert scores != pytest.approx(plain.scores, abs=1e-3)


@torch.no_grad()
def by_definition(module, prompt, answers, model):
    found = {}
    closing = model.renderer.closing
    for label, ids in answers.items():
        logits = module(torch.tensor([[*prompt, *ids]])).logits[0][-len(ids) - 1 : -1]
        total = 0.0
        for depth, token in enumerate(ids):
            open_ = sorted({a[depth] for a in answers.values() if a[:depth] == ids[:depth] and len(a) > depth})
            if len(open_) > 1:
                groups = [sorted({t} | (closing - set(open_))) if t in closing else [t] for t in open_]
                each = torch.stack([logits[depth][g].logsumexp(-1) for g in groups]).log_softmax(-1)
                total += float(each[open_.index(token)])
        found[label] = total
    return found


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora", "pissa"])
def test_merged_equals_the_adapter(model, tmp_path, variant):
    """Peft's own merge of what we save gives the adapter's logits (peft #1836: 0.965 became 0.496)."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    made = train(model, tmp_path, "lora", {"variant": variant}, epochs=4)
    place = tmp_path / made[-1].weights.adapter
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model.folder), place).eval()
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        alone = theirs(ids).logits.log_softmax(-1)
        merged = theirs.merge_and_unload(safe_merge=True)(ids).logits.log_softmax(-1)
        moved = model.module(ids).logits.log_softmax(-1)
    assert float((alone - merged).abs().max()) < 1e-3 < float((alone - moved).abs().max())


@pytest.mark.parametrize(("kind", "more"), KINDS, ids=NAMES)
def test_by_hand_equals_autograd(opened, tmp_path, monkeypatch, kind, more):
    """The same training through transformers' own layers: the same losses."""
    from whichway.engine.model import decoder

    model = opened("qwen2")
    ours = train(model, tmp_path / "ours", kind, more, epochs=2)
    monkeypatch.setitem(decoder._own_decoders, model.module, None)
    theirs = train(model, tmp_path / "theirs", kind, more, epochs=2)
    assert [a.loss for a in ours] == pytest.approx([a.loss for a in theirs], rel=1e-4)


@pytest.mark.parametrize(("kind", "more"), KINDS, ids=NAMES)
def test_left_in_the_middle_it_continues_bit_for_bit(opened, tmp_path, kind, more):
    model = opened("llama")
    wanted = train(model, tmp_path / "whole", kind, more)
    stopped = run_job.train(model, job(kind, rate=RATES[kind], **more), tmp_path / "parts", None)
    first = next(stopped)
    stopped.close()
    rest = train(model, tmp_path / "parts", kind, more)
    assert rest[0] == first
    from safetensors.torch import load_file

    name = wanted[-1].weights.adapter
    a, b = (load_file(tmp_path / d / name / "adapter_model.safetensors") for d in ("whole", "parts"))
    assert equal(a, b)


def test_pissa_starts_where_the_base_is_and_moves_only_its_half(opened, tmp_path):
    from whichway import training_kinds
    from whichway.engine.train import trainable

    model = opened("llama")
    given = training_kinds.options(training_kinds.LoraOptions, {"variant": "pissa", "rank": 4})
    who = trainable.set_up(model, job("lora", variant="pissa", rank=4), given, None)
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        assert torch.allclose(who.module(ids).logits, model.module(ids).logits, atol=1e-5)
    start = {n: p.detach().clone() for n, p in who.outer.named_parameters() if "lora_A" in n}
    (vector,) = who.tensors.values()
    vector.grad = torch.ones_like(vector)
    who.drop_frozen_gradients()
    with torch.no_grad():
        vector -= vector.grad
    for name, p in who.outer.named_parameters():
        if name in start:
            assert torch.equal(p[4:], start[name][4:])
            assert not torch.equal(p[:4], start[name][:4])


def test_dora_leaves_out_layers_with_rows_of_zeros(opened, tmp_path):
    """Their length is zero, and DoRA divides by it: everything became nan at the first step."""
    model = opened("qwen2")
    layer = model.module.model.layers[0].self_attn.q_proj
    kept = layer.weight.data[3].clone()
    layer.weight.data[3] = 0.0
    try:
        made = train(model, tmp_path, "lora", {"variant": "dora"}, epochs=2)
    finally:
        layer.weight.data[3] = kept
    said = json.loads((tmp_path / made[-1].weights.adapter / "adapter_config.json").read_text())
    assert "model.layers.0.self_attn.q_proj" not in said["target_modules"]
    assert "model.layers.1.self_attn.q_proj" in said["target_modules"]
    assert len(said["target_modules"]) == 2 * 7 - 1


def test_what_a_model_lacks_is_said(opened, tmp_path):
    with pytest.raises(OptionError, match="no biases"):
        train(opened("llama"), tmp_path, "bias", {"part": "bias"})
    with pytest.raises(OptionError, match="no value projection"):
        train(opened("gpt2"), tmp_path, "bias", {"part": "value"})
    with pytest.raises(OptionError, match="'dora' or 'pissa'"):
        train(opened("llama"), tmp_path, "lora", {"variant": "dorra"})
    made = train(opened("llama"), tmp_path, "bias", {})[-1]
    again = dataclasses.replace(job("bias"), weights=made.weights)
    with pytest.raises(WayFailed, match="starts from the base"):
        list(run_job.train(opened("llama"), again, tmp_path, tmp_path / made.weights.adapter))


def test_value_biases_on_a_model_that_has_biases(opened, tmp_path):
    model = opened("qwen2")
    made = train(model, tmp_path, "bias", {"part": "value"}, epochs=6)
    session(model, tmp_path / made[-1].weights.adapter)


# Preferences


def pairs(count=12):
    made = []
    for row, label in zip(rows(count), (LABELS * count)[:count], strict=True):
        other = LABELS[(LABELS.index(label) + 1) % 3]
        made += [TrainRow(row.messages, label), TrainRow(row.messages, other)]
    return tuple(made)


def preferences(**options):
    return TrainJob("dpo", Weights("local", "base"), pairs(), (), 0, {"batch": 4, "epochs": 2, **options})


def gained(model, module, row_pairs):
    """Log-probability of the wanted less the unwanted answer, mean over pairs."""
    encoded = adapter_check.encode(model.renderer, [(r.messages, r.answer) for r in row_pairs])
    from whichway.engine.model import forward

    with torch.no_grad():
        said = forward.answer_logprobs(module, [(r.prompt, r.answer) for r in encoded], None, 0)
    sums = [float(p.sum()) for p in torch.split(said, [len(r.answer) for r in encoded])]
    return sum(a - b for a, b in zip(sums[0::2], sums[1::2], strict=True)) / (len(sums) / 2)


def test_preferences_move_the_wanted_answer_up(model, tmp_path):
    made = list(run_job.train(model, preferences(rate=0.003, epochs=6, checkpoints=2), tmp_path, None))
    assert made[-1].loss < made[0].loss < 0.7
    module = adapters.trained(model.module, tmp_path / made[-1].weights.adapter)
    assert gained(model, module, pairs()) > gained(model, model.module, pairs()) + 1.0


def test_the_loss_is_the_papers(opened, tmp_path):
    """The first step's loss is log 2; after it, the formula written out on full logits gives the same."""
    model = opened("llama")
    (one,) = list(run_job.train(model, preferences(rate=0.01, max_steps=1, epochs=1), tmp_path / "a", None))
    assert one.loss == pytest.approx(0.6931, abs=1e-3)
    run_rows = adapter_check.encode(model.renderer, [(r.messages, r.answer) for r in pairs()])

    def said(module, row):
        ids = torch.tensor([[*row.prompt, *row.answer]])
        logits = module(ids).logits[0, len(row.prompt) - 1 : -1].log_softmax(-1)
        return float(logits.gather(1, torch.tensor(row.answer)[:, None]).sum())

    place = tmp_path / "a" / one.weights.adapter
    with torch.no_grad():
        tuned = adapters.trained(model.module, place)
        margins = [
            said(tuned, c) - said(model.module, c) - said(tuned, r) + said(model.module, r)
            for c, r in zip(run_rows[0::2], run_rows[1::2], strict=True)
        ]
    wanted = float(-F.logsigmoid(0.1 * torch.tensor(margins)).mean())
    from whichway import training_kinds
    from whichway.engine.train import dpo, trainable

    task = dataclasses.replace(preferences(batch=12), weights=dataclasses.replace(one.weights, kind="dpo"))
    given = training_kinds.options(training_kinds.DpoOptions, task.options)
    run = dpo.PairRun(model, task, given, tmp_path / "c", place)
    run.trainable = trainable.set_up(model, task, run.settings, place)
    run.below = None
    assert run._piece(run.rows, 12) == pytest.approx(wanted, rel=1e-4)


def test_pairs_stay_together_when_memory_is_short(opened, tmp_path, monkeypatch):
    model = opened("llama")
    whole = list(run_job.train(model, preferences(rate=0.003), tmp_path / "whole", None))
    monkeypatch.setitem(trainer._MICRO, "cpu", 1)
    small = list(run_job.train(model, preferences(rate=0.003), tmp_path / "small", None))
    assert [a.loss for a in small] == pytest.approx([a.loss for a in whole], rel=1e-4)
    long = TrainRow((HEAD, Message("user", "parcel " * 600)), "bill")
    task = dataclasses.replace(preferences(max_steps=1), rows=(*pairs(), long, pairs()[1]))
    assert len(list(run_job.train(model, task, tmp_path / "long", None))) == 1
