"""The same prompt through an endpoint and on this machine: our own server with the model that ships."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosted_kit import QUICK
from llama_cpp_kit import FILE, PEERS, chosen_there, served

import whichway
from whichway.backends.local import LocalBackend
from whichway.backends.openai import OpenAIBackend
from whichway.nouns import Decoding, Example, Message, Prompt, Reply, Request
from whichway.prompts.template import messages

TICKETS = Path(whichway.__file__).parent / "examples" / "support" / "tickets.csv"
ROWS = 200


def asked() -> list[Request]:
    with TICKETS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = tuple(sorted({row["team"] for row in rows}))
    prompt = Prompt("Which team should handle this message?", labels=labels)
    turns = [messages(prompt, Example({"text": row["text"]}, "")) for row in rows[:ROWS]]
    return [Request(turn, Decoding(), labels) for turn in turns]


def through(address: str, requests: list[Request], written: bool = False) -> list[Reply]:
    backend = OpenAIBackend(QUICK)
    with backend.open(backend.weights(f"base@{address}"), None) as session:
        return session.generate(requests) if written else session.choose(requests)


@pytest.mark.slow
def test_our_own_server_gives_the_labels_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "whichway", "serve", "--model", "embedded", "--port", "0"]
    requests = asked()
    text = Request((Message("user", "Where is my parcel?"),), Decoding("generate", 12))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = next(line.strip() for line in server.stdout if line.startswith("http"))
        try:
            found, written = through(address, requests), through(address, [text], written=True)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(20)
    local = LocalBackend()
    with local.open(local.weights("embedded"), None) as session:
        wanted, here = session.choose(requests), session.generate([text])
    same = sum(a.text == b.text for a, b in zip(found, wanted, strict=True))
    assert same >= 0.98 * ROWS, f"{same} of {ROWS}"
    assert written[0].text == here[0].text
    assert all(
        a.tokens_in + a.tokens_cached == b.tokens_in + b.tokens_cached for a, b in zip(found, wanted, strict=True)
    )
    print(json.dumps({"same": same, "of": ROWS}))



@pytest.mark.slow
@pytest.mark.skipif(not Path(FILE).is_file(), reason="WHICHWAY_GGUF names no file")
@pytest.mark.skipif(not Path(PEERS).is_file(), reason="WHICHWAY_PEERS names no Python")
def test_llama_cpp_pythons_server_answers_with_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A foreign server: it takes a schema as json_object only, and answers each row with one of the labels."""
    monkeypatch.chdir(tmp_path)
    with served(FILE, "18437") as address:
        found = through(address, asked()[:12])
    assert [reply.unread for reply in found] == [""] * 12
    assert all(reply.tokens_in > 0 and reply.tokens_out > 0 for reply in found)


@pytest.mark.slow
@pytest.mark.skipif(not Path(FILE).is_file(), reason="WHICHWAY_GGUF names no file")
@pytest.mark.skipif(not Path(PEERS).is_file(), reason="WHICHWAY_PEERS names no Python")
def test_llama_cpp_pythons_server_chooses_as_the_same_weights_do_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights here and there, one prompt, one limit: the likeliest token that leads to a label, each time.

    In 16 bits, as llama.cpp rounds what it multiplies with a file of 4 bits, and near ties fall otherwise. The engine
    scores each label by its usual tokens instead, and so need not agree with a grammar, under which a label may be
    spelled in any tokens: the two labels are counted as well, and nothing is claimed of them.
    """
    monkeypatch.chdir(tmp_path)
    requests = asked()
    capabilities = "[grammar, temperature]"  # without the latter it would draw its answers
    with served(_in_16_bits(tmp_path / "f16.gguf"), "18438") as address:
        there = chosen_there(tmp_path, address, requests, f"capabilities: {capabilities}, timeout_seconds: 600")
    local = LocalBackend()
    with local.open(local.weights(FILE), None) as session:
        scored = session.choose(requests)
    assert all(
        a.tokens_in + a.tokens_cached == b.tokens_in + b.tokens_cached for a, b in zip(there, scored, strict=True)
    ), "the template gives the same tokens"
    same = sum(a.text == b for a, b in zip(there, _constrained(requests), strict=True))
    alike = sum(a.text == b.text for a, b in zip(there, scored, strict=True))
    print(json.dumps({"same": same, "as_scored": alike, "of": ROWS}))
    assert same >= 0.98 * ROWS, f"{same} of {ROWS}"


def _in_16_bits(file: Path) -> str:
    """The weights that the engine has of the GGUF file, as a file for llama.cpp."""
    from transformers import AutoTokenizer

    from whichway import models
    from whichway.models.gguf.vocabulary_writer import ChatMetadata
    from whichway.models.gguf.writer import write

    folder = models.find(FILE)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    write(folder, file, "F16", "test", ChatMetadata(tokenizer.chat_template, False, (tokenizer.eos_token_id,)))
    return str(file)


def _constrained(requests: list[Request]) -> Iterator[str]:
    """The label that greedy decoding under a grammar gives, by transformers and the weights as the engine has them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from whichway import models

    folder, labels = models.find(FILE), requests[0].labels
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    pieces = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    for request in requests:
        turns = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        ids, text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False), ""
        while sum(label.startswith(text) for label in labels) > 1:
            with torch.no_grad():
                logits = model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1]
            leads = [k for k, piece in enumerate(pieces) if piece and any(x.startswith(text + piece) for x in labels)]
            best = leads[int(logits[leads].argmax())]
            ids, text = [*ids, best], text + pieces[best]
        yield next(label for label in labels if label.startswith(text))
