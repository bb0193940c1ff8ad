"""A training that two processes share: the numbers of one process; killed, stopped, short of memory."""

import contextlib
import dataclasses
import os
import subprocess
import sys

import pytest
import torch
from test_engine_child import children, train_request, waits
from test_engine_learn import job, tensors

from whichway.backends.local import backend
from whichway.engine.model.placement import Sharding
from whichway.engine.train import run_job, sharded_run, shards, worker
from whichway.engine.train.train_progress import StopTraining
from whichway.errors import OptionError, WayFailed
from whichway.nouns import Decoding, Message, Request

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
CLOSE = 1e-4  # of the trained weights; Adam divides by the gradient's size, so rounding of a small one is a step


def sharded(model, folder, task, tokens=4096, start=None):
    request = train_request(model, folder, task)
    return dataclasses.replace(request, sharding=Sharding(2, "cpu", "float32", tokens), adapter=start)


def alike(one, other):
    assert one.keys() == other.keys()
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < CLOSE


def both(model, folder, task, tokens=4096, start=None):
    """Checkpoints of one process, and of two."""
    alone = list(run_job.train(model, task, folder / "alone", start))
    shared = list(worker.train(sharded(model, folder / "shared", task, tokens, start)))
    assert [(a.weights, a.step, a.epoch, a.tokens) for a in shared] == [
        (a.weights, a.step, a.epoch, a.tokens) for a in alone
    ]
    assert [a.loss for a in shared] == pytest.approx([a.loss for a in alone], rel=1e-5)
    for adapter in alone:
        name = adapter.weights.adapter
        alike(tensors(folder / "alone" / name), tensors(folder / "shared" / name))
        files = [{file.name for file in (folder / side / name).iterdir()} for side in ("alone", "shared")]
        assert files[0] == files[1]
    return alone, shared


def patched(code, monkeypatch):
    """A helper whose process runs `code` before it serves; the processes of a sharded training are forked from it."""
    honest = subprocess.Popen

    def start(arguments, **more):
        command = f"from whichway.engine.train import ranks, sharded_run, worker\n{code}\nworker.serve({{}})"
        return honest([*arguments[:2], command.format(more["pass_fds"][0])], **more)

    monkeypatch.setattr(worker.subprocess, "Popen", start)
    return worker.Helper()


DIES, FORGETS = 11, 12  # seeds
FAULTS = f"""
import os, signal
step, losses = sharded_run.ShardedRun._step, sharded_run.ShardedRun._losses
def die(run):
    if run.job.seed == {DIES} and run.shards.rank == 1 and run.at.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(run)
def forget(run, rows):
    if run.job.seed == {FORGETS} and run.shards.rank == 1 and len(rows) > 2:
        raise MemoryError
    return losses(run, rows)
sharded_run.ShardedRun._step, sharded_run.ShardedRun._losses = die, forget
"""


@pytest.fixture(scope="module")
def faulty():
    """A helper in which the second process of some trainings is killed, or out of memory."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        helper = patched(FAULTS, monkeypatch)
        helper.start()
    yield helper
    helper.stop()


def test_two_processes_train_what_one_does_in_passes_of_a_few_rows(opened, tmp_path):
    # 17 rows: the last step of an epoch has five of them, three for one process; 40 tokens: several passes a step
    alone, shared = both(opened("llama"), tmp_path, job(count=17, rate=0.003), tokens=40)
    assert [a.step for a in alone] == [3, 6]
    assert shared[-1].peak_bytes > 0
    assert shared[-1].work["train"][0] == alone[-1].work["train"][0]
    assert not list(tmp_path.glob("shared/.*"))
    state = list((tmp_path / "shared" / "state").iterdir())
    assert [file.suffix for file in state] == [".json"]  # it is done
    again = list(worker.train(sharded(opened("llama"), tmp_path / "shared", job(count=17, rate=0.003))))
    assert again == shared


@pytest.mark.slow
def test_a_head_is_trained_by_two_processes(opened, tmp_path):
    both(opened("llama"), tmp_path, job("head", rate=0.003, max_steps=3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("llama", {"targets": "all"}), ("llama", {"word_dropout": 0.3}), ("qwen2", {}), ("qwen3", {}), ("gemma", {}),
        ("gpt2", {"variant": "rslora"}),
    ],
)  # fmt: skip
def test_other_models_and_options(opened, tmp_path, kind, options):
    both(opened(kind), tmp_path, job(rate=0.003, max_steps=4, **options), tokens=60)


@pytest.mark.slow
def test_the_top_layers_and_a_start_from_an_adapter(opened, tmp_path):
    model = opened("llama")
    both(model, tmp_path / "top", job("top", rate=0.003, max_steps=3, layers=1))
    first = list(run_job.train(model, job(max_steps=2), tmp_path, None))[-1]
    task = dataclasses.replace(job(rate=0.003, max_steps=3), weights=first.weights)
    both(model, tmp_path / "on", task, start=tmp_path / first.weights.adapter)


def test_what_was_shared_answers_in_one_process(tiny, tmp_path):
    local = backend()
    local.shards, seen = 2, []
    local.watch = seen.append
    task = dataclasses.replace(job(rate=0.01, max_steps=4), weights=local.weights(str(tiny("llama"))))
    trained = list(local.train(task, tmp_path, None))[-1]
    request = Request((Message("user", "refund"),), Decoding(), ("billing", "bill"))
    with local.open(trained.weights, tmp_path / trained.weights.adapter) as session:  # proves that it is live
        tuned = session.choose([request])[0].scores
    with local.open(task.weights, None) as session:
        assert session.choose([request])[0].scores != tuned
    assert seen[0]["steps"] == 4


@pytest.mark.slow
def test_when_memory_runs_out_all_begin_again_with_smaller_passes(opened, faulty, tmp_path, caplog):
    model, task = opened("llama"), job(seed=FORGETS, max_steps=2, rate=0.003)
    wanted = list(run_job.train(model, task, tmp_path / "alone", None))
    shared = list(faulty.train(sharded(model, tmp_path / "shared", task, tokens=256)))
    assert "passes of 128 tokens" in caplog.text
    name = wanted[-1].weights.adapter
    assert shared[-1].weights.adapter == name
    alike(tensors(tmp_path / "alone" / name), tensors(tmp_path / "shared" / name))


def test_a_killed_process_is_a_failed_way_and_the_training_goes_on(opened, faulty, tmp_path):
    model, task = opened("llama"), job(seed=DIES, rate=0.003)  # killed between the two checkpoints
    wanted = list(run_job.train(model, task, tmp_path / "alone", None))
    with pytest.raises(WayFailed, match=r"Process 2 of 2 of the sharded training was ended by signal 9.*memory"):
        list(faulty.train(sharded(model, tmp_path / "shared", task)))
    folders = sorted(path.name for path in (tmp_path / "shared").iterdir())
    assert folders == sorted([wanted[0].weights.adapter, "state"])  # nothing half-written
    again = list(worker.train(sharded(model, tmp_path / "shared", task)))
    assert [a.loss for a in again] == pytest.approx([a.loss for a in wanted], rel=1e-5)
    name = wanted[-1].weights.adapter
    alike(tensors(tmp_path / "alone" / name), tensors(tmp_path / "shared" / name))


def test_a_stopped_training_saves_its_state_and_leaves_no_process(opened, faulty, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "_PATIENCE", 20.0)  # this machine may be busy
    model, task = opened("llama"), job(epochs=10, checkpoints=1, rate=0.001)
    ranks = []

    def interrupt(now):
        ranks.extend(children(faulty._process.pid))
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        contextlib.closing(faulty.train(sharded(model, tmp_path / "shared", task), interrupt)) as training,
    ):
        list(training)
    assert len(ranks) == 2
    assert waits(lambda: not any(os.path.exists(f"/proc/{rank}") for rank in ranks))  # noqa: PTH110
    assert [file.suffix for file in (tmp_path / "shared" / "state").iterdir()] == [".safetensors"]
    again = list(run_job.train(model, task, tmp_path / "shared", None))  # one process goes on
    alone = list(run_job.train(model, task, tmp_path / "alone", None))
    assert again[-1].step == 30
    assert again[-1].loss == pytest.approx(alone[-1].loss, rel=1e-3)


@pytest.mark.slow
def test_two_processes_go_on_where_one_was_stopped(opened, tmp_path):
    model, task = opened("llama"), job(rate=0.003)
    wanted = list(run_job.train(model, task, tmp_path / "alone", None))

    def stop(now):
        if now.step == 5:
            raise StopTraining

    with pytest.raises(StopTraining):
        list(run_job.train(model, task, tmp_path / "shared", None, stop))
    seen = []
    again = list(worker.train(sharded(model, tmp_path / "shared", task), seen.append))
    assert [now.step for now in seen] == [6]
    assert [a.loss for a in again] == pytest.approx([a.loss for a in wanted], rel=1e-5)
    name = wanted[-1].weights.adapter
    alike(tensors(tmp_path / "alone" / name), tensors(tmp_path / "shared" / name))


@pytest.mark.slow
def test_processes_that_cannot_be_forked_are_started_anew(opened, tmp_path, monkeypatch):
    model, task = opened("llama"), job(max_steps=2, rate=0.003)
    wanted = list(run_job.train(model, task, tmp_path / "alone", None))
    helper = patched("ranks._start_method = lambda device: 'spawn'", monkeypatch)
    shared = list(helper.train(sharded(model, tmp_path / "shared", task)))
    helper.stop()
    name = wanted[-1].weights.adapter
    assert [a.loss for a in shared] == pytest.approx([a.loss for a in wanted], rel=1e-5)
    alike(tensors(tmp_path / "alone" / name), tensors(tmp_path / "shared" / name))


def test_what_cannot_be_shared_says_so(opened, tmp_path):
    model = opened("llama")
    for task, why in (
        (job(soup=2), "soup = 1"), (job(variant="dora"), "'lora' or 'rslora'"), (job("full"), "lora, top, head"),
        (job("head", init="logistic"), "'zeros'"),
    ):  # fmt: skip
        with pytest.raises(WayFailed, match=why):
            list(worker.train(sharded(model, tmp_path, task)))
    with pytest.raises(OptionError, match="mean 'rate'"):
        list(worker.train(sharded(model, tmp_path, job(rte=1e-3))))
    assert not list(tmp_path.iterdir())


def test_kinds_that_are_not_shared_train_alone_all_the_same(tiny, tmp_path):
    local = backend()
    local.shards = 2
    task = dataclasses.replace(job("bias", max_steps=1), weights=local.weights(str(tiny("llama"))))
    assert len(list(local.train(task, tmp_path, None))) == 1


def test_rows_are_dealt_to_hands_of_about_equal_size():
    hands = shards.deal([5, 1, 1, 1, 9, 3], 2, lambda size: size)
    assert sorted(map(sum, hands)) == [10, 10]
    assert sorted(size for hand in hands for size in hand) == [1, 1, 1, 3, 5, 9]
    assert shards.deal([4], 3, lambda size: size) == [[4], [], []]


def test_refusals_name_every_kind_that_can():
    assert sharded_run.refusal(job()) == ""
    assert "not dpo" in sharded_run.refusal(job("dpo"))


def test_gradients_of_one_process_are_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(shards.distributed, "all_reduce", lambda flat: flat.mul_(2))
    place = shards.Shards(0, 1, torch.device("cpu"), None)
    one, other = (torch.nn.Parameter(torch.ones(size)) for size in (2, 3))
    one.grad = torch.tensor([1.0, 2.0])
    assert place.sum_gradients([one, other], 0.25) == 0.5
    assert one.grad.tolist() == [2.0, 4.0]
    assert other.grad.tolist() == [0.0, 0.0, 0.0]
