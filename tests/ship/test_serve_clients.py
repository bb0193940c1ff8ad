"""What OpenAI's client gets: streams, log-probabilities, JSON, completions, embeddings, numbers for Prometheus."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from server_kit import client, server
from ship_kit import TUNED, contest, data, recorded

import whichway as ww
from whichway.ship import served_models


@pytest.fixture(scope="module")
def run(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> ww.Run:
    ways = {way: TUNED.get(way, {}) for way in ("base_tfidf", "prompt_plain", "tune_lora")}
    return contest(data(tmp_path_factory.mktemp("clients")), tiny("llama"), ways)


@pytest.fixture(scope="module")
def address(run: ww.Run) -> Iterator[str]:
    with server(run.path) as place:
        yield place


USER: Any = [{"role": "user", "content": "Where is my parcel?"}]


def test_every_candidate_is_a_model_id(address: str, run: ww.Run) -> None:
    asked = client(address)
    known = {model.id for model in asked.models.list()}
    assert {"winner", "base", "base_tfidf", "prompt_plain", "tune_lora", run.verdict.candidate} <= known
    assert asked.models.retrieve("tune_lora").id == "tune_lora"
    with pytest.raises(openai.NotFoundError, match="Did you mean"):
        asked.models.retrieve("tune_lor")


def test_a_stream_brings_the_text_piece_by_piece(address: str) -> None:
    asked = client(address)
    whole = asked.chat.completions.create(model="base", messages=USER, max_tokens=24, n=2, temperature=1, seed=1)
    stream = asked.chat.completions.create(
        model="base", messages=USER, max_tokens=24, n=2, temperature=1, seed=1, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    texts, finish, pieces, usage = ["", ""], ["", ""], 0, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finish[choice.index] = choice.finish_reason or finish[choice.index]
            pieces += bool(choice.delta.content)
    assert texts == [choice.message.content for choice in whole.choices]
    assert finish == [choice.finish_reason for choice in whole.choices]
    assert pieces > 2
    assert usage == whole.usage


def test_log_probabilities_of_tokens_and_of_labels(address: str) -> None:
    asked = client(address)
    written = asked.chat.completions.create(model="base", messages=USER, max_tokens=4, logprobs=True, top_logprobs=2)
    lines = written.choices[0].logprobs.content
    assert len(lines) == written.usage.completion_tokens
    assert all(line.logprob == line.top_logprobs[0].logprob for line in lines)
    row = [{"role": "user", "content": "amber birch cedar: I was billed twice"}]
    chosen = asked.chat.completions.create(model="prompt_plain", messages=row, logprobs=True, top_logprobs=3)
    [line] = chosen.choices[0].logprobs.content
    assert line.token == chosen.choices[0].message.content
    assert {top.token for top in line.top_logprobs} == {"billing", "bill", "shipping"}


def test_an_answer_fits_the_json_schema(address: str) -> None:
    from pydantic import BaseModel

    class Team(BaseModel):
        urgent: bool
        level: Literal["low", "high"]

    asked = client(address)
    answer = asked.chat.completions.parse(model="base", messages=USER, max_tokens=80, response_format=Team)
    assert isinstance(answer.choices[0].message.parsed, Team)
    plain = asked.chat.completions.create(
        model="base", messages=USER, max_tokens=3, response_format={"type": "json_object"}
    )
    assert plain.choices[0].message.content.lstrip()[:1] in ("{", "")
    with pytest.raises(openai.BadRequestError, match="brings its own form"):
        asked.chat.completions.create(model="prompt_plain", messages=USER, response_format={"type": "json_object"})
    bad = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    with pytest.raises(openai.BadRequestError, match="schema"):
        asked.chat.completions.create(model="base", messages=USER, response_format=bad)


def test_completions_go_on_with_texts_and_answer_rows(address: str, run: ww.Run) -> None:
    asked = client(address)
    both = asked.completions.create(model="base", prompt=["Where is", "I was"], max_tokens=5)
    assert [choice.index for choice in both.choices] == [0, 1]
    lax = openai.OpenAI(base_url=address, api_key="none")  # the published types have no null here, OpenAI sends it
    stream = lax.completions.create(model="base", prompt="Where is", max_tokens=5, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == both.choices[0].text
    scored = lax.completions.create(model="base", prompt="Where is my parcel?", max_tokens=1, echo=True, logprobs=1)
    facts = scored.choices[0].logprobs
    assert scored.choices[0].text.startswith("Where is my parcel?") or facts.tokens[0].startswith("<")
    assert len(facts.tokens) == len(facts.token_logprobs) == len(facts.top_logprobs) == len(facts.text_offset)
    assert facts.token_logprobs[0] is None
    ids = asked.completions.create(model="base", prompt=[5, 6, 7], max_tokens=2)
    assert ids.usage.prompt_tokens == 3
    with pytest.raises(openai.BadRequestError, match="tokens are numbers"):
        asked.completions.create(model="base", prompt=[10**9], max_tokens=2)
    candidate = served_models.of_run(run)["prompt_plain"].candidate
    assert candidate is not None
    rows = recorded(run, candidate.id)
    answers = asked.completions.create(model="prompt_plain", prompt=list(rows))
    assert [choice.text for choice in answers.choices] == list(rows.values())


def test_many_adapters_and_streams_at_once_are_never_mixed_up(address: str) -> None:
    texts = [f"amber birch cedar {n}: where is my parcel" for n in range(6)]
    tasks = [(model, text) for model in ("prompt_plain", "tune_lora", "base", "base_tfidf") for text in texts]

    def ask(task: tuple[str, str]) -> str:
        model, text = task
        messages: Any = [{"role": "user", "content": text}]
        if model == "base":
            stream = client(address).chat.completions.create(model=model, messages=messages, max_tokens=9, stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        answer = client(address).chat.completions.create(model=model, messages=messages)
        return str(answer.choices[0].message.content)

    alone = [ask(task) for task in tasks]
    with ThreadPoolExecutor(12) as clients:
        assert list(clients.map(ask, tasks)) == alone


def test_metrics_are_read_by_prometheus(address: str) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    client(address).chat.completions.create(model="base", messages=USER, max_tokens=3)
    text = urllib.request.urlopen(address.removesuffix("/v1") + "/metrics", timeout=10).read().decode()
    families = text_string_to_metric_families(text)
    samples = {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}
    answered = ("whichway_requests_total", ("model", "base"), ("path", "/v1/chat/completions"), ("status", "200"))
    assert samples[answered] >= 1
    assert samples[("whichway_tokens_total", ("kind", "completion"), ("model", "base"))] >= 1
    assert samples[("whichway_open_questions",)] == 0


def test_embeddings_are_those_of_the_encoder(encoder: Path) -> None:
    import base64

    import numpy as np
    from starlette.testclient import TestClient

    from whichway.backends.encoder import EncoderBackend
    from whichway.ship.serve import app

    backend = EncoderBackend()
    weights = backend.weights(str(encoder))
    models = {"base_encoder": served_models.ServedModel(weights)}
    texts = ["where is my parcel", "I was billed twice"]
    with TestClient(app(models, {"encoder": backend})) as asked:
        body = {"model": encoder.name, "input": texts}
        plain = asked.post("/v1/embeddings", json=body).json()
        coded = asked.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
        wrong = asked.post("/v1/embeddings", json={**body, "model": "base"})
    wanted = backend.embed(weights, texts)
    for line, other, embedding in zip(plain["data"], coded["data"], wanted, strict=True):
        assert line["embedding"] == pytest.approx(embedding.vector.tolist())
        assert np.frombuffer(base64.b64decode(other["embedding"]), "<f4") == pytest.approx(embedding.vector)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (404, "model_not_found")
