"""The same prompt through an endpoint and on this machine: our own server with the model that ships."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hosted_kit import QUICK

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
