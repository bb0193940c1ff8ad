"""Serve a run's candidates over OpenAI's protocol: each model id applies its candidate's prompt.

`GET /health`, `GET /v1/models`, `POST /v1/chat/completions`; with a folder `/v1/files` and `/v1/fine_tuning/jobs`. A
client that sends a row to `winner` gets the answer that the contest measured; `base` answers the client's own messages.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.contracts import Backend
from whichway.errors import WhichwayError, did_you_mean
from whichway.nouns import Reply, Request
from whichway.prompts.nearest import Retrieve, retriever_of
from whichway.ship.access import AccessControl, AccessLimits
from whichway.ship.batching import MicroBatcher
from whichway.ship.fine_tuning.job_routes import FineTuning
from whichway.ship.fine_tuning.job_store import JobStore
from whichway.ship.protocol import Chat, Refused, answers, chunks, completion, parse, requests
from whichway.ship.served_models import ServedModel, names

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request as Call
    from starlette.responses import Response


def app(
    models: Mapping[str, ServedModel],
    backends: Mapping[str, Backend],
    limits: AccessLimits | None = None,
    folder: Path | None = None,
) -> Starlette:
    """The server as an ASGI application.

    Args:
        models: model id -> what it stands for; those that are fine-tuned here come along.
        backends: backend name -> backend.
        limits: who may ask, and how much may be sent.
        folder: for uploaded files and fine-tuning jobs; None: models cannot be fine-tuned here.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    batcher, known = MicroBatcher(backends), dict(models)
    server = _Server(known, batcher, retriever_of(backends))
    fine_tuning = None if folder is None else FineTuning(JobStore(folder), backends, known, batcher)

    async def refused(call: Call, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return JSONResponse(error.body(), error.status)

    async def unknown(call: Call, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        refusal = Refused(f"{call.method} {call.url.path}: {error.detail}", status=error.status_code)
        return JSONResponse(refusal.body(), error.status_code)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with batcher:
            if fine_tuning is None:
                yield
            else:
                async with fine_tuning:
                    yield

    return Starlette(
        routes=[
            Route("/health", server.health),
            Route("/v1/models", server.list_models),
            Route("/v1/models/{model:path}", server.model),
            Route("/v1/chat/completions", server.chat, methods=["POST"]),
            *([] if fine_tuning is None else fine_tuning.routes()),
        ],
        middleware=[Middleware(AccessControl, limits or AccessLimits())],
        exception_handlers={Refused: refused, HTTPException: unknown},
        lifespan=lifespan,
    )


class _Server:
    def __init__(self, models: Mapping[str, ServedModel], batcher: MicroBatcher, retrieve: Retrieve) -> None:
        self.models, self.batcher, self._born = models, batcher, int(time.time())
        self._retrieve = retrieve

    async def health(self, call: Call) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse({"status": "ok"})

    async def list_models(self, call: Call) -> Response:
        from starlette.responses import JSONResponse

        listed = [self._facts(name, description) for name, description in names(self.models)]
        return JSONResponse({"object": "list", "data": listed})

    async def model(self, call: Call) -> Response:
        from starlette.responses import JSONResponse

        name = call.path_params["model"]
        self._served(name)
        return JSONResponse(self._facts(name, dict(names(self.models))[name]))

    def _facts(self, name: str, description: str) -> dict[str, Any]:
        facts = {"object": "model", "created": self._born, "owned_by": "whichway"}
        return {"id": name, **facts, "description": description}

    async def chat(self, call: Call) -> Response:
        from starlette.responses import JSONResponse, StreamingResponse

        chat = parse(await call.body())
        offer = self._served(chat.model)
        replies = await self._replies(offer, chat)
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": chat.model}
        if not chat.stream:
            return JSONResponse(completion(chat, replies, head))
        return StreamingResponse(_events(chunks(chat, replies, head)), media_type="text/event-stream")

    def _served(self, name: str) -> ServedModel:
        if name not in self.models:
            message = f"there is no model '{name}'.{did_you_mean(name, self.models)}"
            raise Refused(message, "model", 404, "model_not_found")
        return self.models[name]

    async def _replies(self, offer: ServedModel, chat: Chat) -> list[Reply]:
        try:
            replies = await self.batcher.ask(offer, await self._requests(offer, chat))
        except WhichwayError as error:
            raise Refused(str(error), status=500) from error
        broken = next((r.error for r in replies if r.finish == "error"), None)
        if broken is not None:
            raise Refused(broken, "messages")
        return answers(chat, offer, replies)

    async def _requests(self, offer: ServedModel, chat: Chat) -> list[Request]:
        """The questions; an encoder that chooses shots works beside the other calls."""
        if offer.candidate is None or offer.candidate.prompt.encoder is None:
            return requests(chat, offer)
        return await asyncio.to_thread(requests, chat, offer, self._retrieve)


async def _events(lines: list[dict[str, Any]]) -> AsyncIterator[str]:
    for line in lines:
        yield f"data: {json.dumps(line, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"
