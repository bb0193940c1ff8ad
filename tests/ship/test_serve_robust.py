"""Clients that misbehave get clear errors or are dropped; others notice nothing. SIGTERM finishes what runs."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server_kit import ServerProcess
from starlette.testclient import TestClient

from whichway.nouns import Message, Weights
from whichway.ship.access import AccessLimits
from whichway.ship.serve import app
from whichway.ship.served_models import ServedModel

USER = [{"role": "user", "content": "Where is my parcel?"}]


@pytest.fixture(scope="module")
def running(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess("--model", tiny("llama"), "--folder", tmp_path_factory.mktemp("robust"))
    yield server
    if server.process.poll() is None:
        server.end(signal.SIGKILL)


def connected(server: ServerProcess) -> socket.socket:
    host, port = re.fullmatch(r"http://(.*):(\d+)/v1", server.address).groups()  # type: ignore[union-attr]
    return socket.create_connection((host, int(port)), timeout=30)


def request(body: bytes, path: str = "/v1/chat/completions", length: int | None = None) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def healthy(server: ServerProcess) -> bool:
    body = json.dumps({"model": "base", "messages": USER, "max_tokens": 2}).encode()
    call = urllib.request.Request(f"{server.address}/chat/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(call, timeout=30) as answer:
        return bool(json.load(answer)["choices"])


def test_half_open_and_broken_connections_leave_the_others_alone(running: ServerProcess) -> None:
    body = json.dumps({"model": "base", "messages": USER, "max_tokens": 200, "stream": True}).encode()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(running)) for _ in range(200)]
        for place, one in enumerate(silent):
            one.sendall((b"", b"POST /v1/chat", request(body, length=len(body) + 10), request(body))[place % 4])
        for one in silent[3::8]:  # gone in the middle of a stream, by reset
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()
        assert healthy(running)
    noise = connected(running)
    noise.sendall(b"\x16\x03\x01 no http at all\r\n\r\n")
    assert b"400" in noise.recv(1000)
    noise.close()
    assert healthy(running)


@pytest.mark.slow
def test_ten_thousand_connections_are_held_and_the_silent_ones_dropped(tiny: Callable[[str], Path]) -> None:
    import resource

    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 12_000:
        pytest.skip("this user may not open so many files")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    server = ServerProcess("--model", tiny("llama"))
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(server)) for _ in range(10_000)]
        assert healthy(server)
        for one in silent[::100]:  # closed after half a minute without a request
            one.settimeout(60)
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
        assert healthy(server)
        server.end(signal.SIGTERM)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_ten_megabytes_are_refused_in_words(running: ServerProcess) -> None:
    body = json.dumps({"model": "base", "messages": [{"role": "user", "content": "x" * 10_000_000}]}).encode()
    call = urllib.request.Request(f"{running.address}/chat/completions", body, {"content-type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(call, timeout=30)
    assert error.value.code == 413
    assert "larger than 1,000,000 bytes" in json.load(error.value)["error"]["message"]
    assert healthy(running)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/files/..%2f..%2f..%2fetc%2fpasswd/content", 404),
        ("/v1/files/../../etc/passwd", 404),
        ("/v1/models/..%2f..%2fetc%2fpasswd", 404),
        ("/v1/fine_tuning/jobs/%00", 404),
        ("/../jobs.sqlite", 404),
        ("/v1/nothing", 404),
        ("/v1/chat/completions", 405),
    ],
)
def test_paths_lead_nowhere(running: ServerProcess, path: str, status: int) -> None:
    with connected(running) as one:
        one.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        answer = b""
        while part := one.recv(65536):
            answer += part
    assert answer.split()[1] == str(status).encode()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{" * 100_000, b"[" * 100_000, b"\xff\xfe", b'{"model": NaN}', b'{"model": "base"}',
     json.dumps({"model": "base", "messages": USER, "n": "x"}).encode(),
     json.dumps({"model": {"a": 1}, "messages": USER}).encode(),
     json.dumps({"model": "base", "messages": [{"role": "user", "content": "\ud800"}]}).encode()],
)  # fmt: skip
def test_any_body_gets_an_answer_in_openais_shape(running: ServerProcess, body: bytes) -> None:
    for path in ("/chat/completions", "/completions", "/embeddings", "/fine_tuning/jobs", "/feedback", "/files"):
        call = urllib.request.Request(running.address + path, body, {"content-type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(call, timeout=30)
        assert error.value.code < 500, (path, error.value.read())
        assert json.load(error.value)["error"]["message"]
    assert healthy(running)


def test_sigterm_finishes_what_runs(running: ServerProcess) -> None:
    """The last test of this server: a stream that has begun is written to its end, then the process ends."""
    body = json.dumps({"model": "base", "messages": USER, "max_tokens": 300, "stream": True}).encode()
    call = urllib.request.Request(f"{running.address}/chat/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(call, timeout=60) as answer:
        first = answer.readline()
        ended = threading.Thread(target=running.end, args=(signal.SIGTERM,))
        ended.start()
        rest = answer.read()
    ended.join(60)
    assert first.startswith(b"data: ")
    assert rest.rstrip().endswith(b"data: [DONE]")
    assert running.process.poll() is not None


class Slow:
    """A backend that takes its time."""

    name, version = "slow", "1"

    def open(self, weights: Weights, adapter: Path | None) -> Any:
        return contextlib.nullcontext(self)

    def generate(self, requests: list[Any]) -> list[Any]:
        from whichway.nouns import Reply

        time.sleep(0.3)
        return [Reply("done") for _ in requests]


def slow_app(**limits: Any) -> Any:
    return app({"base": ServedModel(Weights("slow", "slow"))}, {"slow": Slow()}, AccessLimits(**limits))  # type: ignore[dict-item]


def test_more_requests_than_a_minute_allows_are_told_when_to_come_again() -> None:
    with TestClient(slow_app(per_minute=3)) as client:
        answers = [client.get("/v1/models") for _ in range(5)]
        assert client.get("/health").status_code == 200
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"


def test_more_requests_than_fit_at_once_are_refused() -> None:
    from concurrent.futures import ThreadPoolExecutor

    body = {"model": "base", "messages": USER}
    with TestClient(slow_app(at_once=2)) as client, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/chat/completions", json=body), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503]


def test_a_client_that_does_not_read_or_stays_silent_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    import uvicorn

    from whichway.ship import listening

    monkeypatch.setattr(listening, "_HEAD_SECONDS", 0.2)
    monkeypatch.setattr(listening, "_READ_SECONDS", 0.3)

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):  # what is sent to a dropped client goes nowhere, at once
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})

    async def both() -> float:
        config = uvicorn.Config(flood, http=listening.protocol(), port=0, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        start = time.monotonic()
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        while not server.server_state.connections:
            await asyncio.sleep(0.01)
        while server.server_state.connections:
            await asyncio.sleep(0.01)
            assert time.monotonic() - start < 5
        server.should_exit = True
        await task
        return time.monotonic() - start

    assert asyncio.run(both()) >= 0.3


def test_models_that_answer_in_whole_calls_are_cut_at_stops_and_refuse_the_rest() -> None:
    body = {"model": "base", "messages": USER, "stop": "ne"}
    with TestClient(slow_app()) as client:
        whole = client.post("/v1/chat/completions", json=body).json()["choices"][0]
        stream = client.post("/v1/chat/completions", json={**body, "stream": True}).text
        refused = [
            client.post("/v1/chat/completions", json={**body, **more})
            for more in ({"top_p": 0.5}, {"logprobs": True}, {"response_format": {"type": "json_object"}})
        ]
    assert (whole["message"]["content"], whole["finish_reason"]) == ("do", "stop")
    chunks = [json.loads(line[6:]) for line in stream.split("\n\n") if line.startswith("data: {")]
    assert "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]) == "do"
    assert [answer.status_code for answer in refused] == [400] * 3


def test_messages_reach_the_model_as_they_were_sent() -> None:
    """The newer word for the system's role, and text in parts."""
    from whichway.ship.protocol import parse, requests

    parts = [{"type": "text", "text": "Where is"}, {"type": "text", "text": " it?"}]
    turns = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}]
    body = {"model": "base", "messages": turns}
    [asked] = requests(parse(json.dumps(body).encode()), ServedModel(Weights("slow", "slow")))
    assert asked.messages == (Message("system", "Be kind."), Message("user", "Where is it?"))
