"""Clients of others ask our server as they come: LiteLLM, DSPy, lm-evaluation-harness.

WHICHWAY_PEERS names a Python that has them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server_kit import client, server

PEERS = os.environ.get("WHICHWAY_PEERS", "")
TEXTS = ["Where is my parcel?", "I was billed twice"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(PEERS).is_file(), reason="WHICHWAY_PEERS names no Python with litellm, dspy, lm_eval"),
]


def answers(name: str, address: str, model: str, *words: object) -> list[str]:
    script = Path(__file__).with_name("foreign_clients_peer.py")
    asked = json.dumps({"model": model, "texts": TEXTS})
    command = [PEERS, str(script), name, address, *map(str, words)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, input=asked, capture_output=True, text=True, env=environment, check=False)
    if "No module named" in done.stderr:
        pytest.skip(f"{name} is not installed there")
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_foreign_clients_get_what_openais_client_gets(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    with server("--model", tiny("llama"), "--folder", tmp_path) as address:
        asked: Any = client(address)
        own = [
            asked.chat.completions.create(
                model="base", messages=[{"role": "user", "content": text}], max_tokens=16, temperature=0
            ).choices[0].message.content
            for text in TEXTS
        ]  # fmt: skip
        assert answers("dspy", address, "base") == own
        assert [answer[:5] for answer in answers("litellm", address, "base")] == [text[:5] for text in own]
        found = answers("lm_eval", address, "base", tiny("llama"))
        encode = AutoTokenizer.from_pretrained(tiny("llama")).encode  # the harness sends ids, without a first mark
        prompts = [encode(text, add_special_tokens=False) for text in TEXTS]
        written = [
            asked.completions.create(model="base", prompt=ids, max_tokens=5, temperature=0, stop="\n").choices[0].text
            for ids in prompts
        ]
    assert found[2:] == written
    scores = [line.split() for line in found[:2]]
    assert all(float(score) < 0 and greedy in ("True", "False") for score, greedy in scores)
