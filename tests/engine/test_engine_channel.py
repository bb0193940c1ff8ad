"""Noisy-channel reading: equal to the plain computation with transformers, whatever is packed and shared."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from test_engine_learn import LABELS, rows

from whichway.engine.infer import channel, session
from whichway.engine.model import load
from whichway.nouns import Candidate, Decoding, Prompt, Request, Shot, Weights
from whichway.prompts.ask import questions

TEXTS = [row.messages[-1].content for row in rows(9)] + ["Where is my parcel?\nIt was sent two weeks ago.", "app"]
CHANNEL = Decoding(channel=True)
PROMPTS = {
    "plain": Prompt(objective="Which team should handle this message?", labels=LABELS),
    "user": Prompt(objective="Which team should handle this message?", labels=LABELS, layout="user"),
    "shots": Prompt(objective="Which team?", shots=(Shot("refund please", "billing"), Shot("my parcel", "shipping"))),
    "pool": Prompt(
        objective="Which team?", nearest=2, pool=tuple(Shot(text, LABELS[n % 3]) for n, text in enumerate(TEXTS[::2]))
    ),
    "bare": Prompt(),
}


def asked(prompt, texts=TEXTS, decoding=CHANNEL):
    candidate = Candidate(prompt, Weights("local", "x"), decoding)
    return [request for text in texts for request in questions(candidate, text, LABELS)]


@torch.no_grad()
def naive(model, request):
    """Label -> log-probability, one label and one row at a time, through transformers alone."""
    *head, turn, text = request.messages
    answer = list(model.renderer.answer_ids(text.content))
    sums = {}
    for label in request.labels:
        (prompt,) = model.renderer.prompt_ids([(*head, dataclasses.replace(turn, content=turn.content + label))])
        logits = model.module(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].double().log_softmax(-1)
        sums[label] = float(logits.gather(1, torch.tensor(answer)[:, None]).sum())
    whole = math.log(sum(math.exp(s - max(sums.values())) for s in sums.values())) + max(sums.values())
    return {label: s - whole for label, s in sums.items()}


@pytest.mark.parametrize("name", list(PROMPTS))
def test_scores_are_those_of_the_plain_computation(model, name):
    requests = asked(PROMPTS[name])
    replies = session.InferenceSession(model, model.module).choose(requests)
    for request, reply in zip(requests, replies, strict=True):
        wanted = naive(model, request)
        assert reply.scores == pytest.approx(wanted, abs=1e-4)
        assert reply.scores[reply.text] == max(reply.scores.values())


@pytest.mark.parametrize("name", ["shots", "pool"])
def test_through_transformers_layers_alone_and_after_other_questions(opened, name):
    """No decoder of ours, rows one by one, and a session that has answered something else before."""
    requests = asked(PROMPTS[name])
    model = opened("llama")
    wanted = session.InferenceSession(model, model.module).choose(requests)
    from whichway.engine.model import decoder

    plain = load.load(model.folder)
    decoder.unregister(plain.module)
    other = session.InferenceSession(plain, plain.module)
    other.choose(asked(PROMPTS["user"], decoding=Decoding()))
    found = [other.choose([request])[0] for request in requests]
    for a, b in zip(found, wanted, strict=True):
        assert a.scores == pytest.approx(b.scores, abs=1e-4)


def test_memory_that_runs_out_halves_the_rows(opened, monkeypatch):
    model = opened("llama")
    requests = asked(PROMPTS["plain"])
    wanted = session.InferenceSession(model, model.module).choose(requests)
    honest = channel.forward.answer_logprobs

    def greedy(module, pairs, *rest):
        if len(pairs) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return honest(module, pairs, *rest)

    monkeypatch.setattr(channel.forward, "answer_logprobs", greedy)
    found = session.InferenceSession(model, model.module).choose(requests)
    assert [r.text for r in found] == [r.text for r in wanted]
    assert all(a.scores == pytest.approx(b.scores, abs=1e-4) for a, b in zip(found, wanted, strict=True))


def test_tokens_are_counted_by_label(opened):
    model = opened("llama")
    requests = asked(PROMPTS["plain"])
    first, *others = session.InferenceSession(model, model.module).choose(requests)
    text = [len(model.renderer.answer_ids(t)) for t in TEXTS]
    assert [r.tokens_in for r in others] == [len(LABELS) * n for n in text[1:]]
    assert first.tokens_cached == 0
    assert first.tokens_in == others[0].tokens_cached + len(LABELS) * text[0]
    assert {r.tokens_out for r in (first, *others)} == {0}
    (alone,) = session.InferenceSession(model, model.module).choose(requests[:1])
    assert (alone.tokens_in, alone.tokens_cached) == (first.tokens_in, 0)


def test_a_bias_is_added_and_a_row_that_is_too_long_is_an_error(opened):
    model = opened("llama")
    bias = tuple((label, 100.0 * (label == "bill")) for label in LABELS)
    replies = session.InferenceSession(model, model.module).choose(
        asked(PROMPTS["plain"], ["app", "app " * 600], dataclasses.replace(CHANNEL, bias=bias))
    )
    assert replies[0].text == "bill"
    assert replies[1].finish == "error"
    assert "takes 512" in replies[1].error


def test_answering_by_label_goes_on_as_before(opened):
    """A channel question leaves a shared prefix that the next question can use."""
    model = opened("llama")
    direct = [Request(row.messages, Decoding(), LABELS) for row in rows()]
    one = session.InferenceSession(model, model.module)
    wanted = one.choose(direct)
    one.choose(asked(PROMPTS["plain"]))
    assert [r.text for r in one.choose(direct)] == [r.text for r in wanted]
