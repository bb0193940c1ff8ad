"""The mean of several trainings, as one adapter."""

import pytest
import torch
from test_engine_learn import choose, equal, job, tensors

from whichway import training_kinds
from whichway.engine.train import adapter_check, adapters, run_job, trainer
from whichway.errors import OptionError

MEMBERS = 3


def changes(place):
    """What an adapter adds to each weight."""
    import json

    said = json.loads((place / "adapter_config.json").read_text())
    rank, alpha = said["r"], said["lora_alpha"]
    scale = alpha / (rank**0.5 if said["use_rslora"] else rank)
    found = tensors(place)
    names = [n.removesuffix("lora_A.weight") for n in found if n.endswith("lora_A.weight")]
    return {n: scale * found[f"{n}lora_B.weight"] @ found[f"{n}lora_A.weight"] for n in names}


@pytest.mark.parametrize("variant", ["lora", "rslora", "pissa"])
def test_it_adds_the_mean_of_what_the_trainings_add(opened, tmp_path, variant):
    model, task = opened("llama"), job(epochs=4, rate=0.01, variant=variant, checkpoints=2)
    asked = job(epochs=4, rate=0.01, variant=variant, checkpoints=2, soup=MEMBERS)
    soups = list(run_job.train(model, asked, tmp_path / "soup", None))
    given = training_kinds.options(training_kinds.LoraOptions, task.options)
    runs = [trainer.TrainingRun(model, task, given, tmp_path / f"{n}", None, member=n) for n in range(MEMBERS)]
    alone = [list(run.steps()) for run in runs]
    for number, soup in enumerate(soups):
        parts = [changes(tmp_path / f"{n}" / alone[n][number].weights.adapter) for n in range(MEMBERS)]
        found = changes(tmp_path / "soup" / soup.weights.adapter)
        assert found.keys() == parts[0].keys()
        for name, value in found.items():
            wanted = sum(part[name] for part in parts) / MEMBERS
            assert torch.allclose(value, wanted, atol=1e-6), name
        assert not torch.allclose(parts[0][name], parts[1][name], atol=1e-6)
        assert soup.tokens == sum(made[number].tokens for made in alone)
        assert soup.loss == pytest.approx(sum(made[number].loss for made in alone) / MEMBERS)
    assert len(soups) == 2
    assert [s.epoch for s in soups] == [2.0, 4.0]


def test_the_trainings_start_alike_and_see_other_orders(opened, tmp_path):
    model, task = opened("llama"), job(epochs=2, rate=1e-9)
    given = training_kinds.options(training_kinds.LoraOptions, task.options)
    runs = [trainer.TrainingRun(model, task, given, tmp_path / f"{n}", None, member=n) for n in range(2)]
    made = [list(run.steps())[-1].weights.adapter for run in runs]
    a, b = (tensors(tmp_path / f"{n}" / name) for n, name in enumerate(made))
    down = [name for name in a if "lora_A" in name]
    assert all(torch.allclose(a[name], b[name], atol=1e-7) for name in down)
    assert runs[0]._batch(0) != runs[1]._batch(0)


def test_it_answers_as_when_it_was_saved(model, tmp_path):
    made = list(run_job.train(model, job(epochs=6, rate=0.01, soup=2), tmp_path, None))[-1]
    place = tmp_path / made.weights.adapter
    module = adapters.trained(model.module, place)
    adapter_check.check(place, model, module)
    assert [r.scores for r in choose(model, module)] != [r.scores for r in choose(model, model.module)]


def test_one_alone_is_a_training_as_ever(opened, tmp_path):
    model = opened("llama")
    plain = list(run_job.train(model, job(epochs=2), tmp_path / "a", None))[-1]
    one = list(run_job.train(model, job(epochs=2, soup=1), tmp_path / "b", None))[-1]
    assert equal(tensors(tmp_path / "a" / plain.weights.adapter), tensors(tmp_path / "b" / one.weights.adapter))


def test_a_watcher_hears_of_all_steps(opened, tmp_path):
    heard = []
    made = list(run_job.train(opened("llama"), job(epochs=2, soup=2), tmp_path, None, heard.append))[-1]
    assert [now.step for now in heard] == list(range(1, made.step + 1))
    assert {now.steps for now in heard} == {made.step}
    assert heard[-1].tokens == made.tokens


@pytest.mark.parametrize("count", [0, 1.5, True, -2])
def test_it_must_be_a_number_of_trainings(count):
    with pytest.raises(OptionError, match=r"soup = .* whole number"):
        training_kinds.options(training_kinds.LoraOptions, {"soup": count})


@pytest.mark.parametrize("name", ["batch", "max_steps", "rank"])
@pytest.mark.parametrize("count", [0, 1.5, True])
def test_other_counts_are_whole_numbers_too(name, count):
    with pytest.raises(OptionError, match=rf"{name} = .* whole number"):
        training_kinds.options(training_kinds.LoraOptions, {name: count})


def test_dora_has_no_such_mean(opened, tmp_path):
    with pytest.raises(OptionError, match="cannot be used with variant = 'dora'"):
        list(run_job.train(opened("llama"), job(variant="dora", soup=2), tmp_path, None))


@pytest.mark.parametrize("kind", ["full", "top", "dpo"])
def test_other_trainings_do_not_know_it(kind):
    with pytest.raises(OptionError, match="no option 'soup'"):
        training_kinds.options(training_kinds.KINDS[kind].options, {"soup": 2})
