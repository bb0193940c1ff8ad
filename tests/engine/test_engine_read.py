"""Reading plain text, showing what is trained, and the memory of a training."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from whichway.backends.local import backend
from whichway.contracts import TextReader
from whichway.engine.infer.session import READ, InferenceSession
from whichway.engine.model import load, tokenizer_files
from whichway.engine.train import adapter_check, tokenization_report, trainer
from whichway.engine.train.process_memory import peak_bytes
from whichway.nouns import Message, TrainJob, TrainRow

TEXT = "The app crashes when I open the settings page. Please refund the second payment, I was billed twice. " * 6
HEAD = Message("system", "Which team?")
ROWS = tuple(
    TrainRow((HEAD, Message("user", f"{word} {n}")), label)
    for n in range(6)
    for word, label in (("refund", "billing"), ("parcel", "shipping"))
)


@torch.no_grad()
def plain_loss(model, text):
    """Through transformers alone, in the same pieces."""
    ids = model.renderer.text_ids(text)
    nats, count = 0.0, 0
    for start in range(0, len(ids), READ):
        piece = torch.tensor([ids[start : start + READ]], device=model.device)
        if piece.shape[1] > 1:
            out = model.module(input_ids=piece, labels=piece)
            nats, count = nats + float(out.loss) * (piece.shape[1] - 1), count + piece.shape[1] - 1
    return nats, count


def test_loss_on_plain_text_is_transformers(tiny, model):
    fresh = load._module(model.folder)
    session = InferenceSession(model, model.module)
    assert isinstance(session, TextReader)
    reply = session.read([TEXT])[0]
    wanted, count = plain_loss(replace(model, module=fresh), TEXT)
    assert reply.tokens_in == count > 200
    assert reply.scores["nats"] == pytest.approx(wanted, rel=1e-4)
    assert reply.seconds > 0


def test_a_training_moves_the_loss_and_a_probe_does_not(tiny, tmp_path):
    door = backend()
    base = door.weights(str(tiny("llama")))
    with door.open(base, None) as session:
        before = session.read([TEXT])[0].scores["nats"]
    for kind, moves in (("lora", True), ("probe", False)):
        options = {} if kind == "probe" else {"epochs": 4, "batch": 4, "rate": 0.05}
        *_, made = door.train(TrainJob(kind, base, ROWS, ("billing", "shipping"), 0, options), tmp_path / kind, None)
        with door.open(made.weights, tmp_path / kind / made.weights.adapter) as session:
            after = session.read([TEXT])[0].scores["nats"]
        assert math.isclose(before, after, rel_tol=1e-6) is not moves, kind
        if kind == "lora":
            assert made.peak_bytes > 50_000_000
            assert made.bytes > 1000
    assert peak_bytes() > 50_000_000


@pytest.mark.parametrize("kind", ["llama", "gpt2", "base", "nosystem"])
def test_what_is_shown_is_what_is_trained(tiny, opened, kind):
    """The same ids as the trainer's, without the weights: nothing else carries the loss."""
    model = opened(kind)
    read = tokenization_report.reader(tiny(kind))
    assert read.context == model.context
    assert read.renderer.ends == model.renderer.ends
    rows = [(row.messages, row.answer) for row in ROWS]
    trained = trainer.encode(model, TrainJob("lora", backend().weights(str(tiny(kind))), ROWS, (), 0))
    assert adapter_check.encode(read.renderer, rows) == trained
    found = tokenization_report.lengths(read, rows)
    assert found.tokens == tuple(len(row.prompt) + len(row.answer) for row in trained)
    assert found.too_long == found.untrained == []
    tokens = tokenization_report.tokens(read, *rows[0])
    assert "".join(text for text, loss in tokens if loss).strip().startswith("billing")
    assert "refund 0" in "".join(text for text, loss in tokens if not loss)
    assert sum(loss for _, loss in tokens) == len(trained[0].answer)


def test_rows_that_are_cut_or_teach_nothing_are_told(tiny):
    read = tokenization_report.reader(tiny("llama"))
    rows = [(ROWS[0].messages, ""), ((Message("user", "parcel " * 400),), "billing"), (ROWS[1].messages, "billing")]
    found = tokenization_report.lengths(read, rows)
    assert found.untrained == [0]
    assert found.too_long == [1]


@pytest.mark.parametrize("answer", ["доставка", "😀 радость 👩‍👩‍👧", "请求", "naïve café", "half \ufffd of it"])
def test_shown_tokens_are_whole_characters(tiny, answer):
    """Byte-level tokens cut characters in two; what is shown is readable, and still one piece for each token."""
    read = tokenization_report.reader(tiny("llama"))
    tokens = [text for text, loss in tokenization_report.tokens(read, ROWS[0].messages, answer) if loss]
    shown = "".join(tokens)
    assert shown.count("\ufffd") == answer.count("\ufffd")
    assert answer in shown
    ids = adapter_check.encode(read.renderer, [(ROWS[0].messages, answer)])[0].answer
    assert len(tokens) == len(ids)


def plain_folder(tiny, place, **settings):
    """A Llama whose folder says that its tokenizer is the generic one."""
    shutil.copytree(tiny("llama"), place)
    file = place / "tokenizer_config.json"
    config = json.loads(file.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"} | settings
    file.write_text(json.dumps(config))
    return place


def test_a_tokenizer_that_is_not_looked_up_is_the_one_that_would_be(tiny, tmp_path):
    from transformers import AutoTokenizer

    folder = plain_folder(tiny, tmp_path / "plain")
    assert tokenizer_files._tokenizer_class(folder) is not AutoTokenizer
    ours = tokenizer_files.tokenizer_of(folder)
    theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert type(ours) is type(theirs)
    texts = ["the card was charged", " Übel  é\n\t<|im_end|>x", "🙂 010 'quoted'"]
    assert ours(texts)["input_ids"] == theirs(texts)["input_ids"]
    chat = [{"role": "user", "content": text} for text in texts[:1]]
    assert ours.apply_chat_template(chat, tokenize=False) == theirs.apply_chat_template(chat, tokenize=False)
    assert ours.special_tokens_map == theirs.special_tokens_map
    own_code = plain_folder(tiny, tmp_path / "own", auto_map={"AutoTokenizer": ["x.X", None]})
    assert tokenizer_files._tokenizer_class(own_code) is AutoTokenizer


def test_tokens_are_counted_without_what_computes(tiny, tmp_path):
    """The library takes longer to import than a thousand rows to count."""
    folder = plain_folder(tiny, tmp_path / "plain")
    program = (
        "import sys, pathlib; from whichway.engine.train import tokenization_report as t; "
        "from whichway.nouns import Message; read = t.reader(pathlib.Path(sys.argv[1])); "
        "print(t.lengths(read, [((Message('user', 'a card'),), 'billing')]).tokens, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
