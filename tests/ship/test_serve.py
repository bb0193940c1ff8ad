"""The server answers what the contest measured: through the model's name, and through the exported prompt."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ship_kit import TUNED, contest, data, manifest, recorded

import whichway as ww
from whichway.nouns import Weights
from whichway.ship import served_models
from whichway.ship.serve import app


@pytest.fixture(scope="module")
def run(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> ww.Run:
    """A run with a prompt, calibrated or not, a LoRA adapter, one with a head, and one for rows with examples."""
    folder = tmp_path_factory.mktemp("served")
    ways = ("prompt_plain", "tune_lora", "both_shots_lora", "tune_head")
    return contest(data(folder), tiny("llama"), {way: TUNED.get(way, {}) for way in ways})


@contextlib.contextmanager
def serving(*words: str | Path) -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, "-m", "whichway", "serve", *map(str, words), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = ""
        for line in process.stdout:
            if line.startswith("http"):
                address = line.strip()
                break
        try:
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@pytest.fixture(scope="module")
def served(run: ww.Run) -> Iterator[str]:
    """The address of one server of the run, for all tests."""
    with serving(run.path) as address:
        yield address


def post(address: str, body: Any, key: str | None = None) -> dict[str, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(f"{address}/chat/completions", content, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        found = {"status": error.code, **json.load(error)}
    return found


def said(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


def test_every_finalist_answers_as_recorded(run: ww.Run, served: str) -> None:
    offers = served_models.of_run(run)
    for name in ("prompt_plain", "tune_lora", "both_shots_lora", "tune_head"):
        candidate = offers[name].candidate
        assert candidate is not None
        for text, answer in recorded(run, candidate.id).items():
            got = post(served, {"model": name, "messages": [{"role": "user", "content": text}]})
            assert said(got) == answer
            assert got["usage"]["prompt_tokens"] > 10
            assert set(got["choices"][0]["scores"]) == {"billing", "bill", "shipping"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_exported_prompt_by_curl_answers_as_recorded(run: ww.Run, served: str, tmp_path: Path) -> None:
    """The shipped request, filled by text substitution and sent by curl to the bare model, repeats the records."""
    winner = run.ship(tmp_path / "winner", way="prompt_plain", check=False)
    facts, body = manifest(winner), (winner / "request.json").read_text()
    for text, answer in recorded(run, facts["candidate"]).items():
        filled = body.replace(facts["placeholder"], json.dumps(text)[1:-1])
        command = ["curl", "-s", f"{served}/chat/completions", "-d", filled]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert said(json.loads(out)) == answer


def test_a_batch_of_clients_is_answered_row_by_row(run: ww.Run, served: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    candidate = served_models.of_run(run)["prompt_plain"].candidate
    assert candidate is not None
    answers = recorded(run, candidate.id)
    with ThreadPoolExecutor(16) as clients:
        ask = [{"model": "prompt_plain", "messages": [{"role": "user", "content": t}]} for t in list(answers) * 4]
        got = list(clients.map(lambda body: said(post(served, body)), ask))
    assert got == list(answers.values()) * 4


def test_a_channel_and_a_direct_reading_are_asked_side_by_side(run: ww.Run) -> None:
    """Two candidates on the same weights that differ in how they are read alone are never asked in one call."""
    import asyncio

    from whichway.backends.local import LocalBackend
    from whichway.ship.batching import ContinuousBatcher
    from whichway.ship.protocol import parse, requests

    offer = served_models.of_run(run)["prompt_plain"]
    assert offer.candidate is not None
    texts = list(recorded(run, offer.candidate.id))
    offers = [
        replace(offer, candidate=replace(offer.candidate, decoding=replace(offer.candidate.decoding, channel=channel)))
        for channel in (False, True)
    ]
    bodies = [{"model": "x", "messages": [{"role": "user", "content": text}]} for text in texts]
    asked = [[requests(parse(json.dumps(body).encode()), one)[0] for body in bodies] for one in offers]

    async def ask() -> list[list[Any]]:
        async with ContinuousBatcher({"local": LocalBackend()}) as batcher:
            return list(await asyncio.gather(*(batcher.ask(*pair) for pair in zip(offers, asked, strict=True))))

    together = asyncio.run(ask())
    with LocalBackend().open(offer.weights, None) as session:
        for replies, alone in zip(together, asked, strict=True):
            wanted = session.choose(alone)
            assert [r.text for r in replies] == [r.text for r in wanted]
            assert all(a.scores == pytest.approx(b.scores, abs=1e-4) for a, b in zip(replies, wanted, strict=True))
    assert [r.scores for r in together[0]] != [r.scores for r in together[1]]


@pytest.fixture(scope="module")
def bare(tiny: Callable[[str], Path]) -> Iterator[str]:
    """A server of the bare model."""
    with serving("--model", tiny("llama")) as address:
        yield address


USER = [{"role": "user", "content": "Where is my parcel?"}]


def test_written_text_has_limit_stop_and_repeats_itself(bare: str) -> None:
    body = {"model": "base", "messages": USER, "max_tokens": 5}
    first = post(bare, body)
    assert first["choices"][0]["finish_reason"] in ("length", "stop")
    assert first["usage"]["completion_tokens"] <= 5
    whole = said(first)
    assert said(post(bare, body)) == whole
    if len(whole) > 1:
        cut = post(bare, {**body, "stop": whole[1]})
        assert said(cut) == whole[: whole.find(whole[1])]
        assert cut["choices"][0]["finish_reason"] == "stop"
    drawn = {**body, "temperature": 1.5, "n": 3, "seed": 4}
    texts = [choice["message"]["content"] for choice in post(bare, drawn)["choices"]]
    assert len(set(texts)) > 1
    assert [choice["message"]["content"] for choice in post(bare, drawn)["choices"]] == texts


def test_choice_bias_turns_a_choice(bare: str) -> None:
    body = {"model": "base", "messages": USER, "structured_outputs": {"choice": ["yes", "no"]}}
    first = said(post(bare, body))
    other = "no" if first == "yes" else "yes"
    assert said(post(bare, {**body, "choice_bias": {other: 50.0}})) == other


def test_stream_says_the_same(bare: str) -> None:
    body = {"model": "base", "messages": USER, "max_tokens": 5}
    request = urllib.request.Request(
        f"{bare}/chat/completions",
        json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode(),
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        lines = [line.removeprefix("data: ") for line in answer.read().decode().split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    parts = [json.loads(line) for line in lines[:-1]]
    text = "".join(choice["delta"].get("content", "") for part in parts for choice in part["choices"])
    assert text == said(post(bare, body))
    assert parts[-1]["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (b"{", 400, "no JSON"),
        ({"model": "base", "messages": []}, 400, "messages"),
        ({"model": "bas", "messages": USER}, 404, "Did you mean 'base'"),
        ({"model": "base", "messages": USER, "temprature": 1}, 400, "Did you mean 'temperature'"),
        ({"model": "base", "messages": USER, "top_p": 0}, 400, "top_p"),
        ({"model": "base", "messages": USER, "n": 1000}, 400, "n"),
        ({"model": "base", "messages": [{"role": "user", "content": 3}]}, 400, "content"),
        ({"model": "base", "messages": USER, "choice_bias": {"x": 1}}, 400, "choice_bias"),
        (b'{"model": "base", "messages": "' + b"x" * 1_100_000 + b'"}', 413, "larger"),
    ],
)
def test_bad_requests_are_refused_in_openai_shape(bare: str, body: Any, status: int, part: str) -> None:
    got = post(bare, body)
    assert got["status"] == status
    assert part in got["error"]["message"]
    assert got["error"]["type"] == "invalid_request_error"


def test_candidate_ids_refuse_prompts_of_others(served: str) -> None:
    turns = [{"role": "system", "content": "Be kind."}, *USER]
    got = post(served, {"model": "prompt_plain", "messages": turns})
    assert got["status"] == 400
    assert "'base'" in got["error"]["message"]


def test_a_key_is_checked(tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHICHWAY_API_KEY", raising=False)
    with serving("--model", tiny("llama"), "--api-key", "secret") as address:
        body = {"model": "base", "messages": USER, "max_tokens": 1}
        assert post(address, body)["status"] == 401
        assert post(address, body, "wrong")["status"] == 401
        assert "choices" in post(address, body, "secret")


def test_a_failing_model_ends_the_answer_not_the_server() -> None:
    import anyio

    from whichway.errors import ModelError
    from whichway.nouns import Decoding, Message, Request
    from whichway.ship.batching import ContinuousBatcher

    class Broken:
        def open(self, weights: Weights, adapter: Path | None) -> Any:
            raise ModelError("gone")

    async def twice() -> list[str]:
        said = []
        async with ContinuousBatcher({"broken": Broken()}) as batcher:  # type: ignore[dict-item]
            for _ in range(2):
                try:
                    ask = Request((Message("user", "x"),), Decoding("generate"))
                    await batcher.ask(served_models.ServedModel(Weights("broken", "x")), [ask])
                except ModelError as error:
                    said.append(str(error))
        return said

    assert anyio.run(twice) == ["gone", "gone"]
    assert app({}, {}) is not None
