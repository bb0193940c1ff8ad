"""Training the top layers only: the frozen part is run once, and that changes nothing but the time."""

import dataclasses

import pytest
import torch
from test_engine_learn import choose, equal, job, rows, tensors

from whichway.engine.model import decoder, load
from whichway.engine.train import adapter_check, adapters, run_job, trainer
from whichway.errors import OptionError


@pytest.mark.parametrize("kind", ["top", "top_full"])
def test_kept_states_equal_none(model, tmp_path, monkeypatch, kind):
    task = job(kind, layers=1, epochs=3, rate=0.002)
    with_ = list(run_job.train(model, task, tmp_path / "a" / "t", None))
    assert list((tmp_path / "a" / "states").iterdir())
    monkeypatch.setattr(trainer.TrainingRun, "_below", lambda self: None)
    without = list(run_job.train(model, task, tmp_path / "b" / "t", None))
    assert [a.loss for a in with_] == pytest.approx([a.loss for a in without], rel=1e-5)
    shape = "lora" if kind == "top" else "full"
    a, b = (tensors(tmp_path / d / "t" / x[-1].weights.adapter, shape) for d, x in (("a", with_), ("b", without)))
    assert a.keys() == b.keys()
    assert all(float((a[k] - b[k]).abs().mean()) < 2e-5 for k in a)


@pytest.mark.parametrize("kind", ["top", "top_full"])
def test_only_the_top_changes(model, tmp_path, kind):
    base = choose(model, model.module)
    made = list(run_job.train(model, job(kind, layers=1, epochs=8, rate=0.01), tmp_path / "t", None))[-1]
    place = tmp_path / "t" / made.weights.adapter
    module = adapters.trained(model.module, place)
    adapter_check.check(place, model, module)
    assert [r.scores for r in choose(model, module)] != [r.scores for r in base]
    if kind == "top":
        assert all(".1." in name for name in tensors(place))
    before = dict(model.module.named_parameters())
    moved = [n for n, p in module.named_parameters() if n in before and not torch.equal(p, before[n])]
    assert moved
    assert all(".1." in name for name in moved)


@pytest.mark.parametrize("kind", ["top", "top_full"])
@pytest.mark.parametrize("layers", [1, 2])
def test_in_a_short_format(opened, tiny, tmp_path, monkeypatch, kind, layers):
    task = job(kind, layers=layers, epochs=3, rate=0.002)
    exact = list(run_job.train(opened("llama"), task, tmp_path / "a" / "t", None))
    monkeypatch.setattr("whichway.engine.model.throughput.dtype", lambda *_: torch.bfloat16)
    short = load.load(tiny("llama"))
    assert short.module.dtype == torch.bfloat16
    rounded = list(run_job.train(short, task, tmp_path / "b" / "t", None))
    assert [a.loss for a in rounded] == pytest.approx([a.loss for a in exact], rel=0.02)


def test_trials_share_the_states(opened, tmp_path, monkeypatch):
    model = opened("llama")
    honest, passes = decoder.Decoder.below, []
    monkeypatch.setattr(decoder.Decoder, "below", lambda self, *a: passes.append(1) or honest(self, *a))
    for n, rate in enumerate((0.001, 0.01)):
        list(run_job.train(model, job("top", layers=1, rate=rate, seed=n), tmp_path / f"t{n}", None))
    assert len(passes) == 1
    other = dataclasses.replace(job("top", layers=1), rows=rows(12))
    list(run_job.train(model, other, tmp_path / "t3", None))
    assert len(passes) == 1  # some of the same rows, as in another fold
    list(run_job.train(model, job("top", layers=2), tmp_path / "t4", None))
    assert len(passes) == 2


def test_a_full_disk_only_costs_time(opened, tmp_path, monkeypatch):
    import safetensors.torch

    model, task = opened("llama"), job("top", layers=1, max_steps=2)
    wanted = list(run_job.train(model, task, tmp_path / "a" / "t", None))[-1]
    honest = safetensors.torch.save_file

    def full(given, place, **more):
        if "states" in str(place):
            raise OSError("no space left on device")
        honest(given, place, **more)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    found = list(run_job.train(model, task, tmp_path / "b" / "t", None))[-1]
    assert found.loss == wanted.loss
    name = wanted.weights.adapter
    assert equal(tensors(tmp_path / "a" / "t" / name), tensors(tmp_path / "b" / "t" / name))


def test_more_layers_than_there_are_is_refused(opened, tmp_path):
    with pytest.raises(OptionError, match="layers = 7: the model has 2"):
        list(run_job.train(opened("llama"), job("top", layers=7), tmp_path, None))


def test_states_that_are_gone_are_made_again(opened, tmp_path):
    import shutil

    model = opened("llama")
    training = run_job.train(model, job("top", layers=1, epochs=3), tmp_path / "a" / "t", None)
    wanted = [next(training)]
    shutil.rmtree(tmp_path / "a" / "states")  # another run that shares the cache has ended
    wanted += list(training)
    again = list(run_job.train(model, job("top", layers=1, epochs=3), tmp_path / "b" / "t", None))
    assert [a.loss for a in again] == [w.loss for w in wanted]
