"""The work of a local model in tokens: the same for equal work, whoever did it and however long it took."""

from __future__ import annotations

import json

import pytest

from whichway.backends.local import backend
from whichway.engine.model.token_cost import TokenCost, token_cost
from whichway.engine.train.counted_work import training_work
from whichway.nouns import Adapter, Decoding, Message, Reply, Request, TrainJob, TrainRow, Weights

HEAD = Message("system", "Which team?")
LABELS = ("billing", "shipping")
ROWS = tuple(
    TrainRow((HEAD, Message("user", f"{word} {n}")), label)
    for n in range(6)
    for word, label in (("refund", "billing"), ("parcel", "shipping"))
)
ASKS = [Request(row.messages, Decoding(), LABELS) for row in ROWS]


def work_of(door, weights, place=None, requests=ASKS):
    with door.open(weights, place) as session:
        replies = (session.choose if requests[0].labels else session.generate)(requests)
    return [door.answer_work(weights, q, r) for q, r in zip(requests, replies, strict=True)]


def test_an_adapter_reads_what_the_base_reads(tiny, tmp_path):
    door = backend()
    base = door.weights(str(tiny("llama")))
    *_, tuned = door.train(TrainJob("lora", base, ROWS, LABELS, 0, {"epochs": 2, "batch": 4}), tmp_path, None)
    plain, trained = work_of(door, base), work_of(door, tuned.weights, tmp_path / tuned.weights.adapter)
    assert [(w.kind, w.units) for w in plain] == [(w.kind, w.units) for w in trained]
    assert plain[0].units > plain[1].units > 0  # the first row of a call pays for what all share


def test_a_head_reads_no_labels(tiny, tmp_path):
    door = backend()
    base = door.weights(str(tiny("llama")))
    (probed,) = door.train(TrainJob("probe", base, ROWS, LABELS, 0), tmp_path, None)
    weights, place = probed.weights, tmp_path / probed.weights.adapter
    requests = [Request(q.messages, q.decoding, ("billing department", "billing desk")) for q in ASKS]
    plain, head = work_of(door, base, None, requests), work_of(door, weights, place, requests)
    assert plain[0].kind == head[0].kind
    assert sum(w.units for w in head) < sum(w.units for w in plain)
    read, fit = door.training_work(TrainJob("probe", base, ROWS, LABELS, 0), probed, None)
    assert read.kind == plain[0].kind  # what a probe reads costs what any reading costs
    assert read.units == pytest.approx(sum(w.units for w in work_of(door, weights, place)))
    assert fit.units == len(ROWS)


def test_written_tokens_count_more_than_read_ones():
    cost = TokenCost(pair=0.001, head=0.25)
    assert cost.read(100) == pytest.approx(100 + 0.001 * 100 * 50)
    assert cost.read(100, 1000) > cost.read(100)
    assert cost.write(10, 100) == pytest.approx(cost.read(10, 100) + 2.5)


def test_more_written_tokens_are_more_work(tiny):
    door = backend()
    base = door.weights(str(tiny("llama")))
    short, long_ = (Request(ASKS[0].messages, Decoding("generate", max_tokens=n)) for n in (2, 12))
    reply = Reply("x", tokens_in=10, tokens_out=2, seconds=1.0)
    few = door.answer_work(base, short, reply)
    many = door.answer_work(base, long_, Reply("x", tokens_in=10, tokens_out=12, seconds=0.1))
    assert few.kind == many.kind != work_of(door, base)[0].kind
    assert many.units > few.units + 10


def test_costs_come_from_the_configuration(tiny, tmp_path):
    for kind in ("llama", "gpt2", "gemma"):
        cost = token_cost(tiny(kind))
        assert cost.pair > 0
        assert cost.head > 0
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "other"}))
    assert token_cost(tmp_path) == TokenCost(0.0, 0.0)


@pytest.mark.parametrize("kind", ["lora", "top", "head"])
def test_equal_trainings_are_equal_work(tiny, tmp_path, kind):
    door = backend()
    base = door.weights(str(tiny("llama")))
    options = {"epochs": 2, "batch": 4, "rank": 4} | ({"layers": 1} if kind == "top" else {})
    jobs = [
        TrainJob(kind, base, ROWS, LABELS, seed, {**options, "rate": rate}) for seed, rate in ((0, 0.01), (1, 0.02))
    ]
    done = [list(door.train(job, tmp_path / str(n), None)) for n, job in enumerate(jobs)]
    works = [
        [door.training_work(job, b, a) for a, b in zip([None, *checkpoints], checkpoints, strict=False)]
        for job, checkpoints in zip(jobs, done, strict=True)
    ]
    counted = [[[(w.kind, w.units) for w in part] for part in one] for one in works]
    assert counted[0] == counted[1]
    first, last = counted[0][0], counted[0][-1]
    trained = dict(first)
    assert all(units > 0 for units in trained.values())
    assert len(trained) == (2 if kind == "top" else 1)  # what lies below the top is read once, before the first step
    assert [units for name, units in last if name.endswith(" read")] == ([0.0] if kind == "top" else [])


def test_the_parts_of_a_mean_add_up(tiny, tmp_path):
    door = backend()
    base = door.weights(str(tiny("llama")))
    one, three = (
        list(door.train(TrainJob("lora", base, ROWS, LABELS, 0, {"epochs": 1, "batch": 4, "soup": n}),
                        tmp_path / str(n), None))[-1]
        for n in (1, 3)
    )  # fmt: skip
    assert three.work["train"][0] == 3 * one.work["train"][0]


def test_a_checkpoint_of_an_older_version_counts_its_tokens():
    weights = Weights("local", "m", "r", "a", "lora")
    old = Adapter(weights, 1, 1.0, None, 4.0, 100, 0)
    older, later = (Adapter(weights, n, 1.0, None, 4.0 * n, 100 * n, 0) for n in (1, 2))
    assert [(w.units, w.seconds) for w in training_work("read", "train", old, None)] == [(100, 4.0)]
    assert [(w.units, w.seconds) for w in training_work("read", "train", later, older)] == [(100, 4.0)]
