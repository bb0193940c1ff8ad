"""Traps that others fell into, one test each: the check passes on what we have and catches the trap when planted.

The table they come from stands in `dev/LOG.md` (2026-11-25, tripwires).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contest_kit import small_task
from test_engine_learn import HEAD, LABELS, job, rows

from whichway import training_kinds
from whichway.engine.infer import session as answer
from whichway.engine.model import load
from whichway.engine.train import adapter_check, adapters, run_job, trainer
from whichway.errors import AdapterNotLive, DataError
from whichway.nouns import Decoding, Example, Message, Prompt, Request, TrainRow, to_json
from whichway.prompts import template
from whichway.tasks import near_duplicates, split

CAUGHT = (AssertionError, AdapterNotLive, DataError)


def test_training_evaluation_and_the_shipped_program_read_the_same_tokens(opened, tiny, tmp_path, monkeypatch):
    """LlamaFactory #2509 (26 % against 57 %), axolotl #1832: another template at inference than in training."""
    model, text = opened("llama"), "where is my parcel?"
    prompt = Prompt(objective="Which team should handle this message?", labels=LABELS)

    def trained():
        task = dataclasses.replace(job(), rows=(TrainRow(template.messages(prompt, text), "bill"),))
        return trainer.encode(model, task)[0].prompt

    def evaluated():
        session, seen = answer.InferenceSession(model, model.module), []
        honest = session.share
        session.share = lambda prompts: (seen.extend(prompts), honest(prompts))
        session.choose([Request(template.messages(prompt, text), Decoding(), LABELS)])
        return seen[0]

    def shipped():
        mark = "{{input}}"
        turns = to_json(template.messages(prompt, mark))
        (tmp_path / "messages.json").write_text(json.dumps({"placeholder": mark, "messages": turns}))
        facts = {"weights": {"base": str(tiny("llama"))}, "labels": LABELS, "decoding": {"mode": "choose", "bias": []}}
        (tmp_path / "manifest.json").write_text(json.dumps(facts))
        return use.Winner().prompt(text)

    source = Path(template.__file__).parents[1] / "ship" / "standalone.py"
    (tmp_path / "use.py").write_text(source.read_text())
    beside = source.parents[1] / "engine" / "model" / "chat_text.py"
    (tmp_path / "chat_text.py").write_text(beside.read_text())
    (tmp_path / "row_messages.py").write_text(source.with_name("row_messages.py").read_text())
    spec = importlib.util.spec_from_file_location("trip_use", tmp_path / "use.py")
    use: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(use)

    def folding(module):
        if hasattr(module, "ChatText"):
            module.ChatText._prints = lambda self, *words: False
        return module

    def check():
        assert trained() == evaluated() == shipped()

    check()
    with monkeypatch.context() as planted:  # the server folds the system message into the user's turn
        planted.setattr(use, "beside", lambda name, honest=use.beside: folding(honest(name)))
        with pytest.raises(CAUGHT):
            check()
    honest = answer.InferenceSession._answer
    with monkeypatch.context() as planted:  # evaluation forgets the system message
        planted.setattr(
            answer.InferenceSession,
            "_answer",
            lambda self, asked, *work: honest(self, [replace(r, messages=r.messages[1:]) for r in asked], *work),
        )
        with pytest.raises(CAUGHT):
            check()


def test_every_row_has_trained_tokens(opened, tmp_path, monkeypatch):
    """trl #3781, #3728, unsloth #1290: labels masked in silence, and the loss of nothing goes down."""
    model = opened("llama")

    def check():
        given = training_kinds.options(training_kinds.LoraOptions, job().options)
        run_ = trainer.TrainingRun(model, job(), given, tmp_path, None)
        counted = [len(row.answer) for row in run_.rows]
        assert counted == [len(model.renderer.answer_ids(row.answer)) for row in rows()]

    check()
    honest = adapter_check.encode
    with monkeypatch.context() as planted:  # the whole row counts as prompt
        unmarked = lambda *a: [adapter_check.Encoded(row.prompt + row.answer, []) for row in honest(*a)]  # noqa: E731
        planted.setattr(adapter_check, "encode", unmarked)
        with pytest.raises(DataError, match="no token to train on"):
            check()
    with monkeypatch.context() as planted:  # all but the last token are masked
        planted.setattr(
            adapter_check,
            "encode",
            lambda *a: [adapter_check.Encoded(row.prompt + row.answer[:-1], row.answer[-1:]) for row in honest(*a)],
        )
        with pytest.raises(CAUGHT):
            check()


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma", "gpt2"])
def test_every_examples_answer_is_a_target_at_its_own_place(opened, monkeypatch, kind):
    """Several targets in a row: their tokens are the examples' answers, in the ids that are asked later."""
    renderer = opened(kind).renderer
    said = (("the card was billed", "billing"), ("it is late", "shipping"))
    turns = tuple(Message(role, text) for pair in said for role, text in zip(("user", "assistant"), pair, strict=True))
    asked = (*turns, Message("user", "where is it"))

    def check():
        (row,) = adapter_check.encode(renderer, [(asked, "shipping")], "all")
        assert row.prompt == renderer.prompt_ids([asked])[0]
        found = [tuple(row.prompt[slice(*span)]) for span in row.earlier]
        assert [ids[:-1] for ids in found] == [renderer.answer_ids(answer)[:-1] for _, answer in said]
        assert all(ids[-1] in renderer.closing for ids in found)

    check()
    honest = type(renderer).earlier_answers
    for move in (-1, 1):
        shifted = lambda self, rows, by=move: [tuple((a + by, b + by) for a, b in row) for row in honest(self, rows)]  # noqa: E731
        with monkeypatch.context() as planted:  # marked one token too early or too late
            planted.setattr(type(renderer), "earlier_answers", shifted)
            with pytest.raises(CAUGHT):
                check()
    with monkeypatch.context() as planted:  # silently none
        planted.setattr(type(renderer), "earlier_answers", lambda self, rows: [()] * len(rows))
        with pytest.raises(CAUGHT):
            check()


def test_the_turns_end_is_trained_and_an_answer_without_end_is_told(opened, tmp_path, monkeypatch):
    """unsloth #416: the end was never a label, so answers never ended."""
    model = opened("llama")

    def check():
        assert all(row.answer[-1] in model.renderer.ends for row in trainer.encode(model, job()))

    check()
    honest = model.renderer.answer_ids
    with monkeypatch.context() as planted:
        planted.setattr(model.renderer, "answer_ids", lambda text: honest(text)[:-1])
        with pytest.raises(CAUGHT):
            check()


def test_answers_that_hit_the_cap_are_counted(tmp_path):
    from whichway.nouns import Reply
    from whichway.scoring import judge
    from whichway.tasks import metrics

    metric = metrics.load(dataclasses.replace(small_task().metric, name="token_f1"))
    asked = Request((Message("user", "x"),), Decoding("generate", 4))
    example = Example({"text": "x"}, "a b c d e")
    for finish, told in (("length", "cut off after 4 tokens"), ("stop", "")):
        reply = Reply("a b c d", tokens_out=4, finish=finish)
        record = judge(metric, "c", example, "test", asked, reply, 0.0, False)
        assert told in record.why
        assert bool(record.why) == bool(told)


@pytest.mark.parametrize("kind", ["llama", "bos", "base"])
def test_at_most_one_begin_of_text(opened, monkeypatch, kind):
    """unsloth PR 10312: the template writes one, the tokenizer another."""
    model = opened(kind)
    start = model.tokenizer.bos_token_id

    def check():
        (ids,) = model.renderer.prompt_ids([(HEAD, Message("user", "x"))])
        assert ids.count(start) <= 1

    check()
    with monkeypatch.context() as planted:
        planted.setattr(model.renderer._chat, "lead", [start, *([] if kind == "bos" else [start])])
        with pytest.raises(CAUGHT):
            check()


def test_merged_answers_as_the_adapter(opened, tmp_path, monkeypatch):
    """Merged weights that were not the adapter's (peft #1836: 0.965 became 0.496): re-measured at every load."""
    from peft.tuners.lora.layer import Linear

    model = opened("llama")
    made = list(run_job.train(model, job(rate=0.02, epochs=4), tmp_path, None))[-1]
    place = tmp_path / made.weights.adapter

    def check():
        adapter_check.check(place, model, adapters.lora(model.module, place))

    check()
    honest = Linear.get_delta_weight
    with monkeypatch.context() as planted:
        planted.setattr(Linear, "get_delta_weight", lambda self, adapter: 3.0 * honest(self, adapter))
        with pytest.raises(AdapterNotLive, match="does not answer as when it was saved"):
            check()


def test_an_adapter_that_is_ignored_is_noticed(opened, tmp_path, monkeypatch):
    """peft #793, mlx-lm #1248: names matched no layer, and the base answered."""
    model = opened("llama")
    made = list(run_job.train(model, job(), tmp_path, None))[-1]
    place = tmp_path / made.weights.adapter

    def check():
        adapter_check.check(place, model, adapters.trained(model.module, place))

    check()
    with monkeypatch.context() as planted:
        planted.setattr(adapters, "lora", lambda base, folder: load.fork(base))
        with pytest.raises(AdapterNotLive, match="changes nothing"):
            check()


def test_what_is_scored_is_what_the_model_writes(opened, monkeypatch):
    """trl #862, #1222: "evaluation" was the loss of the wanted answer fed back in, not an answer of the model's own."""
    model = opened("llama")
    wanted = "refund the second payment"
    (prompt,) = model.renderer.prompt_ids([(HEAD, Message("user", "I was billed twice"))])

    def written():
        out = model.module.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, pad_token_id=1,
            eos_token_id=sorted(model.renderer.ends), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        )  # fmt: skip
        return model.renderer.text(out[0, len(prompt) :].tolist())

    def check():
        asked = Request((HEAD, Message("user", "I was billed twice")), Decoding("generate", 12))
        (reply,) = answer.InferenceSession(model, model.module).generate([asked])
        assert reply.text == written()

    check()

    def forced(self, waiting):  # the likeliest token at each place of the wanted answer
        ids = list(model.renderer.answer_ids(wanted))
        logits = model.module(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        return [logits.argmax(-1).tolist() for _ in waiting]

    with monkeypatch.context() as planted:
        planted.setattr(answer.InferenceSession, "_write", forced)
        with pytest.raises(CAUGHT):
            check()


def test_near_copies_stay_on_one_side(monkeypatch):
    """LLaMA-Factory #3491: rows of the test split stood in the training data with another comma."""
    texts = [e.text for e in (*small_task().train, *small_task().test)][:200]
    examples = [Example({"text": text}, "ab"[n % 2]) for n, text in enumerate(texts)]
    examples += [Example({"text": f"{text}!!"}, "ab"[n % 2]) for n, text in enumerate(texts[:40])]

    def check():
        sides = split.split(examples, stratify=False, sides_in_data=[None] * len(examples), fractions=None).of
        at: dict[frozenset[str], set[Any]] = {}
        for example, side in zip(examples, sides, strict=True):
            if side is not None:
                at.setdefault(near_duplicates.grams(near_duplicates.skeleton(example.text)), set()).add(side)
        assert all(len(found) == 1 for found in at.values())

    check()
    with monkeypatch.context() as planted:  # every row is a text of its own
        planted.setattr(near_duplicates, "skeleton", lambda text: text)
        planted.setattr(near_duplicates, "earlier", lambda skeletons: [[] for _ in skeletons])
        with pytest.raises(CAUGHT):
            sides_differ(examples)


def sides_differ(examples):
    honest = [" ".join(near_duplicates._WORD.findall(e.text.casefold())) for e in examples]
    sides = split.split(examples, stratify=False, sides_in_data=[None] * len(examples), fractions=None).of
    at: dict[str, set[Any]] = {}
    for key, side in zip(honest, sides, strict=True):
        at.setdefault(key, set()).add(side)
    assert all(len(found) == 1 for found in at.values())
