"""A probe learns from frozen states and answers with labels."""

import json

import numpy as np
import pytest

from whichway.engine.train import probe
from whichway.errors import AdapterNotLive, OptionError, WayFailed
from whichway.nouns import Decoding, Message, Request, TrainJob, TrainRow, Weights

HEAD = Message("system", "Which team?")
WORDS = {"billing": "refund payment billed", "shipping": "parcel sent weeks", "technical": "app phone settings"}


def rows(labels=tuple(WORDS), count=30, seed=0):
    pick = np.random.default_rng(seed)
    return tuple(
        TrainRow((HEAD, Message("user", " ".join(pick.choice(WORDS[label].split(), 4)))), label)
        for label in (labels[n % len(labels)] for n in range(count))
    )


def job(made=None, **options):
    return TrainJob("probe", Weights("local", "base"), rows() if made is None else made, tuple(WORDS), 0, options)


def asks(made, labels=(*WORDS, "never seen")):
    return [Request(row.messages, Decoding(), labels) for row in made]


def test_it_learns(model, tmp_path):
    (made,) = probe.train(model, job(), tmp_path)
    assert made.weights.kind == "probe"
    fresh = rows(seed=1)
    replies = probe.open_head(model, tmp_path / made.weights.adapter).choose(asks(fresh))
    assert sum(r.text == row.answer for r, row in zip(replies, fresh, strict=True)) >= 27
    assert sum(np.exp(list(replies[0].scores.values()))) == pytest.approx(1.0, abs=1e-3)
    assert replies[0].scores["never seen"] < -10
    assert replies[1].tokens_cached > 0


def test_two_labels(opened, tmp_path):
    model = opened("llama")
    (made,) = probe.train(model, job(rows(("billing", "shipping"))), tmp_path)
    reply = probe.open_head(model, tmp_path / made.weights.adapter).choose(asks(rows()[:1]))[0]
    assert reply.text == "billing"
    assert np.exp(reply.scores["billing"]) + np.exp(reply.scores["shipping"]) == pytest.approx(1.0, abs=1e-3)


def test_again_it_is_only_read(opened, tmp_path, monkeypatch):
    model = opened("llama")
    first = list(probe.train(model, job(), tmp_path))
    monkeypatch.setattr(probe, "_fit", lambda *a: pytest.fail("fitted again"))
    assert list(probe.train(model, job(), tmp_path)) == first


def test_refusals(opened, tmp_path):
    model = opened("llama")
    with pytest.raises(WayFailed, match="two labels"):
        list(probe.train(model, job(rows(("billing",))), tmp_path))
    with pytest.raises(OptionError, match=r"no option 'c'"):
        list(probe.train(model, job(c=1.0), tmp_path))
    (made,) = probe.train(model, job(C=0.1), tmp_path)
    with pytest.raises(WayFailed, match="cannot write"):
        probe.open_head(model, tmp_path / made.weights.adapter).generate(asks(rows()))


def test_a_changed_head_is_not_live(opened, tmp_path):
    model = opened("llama")
    (made,) = probe.train(model, job(), tmp_path)
    place = tmp_path / made.weights.adapter
    told = json.loads((place / "head.json").read_text())
    told["live"][0]["scores"] = [s - 5 for s in told["live"][0]["scores"]]
    (place / "head.json").write_text(json.dumps(told))
    with pytest.raises(AdapterNotLive):
        probe.open_head(model, place)


def test_rows_that_are_too_long_are_left_out(opened, tmp_path):
    model = opened("llama")
    long = TrainRow((HEAD, Message("user", "parcel " * 600)), "billing")
    (made,) = probe.train(model, job((*rows(), long)), tmp_path)
    replies = probe.open_head(model, tmp_path / made.weights.adapter).choose(asks([*rows()[:1], long]))
    assert [r.finish for r in replies] == ["stop", "error"]


def test_states_are_read_once_for_all_fits(opened, tmp_path, monkeypatch):
    model = opened("llama")
    (first,) = probe.train(model, job(), tmp_path / "a")
    monkeypatch.setattr(probe.Prober, "_states", lambda *a: pytest.fail("read again"))
    (second,) = probe.train(model, job(C=0.03), tmp_path / "b")
    assert second.tokens == first.tokens
    assert second.weights.adapter != first.weights.adapter
