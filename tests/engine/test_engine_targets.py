"""Rows with several targets: the answers of earlier turns are found, trained once each, and shown by `check`."""

from __future__ import annotations

import dataclasses

import pytest
import test_engine_decoder as by
import torch
from torch.nn import functional as F

from whichway import training_kinds
from whichway.backends import local
from whichway.engine.model import attention, load, packing, prefix_attention
from whichway.engine.train import adapter_check, run_job, tokenization_report, train_progress, trainer
from whichway.engine.train.adapter_check import Encoded
from whichway.errors import DataError, OptionError
from whichway.nouns import Message, TrainJob, TrainRow, Weights

PREFIX = [5, 9, 40, 41, 200, 13, 7]
SHOTS = (("the second card was billed", "billing"), ("parcel is late", "shipping"), ("bill me", "bill"))
ARCHITECTURES = ["llama", "qwen2", "qwen3", "gemma", "gpt2"]


def encoded() -> list[Encoded]:
    """Rows of unlike lengths with none, one and two earlier answers."""
    rows = [
        ([60, 61, 62, 63, 64, 65, 66, 67], [70, 1], ((9, 11), (12, 13))),
        ([80, 81, 82, 83], [90, 91, 92, 1], ((8, 10),)),
        ([100, 101], [110, 3], ()),
    ]
    return [Encoded(PREFIX + prompt, answer, spans) for prompt, answer, spans in rows]


def alone(module, rows):
    """Losses the ordinary way: transformers' eager attention, one row at a time, whole logits."""
    module.set_attn_implementation("eager")
    losses = []
    for row in rows:
        ids = torch.tensor(row.prompt + row.answer)
        logits = module(ids[None]).logits[0]
        each = F.cross_entropy(logits[:-1], ids[1:], reduction="none")  # of token n + 1
        for start, end in (*row.earlier, (len(row.prompt), len(ids))):
            losses.append(each[start - 1 : end - 1])
    module.set_attn_implementation(packing.ATTENTION)
    return torch.cat(losses)


def turns(shots=SHOTS, text="where is it") -> tuple[Message, ...]:
    said = [Message("system", "Which team? Answer with one of: billing, bill, shipping.")]
    for asked, answer in shots:
        said += [Message("user", asked), Message("assistant", answer)]
    return (*said, Message("user", text))


def job(count=6, **options) -> TrainJob:
    """Rows whose shots differ."""
    rows = tuple(TrainRow(turns((SHOTS[n % 3], SHOTS[(n + 1) % 3]), f"row {n}"), SHOTS[n % 3][1]) for n in range(count))
    given = {"rate": 0.01, "epochs": 2, "batch": 3, "rank": 4, "targets": "all", **options}
    return TrainJob("lora", Weights("local", "tiny"), rows, ("bill", "billing", "shipping"), 0, given)


@pytest.mark.parametrize("long", [768, 4])
def test_targets_packed_equal_alone(folder, monkeypatch, long):
    """Our decoder with its gradients by hand, and autograd through transformers, against whole logits."""
    monkeypatch.setattr(prefix_attention, "LONG", long)  # plain and fused attention
    monkeypatch.setattr(prefix_attention, "SCORES", 0)
    module = load.load(folder).module.requires_grad_(True)
    wanted = alone(module, encoded())
    module.zero_grad()
    wanted.mean().backward()
    grads = {name: p.grad.clone() for name, p in module.named_parameters()}
    module.zero_grad()
    found = trainer.row_losses(module, encoded(), PREFIX)
    found.mean().backward()
    assert torch.allclose(found, wanted, atol=1e-5)
    for name, p in module.named_parameters():
        assert torch.allclose(p.grad, grads[name], atol=1e-5 * max(1.0, float(grads[name].abs().max()))), name


@pytest.mark.parametrize("prefix", [PREFIX, []])
@pytest.mark.parametrize("even", [False, True])
def test_gradients_by_hand_equal_autograd(model, monkeypatch, prefix, even):
    """The trainer's own decoder, with and without rows of padding."""
    monkeypatch.setattr(by, "encoded", encoded)
    wanted, grads = by.by_autograd(*by.wrapped(model, "lora"), prefix)
    monkeypatch.setattr(packing, "pads_shapes", lambda *_: even)
    found, hand = by.by_hand(*by.wrapped(model, "lora"), torch.float32, prefix)
    assert len(found) == len(wanted) == sum(row.trained for row in encoded())
    assert by.gap(found, wanted) < 1e-5
    assert max(by.gap(hand[name], grads[name]) for name in grads) < 1e-5


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_earlier_answers_are_found_and_read_as_they_will_be_answered(tiny, kind):
    """Train = evaluation: the same prompt ids as are asked, and in it each answer's own ids with its turn's end."""
    renderer = load.load(tiny(kind)).renderer
    (row,) = adapter_check.encode(renderer, [(turns(), "shipping")], "all")
    (plain,) = adapter_check.encode(renderer, [(turns(), "shipping")])
    assert (row.prompt, row.answer) == (plain.prompt, plain.answer)
    assert row.prompt == renderer.prompt_ids([turns()])[0]
    found = [tuple(row.prompt[slice(*span)]) for span in row.earlier]
    wanted = [renderer.answer_ids(answer) for _, answer in SHOTS]
    assert [renderer.text(ids) for ids in found] == [answer for _, answer in SHOTS]
    for ids, answer in zip(found, wanted, strict=True):
        assert ids[:-1] == answer[:-1]
        assert ids[-1] in renderer.closing
    assert row.trained == sum(map(len, found)) + len(row.answer)


def test_an_answer_is_found_where_it_is_said_and_not_where_it_is_quoted(tiny):
    """The first shot quotes the second one's turns, marks and all; "as" is part of "assistant"."""
    renderer = load.load(tiny("llama")).renderer
    before = renderer._before
    shots = ((f"he wrote: late parcel{before}as", "us"), ("late parcel", "as"), ("late parcel", "user"))
    (row,) = adapter_check.encode(renderer, [(turns(shots), "as")], "all")
    texts = [renderer.text(row.prompt[slice(*span)]) for span in row.earlier]
    assert texts == ["us", "as", "user"]
    text = renderer.prompt_text(turns(shots))
    starts = [renderer._decode(row.prompt[: span[0]]) for span in row.earlier]
    assert (
        starts[1].count("late parcel")
        == text[: text.index("user", text.rindex("late parcel"))].count("late parcel") - 1
    )


def test_answers_that_all_rows_share_are_no_targets():
    rows = [
        Encoded([1, 2, 3, 4, 5, 6, 7], [9], ((2, 4), (6, 7))),
        Encoded([1, 2, 3, 4, 8, 6, 7], [9], ((2, 4), (6, 7))),
    ]
    own, prefix = adapter_check.shared(rows)
    assert prefix == [1, 2, 3, 4]
    assert [row.earlier for row in own] == [((6, 7),)] * 2
    (single,), prefix = adapter_check.shared(rows[:1])  # of one row all are its own
    assert (prefix, single.earlier) == ([1], ((2, 4), (6, 7)))


def test_the_sheet_predicts_every_target_once():
    rows = encoded()
    paper = attention.pack_train_batch(
        [(row.prompt, row.answer) for row in rows], PREFIX, torch.device("cpu"), spans=[row.earlier for row in rows]
    )
    found = [(int(paper.ids[i]), int(wanted)) for i, wanted in zip(paper.keep, paper.wanted, strict=True)]
    expected = []
    for row in rows:
        ids = row.prompt + row.answer
        for start, end in (*row.earlier, (len(row.prompt), len(ids))):
            expected += [(ids[n - 1], ids[n]) for n in range(start, end)]
    assert found == expected
    assert paper.target_counts == tuple(row.trained for row in rows)


def test_a_step_weighs_every_target_alike_in_whatever_pieces(tiny, tmp_path):
    model = load.load(tiny("llama"))
    made = []
    for number, limit in enumerate((10**6, 1)):
        given = training_kinds.options(training_kinds.LoraOptions, job().options)
        run = trainer.TrainingRun(model, job(max_steps=3, epochs=9), given, tmp_path / str(number), None)
        run.limit = limit
        run.job = job(max_steps=3)
        (tmp_path / str(number)).mkdir()
        made.append(list(run.steps())[-1].loss)
    assert made[0] == pytest.approx(made[1], rel=1e-4)


def test_training_with_targets_resumes_bit_for_bit(tiny, tmp_path):
    backend = local.LocalBackend()
    whole = dataclasses.replace(job(checkpoints=2), weights=backend.weights(str(tiny("llama"))))
    model = load.load(tiny("llama"))

    class Enough(Exception):
        pass

    def stop(now):
        if now.step == 3:
            raise train_progress.StopTraining

    first = list(run_job.train(model, whole, tmp_path / "a", None))
    with pytest.raises(train_progress.StopTraining):
        list(run_job.train(model, whole, tmp_path / "b", None, stop))
    second = list(run_job.train(model, whole, tmp_path / "b", None))
    assert [a.weights.adapter for a in first] == [a.weights.adapter for a in second]
    for made in first:
        name = f"{made.weights.adapter}/adapter_model.safetensors"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_targets_stand_in_the_digest_only_when_they_are_given():
    plain = dataclasses.replace(job(), options={"rate": 0.01})
    assert plain.id != dataclasses.replace(plain, options={"rate": 0.01, "targets": "all"}).id
    assert "targets" not in plain.options


def test_wrong_and_unfit_options_are_refused(tiny, tmp_path):
    model = load.load(tiny("llama"))
    with pytest.raises(OptionError, match="targets"):
        list(run_job.train(model, job(targets="some"), tmp_path, None))
    with pytest.raises(OptionError, match="word_dropout"):
        list(run_job.train(model, job(word_dropout=0.1), tmp_path, None))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_check_shows_and_counts_every_target(tiny, kind):
    read = tokenization_report.reader(tiny(kind))
    shown = tokenization_report.tokens(read, turns(), "shipping", "all")
    text = "".join(part for part, _ in shown)
    (row,) = adapter_check.encode(read.renderer, [(turns(), "shipping")], "all")
    assert text == read.renderer.tokenizer.decode(row.prompt + row.answer, skip_special_tokens=False)
    marked = "".join(part if trained else "|" for part, trained in shown)
    for _, answer in SHOTS:
        assert f"|{answer}" in marked.replace(" ", "")
    assert sum(trained for _, trained in shown) == row.trained
    last, every = (tokenization_report.lengths(read, [(turns(), "shipping")], t) for t in ("last", "all"))
    assert last.tokens == every.tokens
    assert every.trained[0] > last.trained[0]


def test_earlier_answers_that_the_template_rewrites_are_told(tiny, tmp_path, caplog, monkeypatch):
    model = load.load(tiny("llama"))
    chat = model.renderer._chat
    honest = chat._apply
    monkeypatch.setattr(
        chat, "_apply", lambda turns, ask, think=False: honest(turns, ask, think).replace("billing", "BILLING")
    )
    rows = trainer.encode(model, job())
    assert {len(row.earlier) for row in rows} == {1, 2}
    assert "stand otherwise in the prompt" in caplog.text
    monkeypatch.setattr(model.renderer, "_before", "")
    with pytest.raises(DataError, match="rewrites every earlier answer"):
        trainer.encode(model, job())
