"""int8 products of frozen weights: how near they are, what a training makes of them, and when it does without."""

import dataclasses
import json
import logging

import pytest
import torch
from safetensors.torch import load_file

from whichway.backends.local import LocalBackend
from whichway.engine.model import decoder, int8, layers
from whichway.engine.model.weights import FusedLinear, ParamView
from whichway.engine.train import adapter_check, adapters, head, int8_training, run_job, trainer
from whichway.engine.train.counted_work import WorkCounter
from whichway.engine.train.train_progress import StopTraining
from whichway.nouns import Message, TrainJob, TrainRow, Weights
from whichway.training_kinds import KINDS, options, rounds

pytestmark = pytest.mark.skipif(int8.activation_steps() is None, reason="this processor has no int8 products")
LABELS = ("billing", "shipping")
TEXTS = (
    "refund payment twice",
    "parcel sent late",
    "payment refused",
    "weeks without parcel",
    "twice a refund",
    "sent",
)


def job(kind="lora", **more):
    head_ = Message("system", "Which team?")
    rows = tuple(TrainRow((head_, Message("user", text)), LABELS[n % 2]) for n, text in enumerate(TEXTS))
    numbers = {"batch": 3, "epochs": 3, "checkpoints": 1, "rate": 0.01, **more}
    return TrainJob(kind, Weights("local", "base"), rows, LABELS, 0, numbers)


def trained(model, folder, **more):
    adapter = list(run_job.train(model, job(**more), folder, None))[-1]
    return adapter, load_file(folder / adapter.weights.adapter / "adapter_model.safetensors")


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("steps", [127, 63])
def test_products_are_near_and_a_row_does_not_depend_on_its_neighbours(steps):
    if steps > (int8.activation_steps() or 0):
        pytest.skip("sums of eight bits overflow here")
    pick = torch.Generator().manual_seed(1)
    weight, x = torch.randn(96, 64, generator=pick), torch.randn(20, 64, generator=pick)
    x[3] *= 1e-9  # gradients are as small
    x[4] *= 1e6
    x[5] = 0
    packed = int8.Int8Weight(weight, steps)
    out, exact = packed(x), x @ weight.t()
    error = (out - exact).norm(dim=1) / exact.norm(dim=1).clamp_min(1e-30)
    assert float(error.max()) < 0.05
    assert torch.equal(out[5], torch.zeros(96))
    assert torch.equal(packed(x[3:4]), out[3:4])
    assert packed(x.bfloat16()).dtype == torch.bfloat16


def test_both_directions_and_the_bias_of_a_layer():
    pick = torch.Generator().manual_seed(2)
    weight, x, grad = (torch.randn(*shape, generator=pick) for shape in ((48, 32), (7, 32), (7, 48)))
    bias = torch.randn(48, generator=pick)
    group = FusedLinear(ParamView(weight, ()), ParamView(bias, ()))
    exact, saved = layers.linear(x, group)
    back = layers.linear_back(grad, saved, group)
    group.int8 = int8.Int8Pair.of(weight, int8.activation_steps())
    rounded, _ = layers.linear(x, group)
    rounded_back = layers.linear_back(grad, saved, group)
    for near, wanted in ((rounded, exact), (rounded_back, back)):
        assert 0 < float((near - wanted).norm() / wanted.norm()) < 0.05
    assert layers.linear_back(grad, saved, group, onward=False) is None
    assert all(part.int8 is None for part in group.split(16))


@pytest.mark.parametrize("kind", ["lora", "head"])
def test_a_training_says_that_it_was_in_int8_and_its_part_answers_exactly(model, tmp_path, kind):
    adapter, tensors = trained(model, tmp_path, kind=kind, precision="int8")
    exact, wanted = trained(model, tmp_path, kind=kind)
    assert (adapter.precision, exact.precision) == ("int8", "")
    assert not equal(tensors, wanted)
    assert adapter.loss == pytest.approx(exact.loss, rel=0.2)
    place = tmp_path / adapter.weights.adapter
    if kind == "lora":
        adapter_check.check(place, model, adapters.lora(model.module, place))
    else:
        head.open_session(model, place)
    stored = json.loads((place / "live.json").read_text())  # as exact products give it, to the last digits
    module = head.open_session(model, place).module if kind == "head" else adapters.lora(model.module, place)
    rows = [adapter_check.Encoded(row["prompt"], row["answer"]) for row in stored]
    assert adapter_check.measure(module, rows) == pytest.approx([row["logprob"] for row in stored], abs=1e-4)
    assert all(group.int8 is None for group in int8_training._groups(decoder.known(model.module)))


def test_rows_that_do_not_allow_it_are_trained_exactly(opened, tmp_path, monkeypatch, caplog):
    model = opened("llama")
    monkeypatch.setattr(int8_training, "_COSINE", 1.1)
    with caplog.at_level(logging.WARNING):
        adapter, tensors = trained(model, tmp_path, precision="int8")
    _, exact = trained(model, tmp_path)
    assert adapter.precision == "exact"
    assert equal(tensors, exact)
    assert "int8 products are too far off" in caplog.text


def test_a_processor_without_such_products_trains_exactly(opened, tmp_path, monkeypatch, caplog):
    model = opened("llama")
    monkeypatch.setattr(int8_training, "activation_steps", lambda: None)
    with caplog.at_level(logging.WARNING):
        adapter, tensors = trained(model, tmp_path, precision="int8")
    assert adapter.precision == "exact"
    assert equal(tensors, trained(model, tmp_path)[1])
    assert "no int8 products here" in caplog.text


def test_what_was_decided_stays_when_a_training_goes_on(opened, tmp_path, monkeypatch):
    model, task = opened("llama"), job(precision="int8")
    _, whole = trained(model, tmp_path / "whole", precision="int8")

    def stop(now):
        if now.step == 3:
            raise StopTraining

    with pytest.raises(StopTraining):
        list(run_job.train(model, task, tmp_path / "parts", None, stop))
    monkeypatch.setattr(int8_training, "agreement", lambda *_: pytest.fail("the gate is asked once"))
    adapter, tensors = trained(model, tmp_path / "parts", precision="int8")
    assert adapter.precision == "int8"
    assert equal(tensors, whole)


def test_the_gate_sees_products_that_are_wrong(opened, tmp_path, monkeypatch):
    model, task = opened("llama"), job(precision="int8")
    seen = []
    close = int8_training.agreement
    monkeypatch.setattr(int8_training, "agreement", lambda *args: seen.append(close(*args)) or seen[-1])
    run = trainer.TrainingRun(model, task, options(KINDS["lora"].options, task.options), tmp_path, None)
    run.set_up()
    before = run.trainable.masters.vector.data.clone()
    assert seen[0].close
    assert 0.9 < seen[0].cosine < 1
    of = int8.Int8Pair.of
    monkeypatch.setattr(int8_training.Int8Pair, "of", lambda weight, steps: of(weight.flip(0), steps))
    int8_training._roundings.clear()
    again = trainer.TrainingRun(model, task, options(KINDS["lora"].options, task.options), tmp_path, None)
    again.set_up()
    int8_training._roundings.clear()
    assert again.at.precision == "exact"
    assert not seen[1].close
    assert torch.equal(again.trainable.masters.vector.data, before)  # the noise is gone


def test_trainings_of_one_base_share_its_roundings(opened):
    base = decoder.known(opened("llama").module)
    first, second = (int8_training.Int8Products.of(base, base) for _ in range(2))
    assert [pair for _, pair in first.groups] == [pair for _, pair in second.groups]
    assert len(int8_training.Int8Products.of(base, base, 1).groups) == len(first.groups) / 2


def test_whether_it_pays_is_measured_once_for_each_width_and_format(tmp_path, monkeypatch):
    monkeypatch.setenv("WHICHWAY_MODELS", str(tmp_path))
    asked, rates = [], {128: 1.9, 256: 1.1}
    monkeypatch.setattr(int8, "speedup", lambda width, dtype: asked.append(width) or rates[width])
    assert [int8.pays(width, torch.float32) for width in (128, 256, 128, 256)] == [True, False, True, False]
    assert asked == [128, 256]
    assert int8.pays(32, torch.float32) is False
    assert asked == [128, 256]
    (tmp_path / "int8.json").write_text("{broken")
    assert int8.pays(128, torch.float32)
    assert len(asked) == 3


def test_the_speedup_is_that_of_both_directions():
    assert int8.speedup(128, torch.float32, repeats=1) > 0


def test_only_kinds_that_were_measured_are_rounded_and_the_digest_of_the_others_stays():
    assert {kind for kind in KINDS if rounds(kind)} == {"lora", "head"}
    assert job().id != job(precision="int8").id
    assert dataclasses.asdict(options(KINDS["lora"].options, {}))["precision"] == "exact"


def test_a_training_in_int8_has_a_rate_of_its_own(opened, tmp_path):
    model = opened("llama")
    adapter, _ = trained(model, tmp_path, precision="int8")
    counter = WorkCounter(model.folder, job().weights)
    exact, rounded = (counter.training(task, adapter, None)[0] for task in (job(), job(precision="int8")))
    assert exact.units == rounded.units > 0
    assert exact.kind != rounded.kind


def test_a_model_too_narrow_to_gain_is_not_rounded(tiny):
    assert LocalBackend().rounds(Weights("local", str(tiny("llama")))) is False
