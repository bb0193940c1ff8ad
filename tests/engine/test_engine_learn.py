"""Learning: gradients, resumption, checkpoints, refusals; PEFT loads what we save."""

import dataclasses
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from whichway import training_kinds
from whichway.engine.infer import session
from whichway.engine.train import adapter_check, adapters, run_job, trainer
from whichway.errors import AdapterNotLive, DataError, OptionError, WayFailed
from whichway.nouns import Decoding, Message, Request, TrainJob, TrainRow, Weights

HEAD = Message("system", "Which team should handle this message?")
LABELS = ("billing", "bill", "shipping")
WORDS = {"billing": "refund payment", "bill": "billed twice", "shipping": "parcel sent weeks"}


def rows(count=18):
    pick = random.Random(3)
    made = []
    for n in range(count):
        label = LABELS[n % 3]
        text = " ".join(pick.choices(WORDS[label].split(), k=pick.randint(1, 6)))
        made.append(TrainRow((HEAD, Message("user", text)), label))
    return tuple(made)


def job(kind="lora", seed=0, count=18, **options):
    return TrainJob(kind, Weights("local", "base"), rows(count), LABELS, seed, {"batch": 6, "epochs": 2, **options})


def tensors(folder, kind="lora"):
    return load_file(folder / ("model.safetensors" if kind == "full" else "adapter_model.safetensors"))


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def choose(model, module):
    return session.InferenceSession(model, module).choose([Request(r.messages, Decoding(), LABELS) for r in rows()])


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_it_learns_and_leaves_the_base_alone(model, tmp_path, kind):
    before = {name: p.clone() for name, p in model.module.named_parameters()}
    base = choose(model, model.module)
    rate = 0.02 if kind == "lora" else 0.005
    made = list(run_job.train(model, job(kind, epochs=12, checkpoints=2, rate=rate), tmp_path, None))
    assert len(made) == 2
    assert made[-1].loss < 0.8 * made[0].loss
    assert (made[-1].step, made[-1].epoch, made[-1].weights.kind) == (36, 12.0, kind)
    assert made[-1].tokens > 0
    assert made[-1].bytes > 0
    place = tmp_path / made[-1].weights.adapter
    module = (adapters.lora if kind == "lora" else adapters.full)(model.module, place)
    adapter_check.check(place, model, module)
    tuned = choose(model, module)
    right = [reply.text == row.answer for reply, row in zip(tuned, rows(), strict=True)]
    assert sum(right) >= 16
    assert equal(before, dict(model.module.named_parameters()))
    assert [r.scores for r in choose(model, model.module)] == [r.scores for r in base]


def test_peft_loads_the_adapter_and_gives_our_logits(model, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    made = list(run_job.train(model, job(rate=0.01), tmp_path, None))
    place = tmp_path / made[-1].weights.adapter
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model.folder), place).eval()
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        ours = adapters.lora(model.module, place)(ids).logits
        gap = (theirs(ids).logits - ours).abs().max()
        moved = (theirs(ids).logits - model.module(ids).logits).abs().max()
    assert gap < 1e-4 < moved


def test_it_equals_a_plain_peft_loop(opened, tiny, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = opened("llama")
    task = job(rate=0.003, max_steps=6)
    made = list(run_job.train(model, task, tmp_path, None))[-1]
    run = trainer.TrainingRun(
        model, task, training_kinds.options(training_kinds.LoraOptions, task.options), tmp_path, None
    )
    with torch.random.fork_rng():
        torch.manual_seed(task.seed)
        config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        plain = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny("llama")), config)
    trained = [p for p in plain.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(trained, lr=0.0, weight_decay=0.0)
    for step in range(6):
        batch = run._batch(step)
        losses = []
        for row in batch:  # one by one, labels masked as everywhere else
            ids = torch.tensor([row.prompt + row.answer])
            labels = torch.tensor([[-100] * len(row.prompt) + row.answer])
            losses.append(plain(ids, labels=labels).loss * len(row.answer))
        adam.zero_grad()
        (sum(losses) / sum(len(row.answer) for row in batch)).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adam.param_groups[0]["lr"] = 0.003 * run._factor(step + 1)
        adam.step()
    plain.save_pretrained(tmp_path / "plain")
    ours, theirs = tensors(tmp_path / made.weights.adapter), tensors(tmp_path / "plain")
    assert ours.keys() == theirs.keys()
    assert max(float((ours[k] - theirs[k]).abs().max()) for k in ours) < 1e-4


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_pieces_of_a_batch_give_the_same_step(opened, tmp_path, monkeypatch, kind):
    model = opened("llama")
    whole = list(run_job.train(model, job(kind, max_steps=3), tmp_path / "whole", None))
    monkeypatch.setitem(trainer._MICRO, "cpu", 1)  # every row alone
    pieces = list(run_job.train(model, job(kind, max_steps=3), tmp_path / "pieces", None))
    assert whole[-1].loss == pytest.approx(pieces[-1].loss, rel=1e-5)
    a, b = (tensors(tmp_path / d / x[-1].weights.adapter, kind) for d, x in (("whole", whole), ("pieces", pieces)))
    # Adam divides by the gradient's own size, so what rounding leaves of a zero gradient becomes a step.
    assert all(float((a[k] - b[k]).abs().mean()) < 2e-5 for k in a)


def test_memory_that_runs_out_keeps_the_batch(opened, tmp_path, monkeypatch):
    model = opened("llama")
    whole = list(run_job.train(model, job(max_steps=2), tmp_path / "whole", None))
    honest, sizes = trainer.row_losses, []

    def greedy(module, rows, *rest):
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return honest(module, rows, *rest)

    monkeypatch.setattr(trainer, "row_losses", greedy)
    small = list(run_job.train(model, job(max_steps=2), tmp_path / "small", None))
    assert small[-1].loss == pytest.approx(whole[-1].loss, rel=1e-5)
    assert small[-1].step == whole[-1].step == 2  # as many steps, of as many rows
    tried = [n for n, size in enumerate(sizes) if size > 2]
    assert tried[-1] < 4  # found once: later steps start with what fits
    assert sum(sizes[tried[-1] + 1 :]) >= 12
    a, b = (tensors(tmp_path / d / x[-1].weights.adapter) for d, x in (("whole", whole), ("small", small)))
    assert all(float((a[k] - b[k]).abs().mean()) < 2e-5 for k in a)


def test_a_row_that_never_fits_into_memory_fails_the_way(opened, tmp_path, monkeypatch):
    def greedy(module, rows, *rest):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(trainer, "row_losses", greedy)
    with pytest.raises(WayFailed, match="memory"):
        list(run_job.train(opened("llama"), job(), tmp_path, None))


def test_same_seed_same_weights_other_seed_others(opened, tmp_path):
    model = opened("llama")
    seeds = {"a": 0, "b": 0, "c": 1}
    names = {
        n: list(run_job.train(model, job(seed=seed, dropout=0.1), tmp_path / n, None))[-1].weights.adapter
        for n, seed in seeds.items()
    }
    a, b, c = (tensors(tmp_path / n / name) for n, name in names.items())
    assert equal(a, b)
    assert not equal(a, c)
    assert names["a"] == names["b"] != names["c"]


KILLED = """
import json, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[3])
from pathlib import Path
import test_engine_learn as t
from whichway.engine.model import load
from whichway.engine.train import run_job, trainer
trainer.STATE_SECONDS = 0.0
job = t.job(sys.argv[4], epochs=8, **json.loads(sys.argv[5]))
print("go", flush=True)
for made in run_job.train(load.load(Path(sys.argv[1])), job, Path(sys.argv[2]), None):
    print(made.step, flush=True)
"""


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("lora", {"dropout": 0.1, "word_dropout": 0.3}),
        ("lora", {"soup": 2}),
        ("head", {"share": 0.5}),
        pytest.param("full", {}, marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_moment_it_continues_bit_for_bit(opened, tiny, tmp_path, kind, more):
    model = opened("llama")
    wanted = list(run_job.train(model, job(kind, epochs=8, **more), tmp_path / "whole", None))
    broken = tmp_path / "broken"
    arguments = [str(tiny("llama")), str(broken), str(Path(__file__).parent), kind, json.dumps(more)]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "go\n"
    deadline = time.monotonic() + 60
    while not list(broken.glob("state/*.safetensors")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(random.random() * 0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = list(run_job.train(model, job(kind, epochs=8, **more), broken, None))
    assert [a.step for a in again] == [w.step for w in wanted]
    assert [a.loss for a in again] == [w.loss for w in wanted]
    assert [a.weights for a in again] == [w.weights for w in wanted]
    for one in wanted:
        name = one.weights.adapter
        assert equal(tensors(tmp_path / "whole" / name, kind), tensors(broken / name, kind))


def test_left_in_the_middle_it_continues(opened, tmp_path):
    model = opened("llama")
    wanted = list(run_job.train(model, job(), tmp_path / "whole", None))
    stopped = run_job.train(model, job(), tmp_path / "parts", None)
    first = next(stopped)
    stopped.close()
    rest = list(run_job.train(model, job(), tmp_path / "parts", None))
    assert rest[0] == first
    name = wanted[-1].weights.adapter
    assert equal(tensors(tmp_path / "whole" / name), tensors(tmp_path / "parts" / name))


def test_a_finished_job_yields_what_is_there(opened, tmp_path, monkeypatch):
    model = opened("llama")
    made = list(run_job.train(model, job(), tmp_path, None))
    assert not list(tmp_path.glob("state/*.safetensors"))
    monkeypatch.setattr(trainer.TrainingRun, "_step", lambda self: pytest.fail("trained again"))
    assert list(run_job.train(model, job(), tmp_path, None)) == made


def test_checkpoints_are_spread_over_the_run(opened, tmp_path):
    made = list(run_job.train(opened("llama"), job(epochs=4, checkpoints=3), tmp_path, None))
    assert [a.step for a in made] == [4, 8, 12]


def test_it_goes_on_from_an_adapter(opened, tmp_path):
    model = opened("llama")
    first = list(run_job.train(model, job(epochs=6, rate=0.01), tmp_path, None))[-1]
    more = dataclasses.replace(job(epochs=1, rate=0.001), weights=first.weights)
    second = list(run_job.train(model, more, tmp_path, tmp_path / first.weights.adapter))[-1]
    assert second.loss < first.loss * 1.5
    assert second.weights.adapter != first.weights.adapter
    with pytest.raises(WayFailed, match="cannot start from"):
        list(run_job.train(model, dataclasses.replace(more, kind="full"), tmp_path, tmp_path / first.weights.adapter))


def test_divergence_is_a_failed_way(opened, tmp_path, monkeypatch):
    honest = trainer.row_losses
    monkeypatch.setattr(trainer, "row_losses", lambda *a: honest(*a) * float("nan"))
    with pytest.raises(WayFailed, match=r"diverged at step 1, rate 0\.5; lower the rate"):
        list(run_job.train(opened("llama"), job(rate=0.5), tmp_path, None))


@pytest.mark.parametrize(
    ("options", "told"),
    [({"rte": 1e-3}, "mean 'rate'"), ({"rate": -1}, "positive"), ({"schedule": "cosin"}, "'linear' or 'cosine'")],
)
def test_unfit_options_are_refused(opened, tmp_path, options, told):
    with pytest.raises(OptionError, match=told):
        list(run_job.train(opened("llama"), job(**options), tmp_path, None))


def test_rows_without_anything_to_train_are_named(opened, monkeypatch):
    model = opened("llama")
    monkeypatch.setattr(model.renderer, "answer_ids", lambda text: () if text == "bill" else (5, 1))
    with pytest.raises(DataError, match="row 2 \\('bill'\\)"):
        trainer.encode(model, job())
    with pytest.raises(DataError, match="no rows"):
        trainer.encode(model, job(count=0))


def test_too_long_rows_are_left_out_with_a_word(opened, tmp_path, caplog):
    model = opened("llama")
    long = TrainRow((HEAD, Message("user", "parcel " * 600)), "bill")
    made = list(run_job.train(model, dataclasses.replace(job(), rows=(*rows(), long)), tmp_path, None))
    assert made
    assert "1 of 19 training rows" in caplog.text
    with pytest.raises(WayFailed, match="No training row fits"):
        list(run_job.train(model, dataclasses.replace(job(), rows=(long,)), tmp_path, None))


def test_an_adapter_without_effect_is_not_live(opened, tmp_path):
    from safetensors.torch import save_file

    model = opened("llama")
    place = tmp_path / list(run_job.train(model, job(), tmp_path, None))[-1].weights.adapter
    found = tensors(place)
    save_file({k: torch.zeros_like(t) for k, t in found.items()}, place / "adapter_model.safetensors")
    with pytest.raises(AdapterNotLive, match="changes nothing"):
        adapter_check.check(place, model, adapters.lora(model.module, place))
    save_file({k: 3 * t for k, t in found.items()}, place / "adapter_model.safetensors")
    (place / adapter_check.FILE).write_text(json.dumps([{"prompt": [5, 6, 7], "answer": [8, 1], "logprob": -0.001}]))
    with pytest.raises(AdapterNotLive, match="does not answer as when"):
        adapter_check.check(place, model, adapters.lora(model.module, place))


def test_an_adapter_of_other_names_is_refused(opened, tmp_path):
    from safetensors.torch import save_file

    from whichway.errors import ModelError

    model = opened("llama")
    place = tmp_path / list(run_job.train(model, job(), tmp_path, None))[-1].weights.adapter
    renamed = {k.replace("layers", "blocks"): t for k, t in tensors(place).items()}
    save_file(renamed, place / "adapter_model.safetensors")
    with pytest.raises((ModelError, AdapterNotLive)):
        adapter_check.check(place, model, adapters.lora(model.module, place))
