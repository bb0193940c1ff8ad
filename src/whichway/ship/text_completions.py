"""`POST /v1/completions`: a candidate answers each prompt as a row; `base` goes on with the text as it is.

With `echo` and `logprobs` the prompt's own tokens come back with their log-probabilities, as lm-evaluation-harness
asks for them. Prompts may be texts or token ids.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from whichway.contracts import TokenLogprob, WriteRequest, WrittenPiece
from whichway.nouns import Decoding, Reply, Request
from whichway.ship import protocol
from whichway.ship.batching import ContinuousBatcher
from whichway.ship.chat_responses import answered, usage
from whichway.ship.chat_routes import (
    ChatRoutes,
    first_piece,
    known_model,
    refuse_broken,
    server_sent,
    shown_errors,
    written,
)
from whichway.ship.protocol import MOST, Chat, Refused, WritingBody
from whichway.ship.served_models import ServedModel

if TYPE_CHECKING:
    from starlette.requests import Request as Call
    from starlette.responses import Response

MAX_TOKENS = 16  # when the client names no limit, as OpenAI has it
PROMPTS = 256  # of one request


class Completion(WritingBody):
    """The body of `POST /v1/completions`."""

    prompt: str | list[int] | list[str] | list[list[int]]
    max_tokens: int | None = Field(None, ge=0)
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool = False
    # accepted because clients send them by habit; they change nothing here
    suffix: None = None
    best_of: Literal[1] | None = None

    @property
    def prompts(self) -> list[str | tuple[int, ...]]:
        """Each prompt by itself."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if self.prompt and isinstance(self.prompt[0], int):
            return [tuple(int(token) for token in self.prompt)]
        return [prompt if isinstance(prompt, str) else tuple(prompt) for prompt in self.prompt]  # type: ignore[arg-type]


class CompletionRoutes:
    """The handler and what it needs.

    Args:
        models: model id -> what it stands for.
        batcher: asks them.
        chats: answers rows.
    """

    def __init__(self, models: Mapping[str, ServedModel], batcher: ContinuousBatcher, chats: ChatRoutes) -> None:
        self._models, self._batcher, self._chats = models, batcher, chats

    async def complete(self, call: Call) -> Response:
        """Answer each prompt."""
        from starlette.responses import JSONResponse, StreamingResponse

        query = parse_completion(await call.body())
        served = known_model(self._models, query.model)
        call.state.model = query.model
        head = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "created": int(time.time()),
                "model": query.model}  # fmt: skip
        if served.candidate is not None:
            replies = await self._rows(query, served)
            call.state.replies = replies
            body = {**head, "choices": [_choice(query, n, _whole_piece(r)) for n, r in enumerate(replies)]}
            if not query.stream:
                return JSONResponse({**body, "usage": usage(replies)})
            return StreamingResponse(server_sent(_whole(query, body, replies)), media_type="text/event-stream")
        requests = [request for prompt in query.prompts for request in plain_requests(query, prompt)]
        pieces = written(self._batcher, served, requests)
        if query.stream:
            first = await first_piece(pieces)
            return StreamingResponse(
                server_sent(_streamed(call, query, head, first, pieces)), media_type="text/event-stream"
            )
        whole: list[list[WrittenPiece]] = [[] for _ in requests]
        with shown_errors():
            async for index, piece in pieces:
                whole[index].append(piece)
        joined = [_joined(parts) for parts in whole]
        replies = [piece.reply for piece in joined if piece.reply is not None]
        refuse_broken(replies)
        call.state.replies = replies
        choices = [_choice(query, index, piece) for index, piece in enumerate(joined)]
        return JSONResponse({**head, "choices": choices, "usage": usage(replies)})

    async def _rows(self, query: Completion, served: ServedModel) -> list[Reply]:
        """A candidate's answers: each prompt is a row."""
        if query.echo or query.logprobs is not None:
            raise Refused(f"'{query.model}' brings its own prompt: no echo, no logprobs here; ask 'base'", "echo")
        replies: list[Reply] = []
        for prompt in query.prompts:
            if not isinstance(prompt, str):
                raise Refused(f"'{query.model}' reads rows as text; send texts, no token ids", "prompt")
            facts = {name: getattr(query, name) for name in ("n", "stop", "temperature", "top_p", "seed")}
            row = {"messages": [{"role": "user", "content": prompt}], "max_tokens": query.max_tokens or None}
            chat = Chat.model_validate({"model": query.model, **facts, **row})
            replies += await self._chats.whole_replies(chat, served)
        return replies


def parse_completion(body: bytes) -> Completion:
    """The client's body, checked.

    Raises:
        Refused: no JSON, an unknown field ("did you mean"), a value that does not fit, or too many prompts.
    """
    query = protocol.checked(Completion, body)
    if not 1 <= len(query.prompts) <= PROMPTS:
        raise Refused(f"prompt: 1 to {PROMPTS} of them", "prompt")
    return query


def plain_requests(query: Completion, prompt: str | tuple[int, ...]) -> list[WriteRequest]:
    """The `n` texts that go on with one prompt."""
    decoding = Decoding(
        "generate", MAX_TOKENS if query.max_tokens is None else query.max_tokens, query.temperature or 0.0
    )
    first = (query.seed or 0) * MOST
    return [
        WriteRequest(
            Request((), decoding, repeat=first + k if decoding.samples else 0), stops=query.stops, top_p=query.top_p,
            top_logprobs=query.logprobs, plain=prompt, reads_prompt=query.echo,
        )
        for k in range(query.n)
    ]


def _joined(parts: Sequence[WrittenPiece]) -> WrittenPiece:
    tokens = tuple(itertools.chain.from_iterable(part.tokens for part in parts))
    prompt = next((part.prompt for part in parts if part.prompt), ())
    return WrittenPiece(0, "".join(part.text for part in parts), tokens, parts[-1].reply, prompt)


def _whole_piece(reply: Reply) -> WrittenPiece:
    return WrittenPiece(0, reply.text, reply=reply)


def _choice(query: Completion, index: int, piece: WrittenPiece) -> dict[str, Any]:
    finish, text = None, piece.text
    if piece.reply is not None:
        text, finish = answered(Reply(text, finish=piece.reply.finish), query.stops)
    tokens = (*piece.prompt, *piece.tokens)
    echoed = "".join(token.text for token in piece.prompt)
    logprobs = None if query.logprobs is None else _logprobs(tokens, bool(piece.prompt), query.logprobs)
    return {"index": index, "text": echoed + text, "logprobs": logprobs, "finish_reason": finish}


def _logprobs(tokens: Sequence[TokenLogprob], echoed: bool, top: int) -> dict[str, Any]:
    """As OpenAI's completions have them; nothing is known of the first token of a prompt."""
    sizes = [len(token.text) for token in tokens]
    unknown = 1 if echoed else 0
    likeliest = [dict([*token.likeliest[:top], (token.text, token.logprob)]) for token in tokens[unknown:]]
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [None] * unknown + [token.logprob for token in tokens[unknown:]],
        "top_logprobs": [None] * unknown + likeliest,
        "text_offset": [0, *itertools.accumulate(sizes)][: len(sizes)],
    }


async def _streamed(
    call: Call, query: Completion, head: Mapping[str, Any], first: tuple[int, WrittenPiece], pieces: Any
) -> AsyncIterator[dict[str, Any]]:
    replies: list[Reply] = []
    yield {**head, "choices": [_choice(query, *first)]}
    replies += [first[1].reply] if first[1].reply is not None else []
    async for index, piece in pieces:
        if piece.reply is not None:
            refuse_broken([piece.reply])
            replies.append(piece.reply)
        yield {**head, "choices": [_choice(query, index, piece)]}
    call.state.replies = replies
    if query.wants_usage:  # unlike a chat's, its other chunks have no "usage": the published schema has no null there
        yield {**head, "choices": [], "usage": usage(replies)}


async def _whole(query: Completion, body: dict[str, Any], replies: Sequence[Reply]) -> AsyncIterator[dict[str, Any]]:
    """Answers that are there already, as a stream's chunks."""
    yield body
    if query.wants_usage:
        yield {**body, "choices": [], "usage": usage(replies)}
