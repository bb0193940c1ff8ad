"""Every answer of the server against OpenAI's published description; and the check against planted faults."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_description import STREAM, check, published
from ship_kit import contest, data
from starlette.testclient import TestClient

from whichway.backends.classical import ClassicalBackend
from whichway.backends.encoder import EncoderBackend
from whichway.backends.local import LocalBackend
from whichway.ship import served_models
from whichway.ship.serve import app

USER = [{"role": "user", "content": "Where is my parcel?"}]
CHATS = [
    {"messages": [{"role": "user", "content": f"where is it {k}"}, {"role": "assistant", "content": "shipping"}]}
    for k in range(4)
]


class Server:
    """The server in this process; each answer is checked."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        facts = {"json": body} if body is not None else {}
        answer = self._client.request(method, "/v1" + path, **facts, **more)
        assert answer.status_code == status, answer.text
        kind = answer.headers["content-type"]
        check(method, answer.url.path, answer.status_code, kind, answer.content)
        return answer.text if kind.startswith(STREAM) else answer.json() if "json" in kind else answer.content

    def over(self, job: str) -> Any:
        """A job when it is over."""
        end = time.monotonic() + 60
        while (state := self("GET", f"/fine_tuning/jobs/{job}"))["status"] in ("validating_files", "queued", "running"):
            assert time.monotonic() < end
            time.sleep(0.05)
        return state


@pytest.fixture(scope="module")
def ask(tiny: Callable[[str], Path], encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("described")
    run = contest(data(folder), tiny("llama"), {"base_tfidf": {}, "prompt_plain": {}})
    vectors = EncoderBackend()
    models = {**served_models.of_run(run), "an_encoder": served_models.ServedModel(vectors.weights(str(encoder)))}
    backends = {"local": LocalBackend(), "classical": ClassicalBackend(), "encoder": vectors}
    with TestClient(app(models, backends, folder=folder / "serve", run=run)) as client:
        yield Server(client)


def test_chats(ask: Server) -> None:
    body = {"model": "base", "messages": USER, "max_tokens": 4}
    drawn = ({}, {"n": 2, "temperature": 1}, {"logprobs": True, "top_logprobs": 2}, {"stop": "e"})
    formed = ({"response_format": {"type": "json_object"}}, {"structured_outputs": {"choice": ["a", "b"]}})
    for more in (*drawn, *formed):
        whole = ask("POST", "/chat/completions", {**body, **more})
        assert whole["choices"][0]["message"]["role"] == "assistant"
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        assert '"delta"' in ask("POST", "/chat/completions", {**body, **more, "stream": True})
        assert '"total_tokens"' in ask("POST", "/chat/completions", {**body, **more, **usage})
    for name in ("winner", "base_tfidf", "prompt_plain"):
        for more in ({}, {"logprobs": True}, {"stream": True}):
            ask("POST", "/chat/completions", {"model": name, "messages": USER, **more})


def test_completions(ask: Server) -> None:
    body = {"model": "base", "prompt": ["Where is", "my parcel?"], "max_tokens": 4}
    for more in ({}, {"n": 2, "temperature": 1}, {"logprobs": 2}, {"logprobs": 2, "echo": True}, {"max_tokens": 0}):
        ask("POST", "/completions", {**body, **more})
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        assert '"text"' in ask("POST", "/completions", {**body, **more, "stream": True})
        assert '"total_tokens"' in ask("POST", "/completions", {**body, **more, **usage})
    row = {"model": "prompt_plain", "prompt": "Where is my parcel?"}
    for more in ({}, {"stream": True}):
        ask("POST", "/completions", {**row, **more})
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    assert '"total_tokens"' in ask("POST", "/completions", {**row, **usage})
    refused = ask("POST", "/completions", {**row, "stream_options": {"usage": True}}, 400)
    assert refused["error"]["param"] == "stream_options.usage"


def test_models_and_embeddings(ask: Server, encoder: Path) -> None:
    assert ask("GET", "/models")["data"]
    ask("GET", "/models/prompt_plain")
    ask("GET", f"/models/{encoder.name}")
    for more in ({}, {"encoding_format": "base64"}):
        ask("POST", "/embeddings", {"model": encoder.name, "input": ["where is my parcel", "twice"], **more})


@pytest.mark.parametrize("method", ["supervised", "dpo"])
def test_files_and_jobs(ask: Server, method: str) -> None:
    ask("GET", "/files", params={"purpose": "none"})
    rows = CHATS if method == "supervised" else [
        {"input": {"messages": chat["messages"][:1]}, "preferred_output": chat["messages"][1:],
         "non_preferred_output": [{"role": "assistant", "content": "billing"}]} for chat in CHATS
    ]  # fmt: skip
    content = "\n".join(map(json.dumps, rows)).encode()
    upload = {"data": {"purpose": "fine-tune"}, "files": {"file": ("rows.jsonl", content)}}
    file, other = ask("POST", "/files", **upload), ask("POST", "/files", **upload)
    ask("GET", "/files")
    ask("GET", "/files", params={"limit": 1})
    ask("GET", f"/files/{file['id']}")
    assert ask("GET", f"/files/{file['id']}/content") == content
    numbers = {"type": method, method: {"hyperparameters": {"n_epochs": 2, "batch_size": 4}}}
    valid = {"validation_file": other["id"]} if method == "supervised" else {}
    job = ask("POST", "/fine_tuning/jobs", {
        "model": "base", "training_file": file["id"], "method": numbers, "suffix": "x",
        "metadata": {"who": "me"}, **valid,
    })  # fmt: skip
    long = {"type": method, method: {"hyperparameters": {"n_epochs": 50, "batch_size": 1}}}
    waits = ask("POST", "/fine_tuning/jobs", {"model": "base", "training_file": file["id"], "method": long})
    assert ask("POST", f"/fine_tuning/jobs/{waits['id']}/cancel")["status"] == "cancelled"
    assert ask.over(job["id"])["status"] == "succeeded"
    broken = ask("POST", "/files", **{**upload, "files": {"file": ("x.jsonl", b"{")}})
    fails = ask("POST", "/fine_tuning/jobs", {"model": "base", "training_file": broken["id"]})
    assert ask.over(fails["id"])["error"]["code"] == "invalid_training_file"
    for ended in (job, waits, fails):
        ask("GET", f"/fine_tuning/jobs/{ended['id']}/events", params={"limit": 100})
        ask("GET", f"/fine_tuning/jobs/{ended['id']}/checkpoints")
    ask("GET", "/fine_tuning/jobs")
    tuned = next(model["id"] for model in ask("GET", "/models")["data"] if model["id"].startswith("ft:"))
    ask("POST", "/chat/completions", {"model": tuned, "messages": USER, "max_tokens": 2})
    for done in (file, other, broken):
        assert ask("DELETE", f"/files/{done['id']}")["deleted"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/chat/completions", {"model": "bas", "messages": USER}, 404),
        ("POST", "/chat/completions", {"model": "base", "messages": []}, 400),
        ("POST", "/chat/completions", {"model": "prompt_plain", "messages": USER * 2}, 400),
        ("POST", "/chat/completions", {"model": "base", "messages": [{**USER[0], "content": "x " * 4000}]}, 400),
        ("POST", "/completions", {"model": "base", "prompt": "x " * 4000, "stream": True}, 400),
        ("POST", "/completions", {"model": "base"}, 400),
        ("POST", "/embeddings", {"model": "base", "input": "x"}, 404),
        ("GET", "/models/none", None, 404),
        ("GET", "/files/none", None, 404),
        ("GET", "/files/none/content", None, 404),
        ("POST", "/files", {}, 400),
        ("PUT", "/files", {}, 405),
        ("GET", "/fine_tuning/jobs/none/events", None, 404),
        ("GET", "/fine_tuning/nothing", None, 404),
        ("POST", "/fine_tuning/jobs", {"model": "base", "training_file": "none"}, 400),
        ("GET", "/fine_tuning/jobs?limit=0", None, 400),
    ],
)
def test_errors(ask: Server, method: str, path: str, body: Any, status: int) -> None:
    assert ask(method, path, body, status)["error"]["message"]


def test_what_is_not_there_names_what_is(ask: Server) -> None:
    message = ask("GET", "/nothing", None, 404)["error"]["message"]
    assert "Served here: /health" in message
    assert "/v1/chat/completions, /v1/completions" in message
    models = {model["id"]: model["description"] for model in ask("GET", "/models")["data"]}
    assert models["winner"].startswith("the verdict's choice, ")
    assert models["base_tfidf"] == "what ships of it: word and character TF-IDF, logistic regression"
    assert len(set(models.values())) >= 4


CHAT: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                 "message": {"role": "assistant", "content": "x", "refusal": None}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda b: b.pop("created"), "'created' is a required property"),
        (lambda b: b.update(object="chat"), "object"),
        (lambda b: b.update(surprise=1), "surprise: is not described"),
        (lambda b: b["usage"].update(total_tokens="2"), "usage.total_tokens"),
        (lambda b: b["choices"][0].update(finish_reason=None), "choices[].finish_reason"),
        (lambda b: b["choices"][0].pop("logprobs"), "'logprobs' is a required property"),
        (lambda b: b["choices"][0].update(logprobs={"content": None}), "choices[].logprobs"),
        (lambda b: b["choices"][0]["message"].pop("refusal"), "'refusal' is a required property"),
        (lambda b: b["choices"][0]["message"].update(role="user"), "choices[].message.role"),
        (lambda b: b["choices"][0]["message"].update(thoughts="x"), "choices[].message.thoughts: is not described"),
    ],
)
def test_the_check_sees_a_planted_fault(change: Callable[[Any], Any], part: str) -> None:
    assert published().problems("POST", "/chat/completions", 200, "application/json", CHAT) == []
    body = copy.deepcopy(CHAT)
    change(body)
    problems = published().problems("POST", "/chat/completions", 200, "application/json", body)
    assert any(part in problem for problem in problems)
