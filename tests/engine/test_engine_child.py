"""Training in a child process: the same weights, errors that cross, deaths that are failed ways, no remains."""

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from test_engine_learn import equal, job, tensors

from whichway.engine.train import run_job, worker
from whichway.errors import OptionError, WayFailed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")


def train_request(model, folder, task):
    return worker.TrainRequest(model.folder, model.revision, True, task, folder, None, 1)


def children(of):
    """Processes whose parent is `of`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
            if int(rest.rpartition(") ")[2].split()[1]) == of:
                found.append(int(number))
        except (OSError, IndexError):
            continue
    return found


def waits(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_the_same_weights_as_here(opened, tmp_path, kind):
    model, task = opened("llama"), job(kind, epochs=3)
    here = list(run_job.train(model, task, tmp_path / "here", None))
    seen = []
    there = list(worker.train(train_request(model, tmp_path / "there", task), seen.append))
    assert [a.weights for a in there] == [a.weights for a in here]
    assert [a.loss for a in there] == [a.loss for a in here]
    name = here[-1].weights.adapter
    assert equal(tensors(tmp_path / "here" / name, kind), tensors(tmp_path / "there" / name, kind))
    assert seen[0].steps == 9
    assert seen[0].loss > 0


def test_a_second_job_starts_in_the_helper_that_is_there(opened, tmp_path):
    model = opened("llama")
    list(worker.train(train_request(model, tmp_path / "a", job(max_steps=1))))
    helper = worker._idle[-1]._process.pid
    list(worker.train(train_request(model, tmp_path / "b", job(max_steps=1))))
    assert worker._idle[-1]._process.pid == helper  # importing the libraries again would take seconds


def test_a_child_in_a_long_step_dies_with_its_helper(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "_PATIENCE", 0.1)
    helper, seen = worker.Helper(), []

    def freeze(_now):  # a child that is stopped is in a step without an end
        seen.extend(children(helper._process.pid))
        os.kill(seen[0], signal.SIGSTOP)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(helper.train(train_request(opened("llama"), tmp_path, job(epochs=100000, checkpoints=1)), freeze))
    assert helper._process is None
    gone = Path(f"/proc/{seen[0]}/stat")
    assert waits(lambda: not gone.exists() or ") Z " in gone.read_text())


def test_two_trainings_can_be_open_at_once(opened, tmp_path):
    model = opened("llama")
    first = worker.train(train_request(model, tmp_path / "a", job()))
    one = next(first)
    second = list(worker.train(train_request(model, tmp_path / "b", job(seed=1))))
    rest = list(first)
    assert [a.step for a in (one, *rest)] == [a.step for a in second]
    assert one.weights.adapter != second[0].weights.adapter


def test_errors_and_words_cross(opened, tmp_path, caplog):
    model = opened("llama")
    with pytest.raises(OptionError, match="mean 'rate'"):
        list(worker.train(train_request(model, tmp_path, job(rte=1e-3))))
    broken = dataclasses.replace(train_request(model, tmp_path, job()), adapter=tmp_path)
    with pytest.raises(WayFailed, match="cannot start from"):
        list(worker.train(broken))
    with pytest.raises(RuntimeError, match="Traceback"):
        list(worker.train(dataclasses.replace(train_request(model, tmp_path, job()), job=None)))
    from test_engine_learn import HEAD, Message, TrainRow, rows

    long = TrainRow((HEAD, Message("user", "parcel " * 600)), "bill")
    with caplog.at_level(logging.WARNING):
        list(worker.train(train_request(model, tmp_path, dataclasses.replace(job(max_steps=1), rows=(*rows(), long)))))
    assert "1 of 19 training rows" in caplog.text


def test_a_killed_child_is_a_failed_way_and_goes_on_bit_for_bit(opened, tmp_path):
    model, task = opened("llama"), job(epochs=3)
    wanted = list(run_job.train(model, task, tmp_path / "whole", None))
    training = worker.train(train_request(model, tmp_path / "broken", task))
    first = next(training)
    (helper,) = [n for n in children(os.getpid()) if children(n)]
    (victim,) = children(helper)
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(WayFailed, match=r"signal 9.*memory"):
        next(training)
    again = list(worker.train(train_request(model, tmp_path / "broken", task)))
    assert again[0] == first
    assert [a.loss for a in again] == [a.loss for a in wanted]
    name = wanted[-1].weights.adapter
    assert equal(tensors(tmp_path / "whole" / name), tensors(tmp_path / "broken" / name))


def test_a_killed_helper_is_a_failed_way_and_the_next_job_gets_a_new_one(opened, tmp_path):
    model = opened("llama")
    training = worker.train(train_request(model, tmp_path, job()))
    next(training)
    (helper,) = [n for n in children(os.getpid()) if children(n)]
    victim = children(helper)[0]
    os.kill(helper, signal.SIGKILL)
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(WayFailed, match="ended unexpectedly"):
        next(training)
    assert len(list(worker.train(train_request(model, tmp_path, job())))) == 2


def test_a_training_left_alone_ends_its_child(opened, tmp_path):
    model = opened("llama")
    training = worker.train(train_request(model, tmp_path, job()))
    next(training)
    (helper,) = [n for n in children(os.getpid()) if children(n)]
    (busy,) = children(helper)
    training.close()
    assert waits(lambda: not Path(f"/proc/{busy}").exists())
    assert Path(f"/proc/{helper}").exists()  # it has the libraries and the base in memory, and takes the next job
    resumed = worker.train(train_request(model, tmp_path, job()))
    assert [made.step for made in resumed][-1] > 1
    assert [n for n in children(os.getpid()) if n == helper] == [helper]


CALLER = """
import sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[3])
from pathlib import Path
import test_engine_child as t
from test_engine_learn import job
from whichway.engine.model import load
from whichway.engine.train import worker
model = load.load(Path(sys.argv[1]))
for made in worker.train(t.train_request(model, Path(sys.argv[2]), job(epochs=100000, checkpoints=1)), lambda now: print(now.step, flush=True)):
    pass
"""  # noqa: E501


def test_a_killed_caller_leaves_no_child_behind(opened, tiny, tmp_path):
    arguments = [str(tiny("llama")), str(tmp_path), str(Path(__file__).parent)]
    caller = subprocess.Popen([sys.executable, "-c", CALLER, *arguments], stdout=subprocess.PIPE, text=True)
    assert int(caller.stdout.readline()) > 0
    (helper,) = children(caller.pid)
    (busy,) = children(helper)
    caller.kill()
    caller.wait()
    assert waits(lambda: not Path(f"/proc/{busy}").exists() and not Path(f"/proc/{helper}").exists())
    assert list(tmp_path.glob("state/*.safetensors"))  # what was learnt is not lost
    assert torch.get_num_threads() >= 1


def test_a_helper_started_early_is_used_and_can_be_stopped(opened, tmp_path):
    model = opened("llama")
    worker.start()
    early = worker._idle[-1]._process.pid
    worker.start()
    assert worker._idle[-1]._process.pid == early
    list(worker.train(train_request(model, tmp_path, job(max_steps=1))))
    assert worker._idle[-1]._process.pid == early
    worker._idle[-1].stop()
    assert waits(lambda: not Path(f"/proc/{early}").exists())
    assert len(list(worker.train(train_request(model, tmp_path / "b", job(max_steps=1))))) == 1


def test_where_forking_is_not_safe_each_job_has_a_process(opened, tmp_path, monkeypatch):
    model = opened("llama")
    command = "from whichway.engine.train import worker as w; w._forks = lambda: False; w.serve({})"
    honest = subprocess.Popen

    def elsewhere(arguments, **more):
        return honest([*arguments[:2], command.format(more["pass_fds"][0])], **more)

    monkeypatch.setattr(worker.subprocess, "Popen", elsewhere)
    helper = worker.Helper()
    wanted = list(run_job.train(model, job(), tmp_path / "here", None))
    for n in range(2):
        made = list(helper.train(train_request(model, tmp_path / f"{n}", job())))
        assert [a.loss for a in made] == [a.loss for a in wanted]
        assert helper._process is None
    with pytest.raises(OptionError, match="mean 'rate'"):
        list(helper.train(train_request(model, tmp_path / "c", job(rte=1e-3))))
