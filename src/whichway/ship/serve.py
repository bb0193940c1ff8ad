"""Serve a run's candidates over OpenAI's chat protocol: each model id applies its candidate's prompt.

`GET /health`, `GET /v1/models`, `POST /v1/chat/completions`. A client that sends a row to `winner` gets the answer that
the contest measured; `base` answers the client's own messages.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from whichway.contracts import Backend
from whichway.errors import WhichwayError, did_you_mean
from whichway.nouns import Reply, Request
from whichway.prompts.nearest import Retrieve, retriever_of
from whichway.ship.batching import MicroBatcher
from whichway.ship.protocol import Chat, Refused, answers, chunks, completion, parse, requests
from whichway.ship.served_models import ServedModel, names

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request as Call
    from starlette.responses import Response

LARGEST = 1_000_000  # bytes of a body


def app(offers: Mapping[str, ServedModel], backends: Mapping[str, Backend], api_key: str | None = None) -> Starlette:
    """The server as an ASGI application.

    Args:
        offers: model id -> what it stands for.
        backends: backend name -> backend.
        api_key: wanted as a bearer token when given.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    server = _Server(offers, MicroBatcher(backends), retriever_of(backends), api_key)

    async def refused(call: Call, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return JSONResponse(error.body(), error.status)

    async def unknown(call: Call, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        refusal = Refused(f"{call.method} {call.url.path}: {error.detail}", status=error.status_code)
        return JSONResponse(refusal.body(), error.status_code)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with server.batcher:
            yield

    return Starlette(
        routes=[
            Route("/health", server.health),
            Route("/v1/models", server.models),
            Route("/v1/chat/completions", server.chat, methods=["POST"]),
        ],
        exception_handlers={Refused: refused, HTTPException: unknown},
        lifespan=lifespan,
    )


class _Server:
    def __init__(
        self, offers: Mapping[str, ServedModel], batcher: MicroBatcher, retrieve: Retrieve, api_key: str | None
    ) -> None:
        self.offers, self.batcher, self._key, self._born = offers, batcher, api_key, int(time.time())
        self._retrieve = retrieve

    async def health(self, call: Call) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse({"status": "ok"})

    async def models(self, call: Call) -> Response:
        from starlette.responses import JSONResponse

        self._admit(call)
        facts = {"object": "model", "created": self._born, "owned_by": "whichway"}
        listed = [{"id": name, **facts, "description": description} for name, description in names(self.offers)]
        return JSONResponse({"object": "list", "data": listed})

    async def chat(self, call: Call) -> Response:
        from starlette.responses import JSONResponse, StreamingResponse

        self._admit(call)
        chat = parse(await _body(call))
        offer = self._offer(chat.model)
        replies = await self._replies(offer, chat)
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": chat.model}
        if not chat.stream:
            return JSONResponse(completion(chat, replies, head))
        return StreamingResponse(_events(chunks(chat, replies, head)), media_type="text/event-stream")

    def _admit(self, call: Call) -> None:
        if self._key is None:
            return
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(token.encode(), self._key.encode()):
            raise Refused("a bearer token is wanted, and this is not it", status=401, code="invalid_api_key")

    def _offer(self, name: str) -> ServedModel:
        if name not in self.offers:
            message = f"there is no model '{name}'.{did_you_mean(name, self.offers)}"
            raise Refused(message, "model", 404, "model_not_found")
        return self.offers[name]

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


async def _body(call: Call) -> bytes:
    parts, size = [], 0
    async for part in call.stream():
        size += len(part)
        if size > LARGEST:
            raise Refused(f"the body is larger than {LARGEST:,} bytes", status=413)
        parts.append(part)
    return b"".join(parts)


async def _events(lines: list[dict[str, Any]]) -> AsyncIterator[str]:
    for line in lines:
        yield f"data: {json.dumps(line, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"
