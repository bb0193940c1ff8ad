"""A server shows each row the shots that its encoder chooses, without holding up the other calls."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from whichway.contracts import Embedding
from whichway.nouns import Candidate, Decoding, Message, Prompt, Reply, Request, Shot, Weights
from whichway.ship.serve import app
from whichway.ship.served_models import ServedModel

WEIGHTS, ENCODER = Weights("fake", "fake"), Weights("letters", "letters", "abc123")
POOL = (Shot("aaa", "1"), Shot("bbb", "2"), Shot("aab", "1"))


class Letters:
    """Vectors of letter counts, and a model that remembers what it was asked."""

    name, version = "letters", "1"

    def __init__(self) -> None:
        self.asked: list[tuple[Message, ...]] = []

    def embed(self, weights: Weights, texts: Sequence[str]) -> list[Embedding]:
        vectors = [np.array([text.count("a"), text.count("b")], np.float32) for text in texts]
        return [Embedding(vector / np.linalg.norm(vector), 1, 0.0) for vector in vectors]

    def files(self, weights: Weights) -> Path:
        raise AssertionError

    def open(self, weights: Weights, adapter: Path | None) -> Any:
        return nullcontext(self)

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += [request.messages for request in requests]
        return [Reply("1") for _ in requests]


def test_the_shots_nearest_by_the_encoder_are_shown() -> None:
    letters = Letters()
    prompt = Prompt("Which?", pool=POOL, nearest=1, encoder=ENCODER)
    offer = ServedModel(WEIGHTS, None, Candidate(prompt, WEIGHTS, Decoding()), ("1", "2"), ("text",))
    application = app({"winner": offer}, {"fake": letters, "letters": letters})  # type: ignore[dict-item]
    body = {"model": "winner", "messages": [{"role": "user", "content": "abb"}]}
    with TestClient(application) as client:
        answer = client.post("/v1/chat/completions", json=body).json()
    assert answer["choices"][0]["message"]["content"] == "1"
    assert [turn.content for turn in letters.asked[0]] == ["Which?", "bbb", "2", "abb"]
