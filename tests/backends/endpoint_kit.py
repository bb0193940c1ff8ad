"""A server that speaks OpenAI's protocol and misbehaves on purpose, and keeps its own bill."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "sk-marked-7f3a9c51e2d84b60"
WORDS = {"refund": "billing", "parcel": "delivery", "password": "account"}
LABELS = ("account", "billing", "delivery")
FAULTS = ("429", "429-date", "500", "503", "hang", "truncated", "usage-none", "usage-huge", "usage-low", "duplicate",
          "html", "html-200", "drip", "reset", "null")  # fmt: skip
USAGES: dict[str | None, Any] = {
    "usage-huge": {"prompt_tokens": 10**9, "completion_tokens": -3},
    "usage-low": {"prompt_tokens": 0, "completion_tokens": 0},
}
Body = dict[str, Any]


def truth(text: str) -> str:
    """The label by the word that a text holds."""
    return next((label for word, label in WORDS.items() if word in text), "billing")


@dataclass
class Endpoint:
    """What the server does and what it has done.

    Attributes:
        fault: of the call with this number; None where it behaves.
        answer: text of an answer, from the body.
        refuses: fields that it answers with 400.
        key: wanted as a bearer token; None after it was revoked.
        usd: price of a token in and out.
    """

    fault: Callable[[int], str | None] = lambda number: None
    answer: Callable[[Body], Any] | None = None
    refuses: tuple[str, ...] = ()
    key: str | None = KEY
    new: float = 1.0  # usd per million
    out: float = 4.0
    calls: int = 0
    bodies: list[Body] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)  # last message of each answer that went out whole
    bill_usd: float = 0.0  # of all that was generated, delivered or not
    most_at_once: int = 0
    seen: list[str] = field(default_factory=list)  # statuses
    handler: type[BaseHTTPRequestHandler] | None = None  # None: chat alone
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def completion(self, body: Body) -> Body:
        """A right answer, with its bill."""
        asked = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        text = self.answer(body) if self.answer else None
        if isinstance(text, dict):
            return text
        if text is None:
            label = truth(asked)
            text = json.dumps({"answer": label}) if "response_format" in body else label
        tokens_in = sum(len(m["content"]) for m in body.get("messages", ())) // 4 + 8
        tokens_out = len(text) // 4 + 1
        usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
        choice: Body = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if "messages" not in body:
            choice = {"index": 0, "text": text, "finish_reason": "stop"}
        return {"id": "x", "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}

    def charge(self, found: Body) -> None:
        """Put an answer on the bill."""
        usage = found["usage"]
        with self._lock:
            self.bill_usd += (usage["prompt_tokens"] * self.new + usage["completion_tokens"] * self.out) / 1e6


class ChatHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    endpoint: Endpoint

    def do_POST(self) -> None:
        endpoint = self.endpoint
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with endpoint._lock:
            endpoint.calls += 1
            number = endpoint.calls
            endpoint.bodies.append(body)
            endpoint._now += 1
            endpoint.most_at_once = max(endpoint.most_at_once, endpoint._now)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._serve(endpoint, number, body)
        finally:
            with endpoint._lock:
                endpoint._now -= 1

    def _serve(self, endpoint: Endpoint, number: int, body: Body) -> None:
        if endpoint.key is None or self.headers.get("Authorization") != f"Bearer {endpoint.key}":
            sent = self.headers.get("Authorization", "").removeprefix("Bearer ")
            message = f"Incorrect API key provided: {sent}. Find yours at example.com"
            return self._json(401, {"error": {"message": message, "code": "invalid_api_key"}})
        for name in endpoint.refuses:
            if name in body:
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                return self._json(400, {"error": {"message": message, "param": name, "code": "unsupported_parameter"}})
        return self._faulty(endpoint, endpoint.fault(number), body)

    def _faulty(self, endpoint: Endpoint, fault: str | None, body: Body) -> None:
        if fault in ("429", "429-date", "503"):
            after = "0.02" if fault != "429-date" else format_datetime(datetime.now(UTC) + timedelta(seconds=0.5), True)
            return self._json(int(fault[:3]), {"error": {"message": "slow down"}}, {"Retry-After": after})
        if fault == "500":
            return self._json(500, {"error": {"message": "oops"}})
        if fault == "html":
            return self._send(502, b"<html><body>Bad gateway</body></html>", {"Content-Type": "text/html"})
        found = endpoint.completion(body)
        endpoint.charge(found)
        if fault in ("hang", "reset"):
            time.sleep(1.2 if fault == "hang" else 0.0)
            self.close_connection = True
            return None
        return self._billed(endpoint, fault, body, found)

    def _billed(self, endpoint: Endpoint, fault: str | None, body: Body, found: Body) -> None:
        if fault == "usage-none":
            found.pop("usage")
        if fault in USAGES:
            found["usage"] = USAGES[fault]
        if fault == "duplicate":
            found["choices"] = found["choices"] * 2
        data = json.dumps(found).encode()
        unreadable = {
            "truncated": data[: len(data) // 2],
            "html-200": b"<html>Log in</html>",
            "null": b'{"choices": [null]}',
        }
        if fault in unreadable:
            return self._send(200, unreadable[fault], {"Content-Type": "application/json"})
        if fault == "drip":
            return self._drip(data)
        with endpoint._lock:
            endpoint.delivered.append(json.dumps([body.get("messages"), body.get("prompt")]))
        return self._send(200, data, {"Content-Type": "application/json"})

    def _drip(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for place in range(0, len(data), 8):
            self.wfile.write(data[place : place + 8])
            self.wfile.flush()
            time.sleep(0.1)

    def _json(self, status: int, body: Body, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.endpoint.seen.append(str(status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(endpoint: Endpoint) -> Iterator[str]:
    """The address of the server."""
    handler = type("Handler", (endpoint.handler or ChatHandler,), {"endpoint": endpoint})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def shelf(folder: Path, address: str, price: bool = True, **more: Any) -> None:
    """A models.yaml and a prices.yaml in the working folder: the model `there`."""
    facts = {"model": "fake-model", "base_url": address, "key": "FAKE_KEY", "price": "there", **more}
    lines = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in facts.items())
    (folder / "models.yaml").write_text(f"as_of: 2026-11-30\nendpoints:\n  there:\n{lines}")
    entry = "entries:\n  there: {new: 1.0, cached: 0.5, out: 4.0}\n" if price else "entries: {}\n"
    (folder / "prices.yaml").write_text(f"as_of: 2026-11-30\nmachine_usd_per_hour: 0.1\n{entry}")
