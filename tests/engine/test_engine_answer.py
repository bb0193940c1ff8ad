"""Answers: tries equal full scoring, shared prefixes and batches change nothing, decoding equals transformers' own."""

import dataclasses

import pytest
import torch

from whichway.engine.infer import generate
from whichway.engine.infer import session as answer
from whichway.engine.model import packing, prefix_attention
from whichway.errors import WayFailed
from whichway.nouns import Decoding, Message, Request

LABELS = ("bill", "billing", "billing period", "shipping", "technical support")
HEAD = Message("system", "Which team should handle this message? Answer with one of: billing, shipping.")
TEXTS = ["Where is my parcel?", "I was billed twice", "The app crashes when I open the page on my phone.", "Hi"]


def requests(texts=TEXTS, labels=LABELS, **decoding):
    return [Request((HEAD, Message("user", text)), Decoding(**decoding), labels) for text in texts]


def session(model):
    return answer.InferenceSession(model, model.module)


def reference(s, request):
    """Each label alone through transformers' eager attention; at each token only what leads to a label may follow."""
    module, renderer = s.model.module, s.model.renderer
    prompt = renderer.prompt_ids([request.messages])[0]
    paths = {label: renderer.answer_ids(label) for label in request.labels}
    scores = {}
    module.set_attn_implementation("eager")
    for label, ids in paths.items():
        with torch.no_grad():
            logits = module(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 :]
        total = 0.0
        for n, token in enumerate(ids):
            others = {p[n] for p in paths.values() if p[:n] == ids[:n] and len(p) > n}
            counted = {t: sorted(renderer.closing if t in renderer.closing else {t}) for t in others}
            groups = {t: logits[n, tokens].logsumexp(-1) for t, tokens in counted.items()}
            total += float(groups[token] - torch.stack(list(groups.values())).logsumexp(-1))
        scores[label] = total
    module.set_attn_implementation(packing.ATTENTION)
    return scores


def same(a, b, tolerance=1e-4):
    return all(abs(a.scores[k] - b.scores[k]) < tolerance for k in a.scores)


def test_trie_scores_equal_each_label_alone(model):
    s = session(model)
    for request, reply in zip(requests(), s.choose(requests()), strict=True):
        wanted = reference(s, request)
        assert reply.scores == pytest.approx(wanted, abs=1e-4)
        assert reply.text == max(wanted, key=wanted.get)
        assert sum(torch.tensor(list(reply.scores.values())).exp()) == pytest.approx(1.0, abs=1e-4)


def test_base_model_without_template(opened):
    s = session(opened("base"))
    reply = s.choose(requests())[0]
    assert reply.scores == pytest.approx(reference(s, requests()[0]), abs=1e-4)


def test_a_batch_of_32_equals_batches_of_one(model):
    many = requests([f"{text} {n}" for n in range(8) for text in TEXTS])
    together = session(model).choose(many)
    alone = [session_.choose([request])[0] for session_ in [session(model)] for request in many]
    assert all(same(a, b) for a, b in zip(together, alone, strict=True))
    assert [r.text for r in together] == [r.text for r in alone]


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("merging", [False, True])
def test_padding_and_fused_attention_change_no_answer(model, monkeypatch, even, merging):
    written = requests(mode="generate", max_tokens=8)
    monkeypatch.setattr(packing, "pads_shapes", lambda *_: False)
    monkeypatch.setattr(prefix_attention, "_merges", lambda _: False)
    wanted = session(model)
    chosen, texts = wanted.choose(requests()), [r.text for r in wanted.generate(written)]
    monkeypatch.setattr(packing, "pads_shapes", lambda *_: even)
    monkeypatch.setattr(prefix_attention, "_merges", lambda _: merging)
    found = session(model)
    assert all(same(a, b) for a, b in zip(found.choose(requests()), chosen, strict=True))
    assert [r.text for r in found.generate(written)] == texts


def test_fused_attention_is_taken_where_it_is_faster(monkeypatch):
    prefix_attention._merging_pays.cache_clear()
    for times, wanted in (((2.0, 1.0), True), ((1.0, 2.0), False)):
        clock = iter(times)
        monkeypatch.setattr("whichway.engine.model.throughput.seconds", lambda work, clock=clock: next(clock))
        assert prefix_attention._merging_pays(torch.float32) == wanted
        prefix_attention._merging_pays.cache_clear()


def test_equal_labels_go_to_the_first_and_text_is_the_label_as_given(opened):
    reply = session(opened("llama")).choose(requests(labels=(" billing", "billing ")))[0]
    assert reply.text == " billing"
    assert reply.scores[" billing"] == reply.scores["billing "]


def test_bias_moves_the_choice(opened):
    reply = session(opened("llama")).choose(requests(bias=(("shipping", 50.0),)))[0]
    assert reply.text == "shipping"


def test_tokens_are_counted_once(opened):
    s = session(opened("llama"))
    prompts = s.model.renderer.prompt_ids([r.messages for r in requests()])
    shared = packing.common(prompts)
    assert shared > 10
    first, *rest = s.choose(requests())
    assert (first.tokens_in, first.tokens_cached) == (len(prompts[0]), 0)
    assert [(r.tokens_in, r.tokens_cached) for r in rest] == [(len(p) - shared, shared) for p in prompts[1:]]
    again = s.choose(requests())  # counted by rule: not by what an earlier call left ready
    assert [(r.tokens_in, r.tokens_cached) for r in again] == [(r.tokens_in, r.tokens_cached) for r in (first, *rest)]
    assert all(r.tokens_in + r.tokens_cached == len(p) for r, p in zip(again, prompts, strict=True))
    assert all(r.seconds > 0 for r in again)


def test_another_prefix_is_not_mistaken_for_the_last(opened):
    s = session(opened("llama"))
    s.choose(requests())
    other = [Request((Message("system", "Which tone?"), *r.messages[1:]), r.decoding, r.labels) for r in requests()]
    assert all(same(a, b) for a, b in zip(s.choose(other), session(opened("llama")).choose(other), strict=True))


def test_generate_equals_transformers(model):
    s = session(model)
    replies = s.generate(requests(mode="generate", max_tokens=20))
    module = s.model.module
    module.set_attn_implementation("eager")
    for request, reply in zip(requests(), replies, strict=True):
        prompt = s.model.renderer.prompt_ids([request.messages])[0]
        out = module.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=20, do_sample=False,
            eos_token_id=sorted(s.model.renderer.ends), pad_token_id=0,
        )[0, len(prompt) :].tolist()  # fmt: skip
        assert reply.text == s.model.renderer.text(out)
        assert reply.tokens_out == len(out)
        assert reply.finish == ("stop" if out[-1] in s.model.renderer.ends else "length")
    module.set_attn_implementation(packing.ATTENTION)


def test_rows_that_end_leave_the_batch(opened, monkeypatch):
    s = session(opened("llama"))
    free = s.generate(requests(mode="generate", max_tokens=20))
    prompt = s.model.renderer.prompt_ids([requests()[0].messages])[0][len(s.prefix.ids) :]
    ids = s._write([answer.PromptRow(0, requests()[0], prompt)])[0]
    monkeypatch.setattr(s.model.renderer, "ends", s.model.renderer.ends | {ids[5]})
    cut = s.generate(requests(mode="generate", max_tokens=20))
    assert cut[0].finish == "stop"
    assert cut[0].tokens_out <= 6
    for before, after in zip(free, cut, strict=True):
        assert after.finish == "stop" or after.text == before.text


def test_sampling_depends_on_the_request_not_on_the_batch(opened):
    s = session(opened("llama"))
    hot = requests(mode="generate", max_tokens=12, temperature=1.0)
    together = [r.text for r in s.generate(hot)]
    assert together == [s.generate([request])[0].text for request in hot]
    repeated = Request(hot[0].messages, hot[0].decoding, hot[0].labels, repeat=1)
    assert s.generate([repeated])[0].text != together[0]


def test_a_prompt_longer_than_the_context_is_a_row(opened):
    s = session(opened("llama"))
    replies = s.choose(requests(["Hi", "parcel " * 600, "Where?"]))
    assert [r.finish for r in replies] == ["stop", "error", "stop"]
    assert "512" in replies[1].error
    assert [r.finish for r in s.generate(requests(["parcel " * 600], mode="generate"))] == ["error"]


def test_memory_that_runs_out_halves_the_batch(opened, monkeypatch):
    s = session(opened("llama"))
    wanted = s.choose(requests())
    honest, sizes = s._scores, []

    def greedy(rows, trie):
        sizes.append(len(rows))
        if len(rows) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return honest(rows, trie)

    monkeypatch.setattr(answer.InferenceSession, "_scores", lambda self, rows, trie: greedy(rows, trie))
    assert all(same(a, b) for a, b in zip(s.choose(requests()), wanted, strict=True))
    assert sizes == [4, 2, 1, 1, 2, 1, 1]


def test_a_batch_that_refills_itself_writes_what_each_row_gets_alone(opened, monkeypatch):
    s = session(opened("llama"))
    many = requests([f"{text} {n}" for n in range(6) for text in TEXTS], mode="generate", max_tokens=16)
    several = [dataclasses.replace(r, decoding=Decoding("generate", 3 + n % 13)) for n, r in enumerate(many)]
    alone = [session(opened("llama")).generate([r])[0] for r in several]
    monkeypatch.setitem(answer._ROWS, "cpu", 5)
    sizes, honest = [], generate.ContinuousBatch._step
    monkeypatch.setattr(
        generate.ContinuousBatch, "_step", lambda self, rows: sizes.append(len(rows)) or honest(self, rows)
    )
    together = s.generate(several)
    assert [(r.text, r.tokens_out, r.finish) for r in together] == [(r.text, r.tokens_out, r.finish) for r in alone]
    assert max(sizes) == 5
    assert sum(sizes) == sum(r.tokens_out - 1 for r in together)  # no row is dragged along
    assert all(r.seconds > 0 for r in together)


def test_memory_that_runs_out_writes_fewer_at_once(opened, monkeypatch):
    s = session(opened("llama"))
    asked = requests(mode="generate", max_tokens=8)
    wanted = [r.text for r in s.generate(asked)]
    honest, places = generate.ContinuousBatch._read, []

    def greedy(self, rows):
        places.append(self.places)
        if self.places > 1:
            raise torch.OutOfMemoryError("out of memory")
        return honest(self, rows)

    monkeypatch.setattr(generate.ContinuousBatch, "_read", greedy)
    assert [r.text for r in s.generate(asked)] == wanted
    assert places[0] == len(TEXTS)
    assert places[-1] == 1

    def never(self, rows):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(generate.ContinuousBatch, "_read", never)
    with pytest.raises(WayFailed, match="does not fit into memory"):
        s.generate(asked)


def test_a_small_models_rows_are_answered_side_by_side(model, monkeypatch):
    many = requests([f"{text} {n}" for n in range(8) for text in TEXTS])
    texts = [r.messages[1].content for r in many]
    written = requests(texts, mode="generate", max_tokens=6)
    wanted, wrote = session(model).choose(many), session(model).generate(written)
    parts, honest = [], answer.InferenceSession._side_by_side

    def watched(self, rows, work):
        return honest(self, rows, lambda part: parts.append((len(part), torch.get_num_threads())) or work(part))

    monkeypatch.setattr(answer.InferenceSession, "_side_by_side", watched)
    monkeypatch.setattr("whichway.engine.model.throughput.threads", lambda most: 2)
    s = session(model)
    found = s.choose(many)
    again = s.generate(written)
    assert parts == [(16, 1)] * 4
    assert all(same(a, b) for a, b in zip(found, wanted, strict=True))
    assert [(r.text, r.tokens_in, r.finish) for r in found] == [(r.text, r.tokens_in, r.finish) for r in wanted]
    assert [(r.text, r.tokens_out) for r in again] == [(r.text, r.tokens_out) for r in wrote]
    assert torch.get_num_threads() == 1
    assert all(r.seconds > 0 for r in (*found, *again))


@pytest.mark.parametrize("size", [256, 200])  # whole blocks of tokens, and not
def test_the_likeliest_token_is_the_first_of_equals(size):
    logits = torch.zeros(5, size, dtype=torch.bfloat16)
    logits[0, 3] = logits[0, 150] = 2.0
    logits[1, 199] = 1.0
    logits[2] = -1.0
    logits[2, [128, 130]] = 4.0
    logits[3, 0] = -1.0
    assert generate.likeliest(logits).tolist() == [3, 199, 128, 1, 0]
    drawn = torch.randn(50, size, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(generate.likeliest(drawn), drawn.float().argmax(-1))
