"""`GET /metrics` for Prometheus: requests, waits, tokens, and what is under way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request as Call
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ServingMetrics:
    """What is counted.

    Args:
        under_way: how many questions are being answered.
        jobs: the status of each fine-tuning job.
    """

    def __init__(self, under_way: Callable[[], int], jobs: Callable[[], Iterable[str]]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "whichway_requests", "Requests answered.", ["path", "model", "status"], registry=registry
        )
        self.seconds = Histogram(
            "whichway_request_seconds", "Seconds from a request to the end of its answer.", ["path"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.first = Histogram(
            "whichway_first_byte_seconds", "Seconds from a request to the first byte of its answer.", ["path"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.tokens = Counter("whichway_tokens", "Tokens of answered requests.", ["model", "kind"], registry=registry)
        self.open = Gauge("whichway_open_requests", "Requests that are being answered.", registry=registry)
        questions = Gauge("whichway_open_questions", "Questions that a model is working at.", registry=registry)
        questions.set_function(under_way)
        self._states = Gauge("whichway_fine_tuning_jobs", "Fine-tuning jobs.", ["status"], registry=registry)
        self._jobs = jobs

    async def metrics(self, call: Call) -> Response:
        """The numbers as text."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
        from starlette.responses import Response

        self._states.clear()
        for status, count in Counter(self._jobs()).items():
            self._states.labels(status).set(count)
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    def note(self, path: str, status: int, state: dict[str, Any]) -> None:
        """Count an answered request; `state` is what its handler noted."""
        model = state.get("model", "")
        self.requests.labels(path, model, str(status)).inc()
        for reply in state.get("replies", ()):
            counts = {"prompt": reply.tokens_in, "cached": reply.tokens_cached, "completion": reply.tokens_out}
            for kind, count in counts.items():
                self.tokens.labels(model, kind).inc(count)


class CountRequests:
    """ASGI middleware that counts.

    Args:
        app: what it counts the requests of.
        metrics: where.
    """

    def __init__(self, app: ASGIApp, metrics: ServingMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, start, status, started = _route(scope["path"]), time.perf_counter(), 500, False

        async def noted(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not started:
                started = True
                self._metrics.first.labels(path).observe(time.perf_counter() - start)
            await send(message)

        with self._metrics.open.track_inprogress():
            try:
                await self._app(scope, receive, noted)
            finally:
                self._metrics.seconds.labels(path).observe(time.perf_counter() - start)
                self._metrics.note(path, status, scope.get("state", {}))


def _route(path: str) -> str:
    """A path without ids, so that clients cannot make up new series."""
    known = ("/health", "/metrics", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models",
             "/v1/files", "/v1/fine_tuning/jobs", "/v1/feedback")  # fmt: skip
    return next((route for route in known if path == route or path.startswith(f"{route}/")), "other")
