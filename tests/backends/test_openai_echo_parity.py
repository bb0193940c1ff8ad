"""Labels scored at a foreign server by `echo`, and by the engine on this machine: the same weights and plain text.

The model gets a BOS token on both sides, as llama-cpp-python's server gives log-probabilities one token too early
without one.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from llama_cpp_kit import FILE, PEERS, chosen_there, served
from test_openai_parity import TICKETS

from whichway import models
from whichway.backends.local import LocalBackend
from whichway.models.gguf.vocabulary_writer import ChatMetadata
from whichway.models.gguf.writer import write
from whichway.nouns import Decoding, Example, Prompt, Request
from whichway.prompts.template import messages

LABELS = ("billing", "delivery")
ROWS, PORT, BOS = 40, "18440", "<|im_start|>"


def base_model(place: Path) -> Path:
    """SmolLM2 as a base model: no chat template, a BOS token before every text."""
    shutil.copytree(models.find(FILE), place)
    for file in place.glob("chat_template*"):
        file.unlink()
    config = json.loads((place / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (place / "tokenizer_config.json").write_text(json.dumps(config | {"add_bos_token": True, "bos_token": BOS}))
    whole = json.loads((place / "tokenizer.json").read_text())
    number = next(token["id"] for token in whole["added_tokens"] if token["content"] == BOS)
    first = {"SpecialToken": {"id": BOS, "type_id": 0}}
    whole["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [first, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {BOS: {"id": BOS, "ids": [number], "tokens": [BOS]}},
    }
    (place / "tokenizer.json").write_text(json.dumps(whole))
    return place


def asked() -> list[Request]:
    """Rows of the example about two of its labels."""
    with TICKETS.open(encoding="utf-8", newline="") as file:
        rows = [row["text"] for row in csv.DictReader(file) if row["team"] in LABELS][:ROWS]
    prompt = Prompt("Is this message about a bill or about a delivery?", labels=LABELS)
    return [Request(messages(prompt, Example({"text": text}, "")), Decoding(), LABELS) for text in rows]


@pytest.mark.slow
@pytest.mark.skipif(not Path(FILE).is_file(), reason="WHICHWAY_GGUF names no file")
@pytest.mark.skipif(not Path(PEERS).is_file(), reason="WHICHWAY_PEERS names no Python")
def test_llama_cpp_pythons_server_scores_labels_as_this_machine_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, file = base_model(tmp_path / "base"), tmp_path / "base.gguf"
    write(folder, file, "F16", "test", ChatMetadata("", True, (2,)))
    requests, local = asked(), LocalBackend()
    with served(file, PORT, "--logits_all", "true") as address:
        there = chosen_there(tmp_path, address, requests, "api: completions, capabilities: [echo, temperature]")
    with local.open(local.weights(str(folder)), None) as session:
        here = session.choose(requests)
    gap = max(abs(a.scores[label] - b.scores[label]) for a, b in zip(here, there, strict=True) for label in LABELS)
    same = sum(a.text == b.text for a, b in zip(here, there, strict=True))
    print(json.dumps({"same": same, "of": ROWS, "largest gap in nats": gap}))
    assert same >= 0.98 * ROWS, f"{same} of {ROWS}"
    assert gap < 0.1
