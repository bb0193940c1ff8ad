"""The door to local models: sessions, trainings, and no trace left on the base."""

import pytest
import torch

from whichway.backends.local import LocalBackend, backend
from whichway.errors import ModelError, OptionError, WayFailed
from whichway.nouns import Decoding, Message, Request, TrainJob, TrainRow, Weights

HEAD = Message("system", "Which team?")
LABELS = ("billing", "shipping")
ROWS = tuple(
    TrainRow((HEAD, Message("user", f"{word} {n}")), label)
    for n in range(6)
    for word, label in (("refund", "billing"), ("parcel", "shipping"))
)
ASKS = [Request(row.messages, Decoding(), LABELS) for row in ROWS]


def answers(door: LocalBackend, weights: Weights, place=None):
    with door.open(weights, place) as session:
        return [reply.scores for reply in session.choose(ASKS)]


@pytest.mark.parametrize("kind", ["lora", "full", "top", "top_full", "probe"])
def test_adapters_come_and_go_without_a_trace(tiny, tmp_path, kind):
    door = backend()
    base = door.weights(str(tiny("llama")))
    before = answers(door, base)
    options = {} if kind == "probe" else {"epochs": 4, "batch": 4, "rate": 0.01}
    training = door.train(TrainJob(kind, base, ROWS, LABELS, 0, options), tmp_path, None)
    for made in training:  # sessions open and close while the training waits
        tuned = answers(door, made.weights, tmp_path / made.weights.adapter)
        assert tuned != before
        assert answers(door, base) == before
    assert answers(door, made.weights, tmp_path / made.weights.adapter) == tuned


@pytest.mark.parametrize("kind", ["lora", "full", "top", "top_full", "probe"])
def test_trained_parts_answer_in_a_short_format_too(tiny, tmp_path, monkeypatch, kind):
    monkeypatch.setattr("whichway.engine.model.throughput.dtype", lambda *_: torch.bfloat16)
    door = backend()
    base = door.weights(str(tiny("llama")))
    before = answers(door, base)
    options = {} if kind == "probe" else {"epochs": 8, "batch": 4, "rate": 0.01}
    *_, made = door.train(TrainJob(kind, base, ROWS, LABELS, 0, options), tmp_path, None)
    assert door._base(base).module.dtype == torch.bfloat16
    tuned = answers(door, made.weights, tmp_path / made.weights.adapter)
    right = sum(max(scores, key=scores.get) == row.answer for scores, row in zip(tuned, ROWS, strict=True))
    assert right >= 10
    assert answers(door, base) == before


def test_interleaved_answering_does_not_touch_a_training(tiny, tmp_path):
    base = backend().weights(str(tiny("qwen2")))
    job = TrainJob("lora", base, ROWS, LABELS, 0, {"epochs": 3, "batch": 4})
    quiet = [a.loss for a in backend().train(job, tmp_path / "a", None)]
    door, busy = backend(), []
    for made in door.train(job, tmp_path / "b", None):
        busy.append(made.loss)
        answers(door, made.weights, tmp_path / "b" / made.weights.adapter)
    assert busy == quiet


def test_refusals(tiny, tmp_path):
    door = backend()
    base = door.weights(str(tiny("llama")))
    assert door.trains() == {"lora", "full", "top", "top_full", "probe", "bias", "soft_prompt", "dpo", "head"}
    with pytest.raises(WayFailed, match="tfidf"):
        next(door.train(TrainJob("tfidf", base, ROWS, LABELS, 0), tmp_path, None))
    with pytest.raises(OptionError, match="rank"):
        next(door.train(TrainJob("lora", base, ROWS, LABELS, 0, {"rnk": 4}), tmp_path, None))
    with pytest.raises(ModelError, match="has changed"), door.open(Weights("local", str(tiny("llama")), "other"), None):
        pass
    with pytest.raises(ModelError, match="missing"), door.open(base, tmp_path / "gone"):
        pass
    with pytest.raises(ModelError, match="There is no folder"):
        door.weights(str(tmp_path / "gone"))


def test_a_training_tells_how_it_goes(tiny, tmp_path):
    door, told = backend(), []
    door.watch = told.append
    job = TrainJob("lora", door.weights(str(tiny("llama"))), ROWS, LABELS, 0, {"epochs": 2, "batch": 4})
    list(door.train(job, tmp_path, None))
    assert told[0].keys() == {"step", "steps", "loss", "tokens_per_second", "seconds_left"}
    assert told[0]["steps"] == 6
    assert told[0]["loss"] > 0
    assert told[0]["tokens_per_second"] > 0


def test_an_expected_training_has_its_process_started_with_the_model(tiny, monkeypatch):
    from whichway.engine.train import worker

    started = []
    monkeypatch.setattr(worker, "start", lambda: started.append(1))
    for expected in (False, True):
        door = backend()
        if expected:
            door.expect()
        assert not started
        answers(door, door.weights(str(tiny("llama"))))
    assert started == [1]
