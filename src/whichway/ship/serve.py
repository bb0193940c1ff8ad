"""Serve a run's candidates over OpenAI's protocol: each model id applies its candidate's prompt.

`GET /health`, `GET /v1/models`, `GET /metrics`, `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings`; with
a folder `/v1/files`, `/v1/fine_tuning/jobs`, `/v1/feedback`. A client that sends a row to `winner` gets the answer that
the contest measured; `base` answers the client's own messages.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.contracts import Backend, KeepsSessions
from whichway.prompts.nearest import retriever_of
from whichway.runs.run import Run
from whichway.ship.access import AccessControl, AccessLimits
from whichway.ship.batching import ContinuousBatcher
from whichway.ship.chat_routes import ChatRoutes, known_model
from whichway.ship.embeddings_route import EmbeddingRoute
from whichway.ship.feedback.drift import reference_of
from whichway.ship.feedback.feedback_log import FeedbackLog
from whichway.ship.feedback.feedback_routes import FeedbackRoutes
from whichway.ship.fine_tuning.job_routes import FineTuning
from whichway.ship.fine_tuning.job_store import JobStore
from whichway.ship.protocol import Refused
from whichway.ship.served_models import ServedModel, names
from whichway.ship.serving_metrics import CountRequests, ServingMetrics
from whichway.ship.text_completions import CompletionRoutes

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request as Call
    from starlette.responses import Response
    from starlette.routing import Route

SESSIONS = 8  # sets of weights on one base that stay ready


def app(
    models: Mapping[str, ServedModel],
    backends: Mapping[str, Backend],
    limits: AccessLimits | None = None,
    folder: Path | None = None,
    run: Run | None = None,
) -> Starlette:
    """The server as an ASGI application.

    Args:
        models: model id -> what it stands for; those that are fine-tuned here come along.
        backends: backend name -> backend.
        limits: who may ask, and how much may be sent.
        folder: for uploaded files, fine-tuning jobs and feedback; None: there are none.
        run: whose candidates are served, with whose rows what is asked is compared.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware

    for backend in backends.values():
        if isinstance(backend, KeepsSessions):
            backend.sessions = SESSIONS
    batcher, known = ContinuousBatcher(backends), dict(models)
    store = None if folder is None else JobStore(folder)
    fine_tuning = None if store is None else FineTuning(store, backends, known, batcher)
    metrics = ServingMetrics(lambda: batcher.open, lambda: [] if store is None else [j["status"] for j in store.jobs()])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(batcher)
            if fine_tuning is not None:
                await stack.enter_async_context(fine_tuning)
            yield

    given_answers = None if folder is None else _feedback(folder, run)
    chats = ChatRoutes(known, batcher, retriever_of(backends), given_answers)
    return Starlette(
        routes=[
            *_routes(known, chats, batcher, backends, metrics),
            *([] if fine_tuning is None else fine_tuning.routes()),
            *([] if given_answers is None else FeedbackRoutes(given_answers).routes()),
        ],
        middleware=[Middleware(CountRequests, metrics), Middleware(AccessControl, limits or AccessLimits())],
        exception_handlers={Refused: _refused, HTTPException: _unknown, Exception: _broken},
        lifespan=lifespan,
    )


def _feedback(folder: Path, run: Run | None) -> FeedbackLog:
    return FeedbackLog(folder) if run is None else FeedbackLog(folder, str(run.path), reference_of(run))


def _routes(
    models: Mapping[str, ServedModel],
    chats: ChatRoutes,
    batcher: ContinuousBatcher,
    backends: Mapping[str, Backend],
    metrics: ServingMetrics,
) -> list[Route]:
    from starlette.routing import Route

    embeddings = EmbeddingRoute(models, backends)
    listed = ModelRoutes(models, tuple(embeddings.encoders))
    return [
        Route("/health", _health),
        Route("/metrics", metrics.metrics),
        Route("/v1/models", listed.list_models),
        Route("/v1/models/{model:path}", listed.model),
        Route("/v1/chat/completions", chats.chat, methods=["POST"]),
        Route("/v1/completions", CompletionRoutes(models, batcher, chats).complete, methods=["POST"]),
        Route("/v1/embeddings", embeddings.embed, methods=["POST"]),
    ]


async def _refused(call: Call, error: Exception) -> Response:
    from starlette.responses import JSONResponse

    assert isinstance(error, Refused)
    return JSONResponse(error.body(), error.status)


async def _unknown(call: Call, error: Exception) -> Response:
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse

    assert isinstance(error, HTTPException)
    paths = dict.fromkeys(route.path.replace(":path", "") for route in call.app.routes)
    known = f". Served here: {', '.join(paths)}" if error.status_code == 404 else ""
    refusal = Refused(f"{call.method} {call.url.path}: {error.detail}{known}", status=error.status_code)
    return JSONResponse(refusal.body(), error.status_code, error.headers)


async def _broken(call: Call, error: Exception) -> Response:
    """What nobody foresaw, in OpenAI's shape; the log has its trace."""
    from starlette.responses import JSONResponse

    return JSONResponse(Refused(f"the server failed: {type(error).__name__}", status=500).body(), 500)


async def _health(call: Call) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse({"status": "ok"})


class ModelRoutes:
    """What can be asked.

    Args:
        models: model id -> what it stands for.
        encoders: ids of sentence encoders.
    """

    def __init__(self, models: Mapping[str, ServedModel], encoders: tuple[str, ...]) -> None:
        self._models, self._encoders, self._born = models, encoders, int(time.time())

    async def list_models(self, call: Call) -> Response:
        """All model ids."""
        from starlette.responses import JSONResponse

        lines = [self._facts(name, text) for name, text in (*names(self._models), *self._encoder_names())]
        return JSONResponse({"object": "list", "data": lines})

    async def model(self, call: Call) -> Response:
        """One model id."""
        from starlette.responses import JSONResponse

        name = call.path_params["model"]
        descriptions = dict((*names(self._models), *self._encoder_names()))
        if name not in descriptions:
            known_model(self._models, name)
        return JSONResponse(self._facts(name, descriptions[name]))

    def _encoder_names(self) -> list[tuple[str, str]]:
        return [(name, "sentence encoder, for embeddings") for name in self._encoders if name not in self._models]

    def _facts(self, name: str, description: str) -> dict[str, Any]:
        facts = {"object": "model", "created": self._born, "owned_by": "whichway"}
        return {"id": name, **facts, "description": description}
