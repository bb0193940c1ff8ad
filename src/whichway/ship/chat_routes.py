"""`POST /v1/chat/completions`: whole, or streamed while it is written."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from whichway.contracts import TokenLogprob, WriteRequest, WrittenPiece
from whichway.errors import EndpointError, UserError, WhichwayError, did_you_mean
from whichway.nouns import Reply
from whichway.prompts.deferral import after
from whichway.prompts.nearest import Retrieve
from whichway.ship import protocol
from whichway.ship.batching import ContinuousBatcher
from whichway.ship.chat_responses import ChatChunks, answered, completion, label_tokens
from whichway.ship.feedback.feedback_log import FeedbackLog
from whichway.ship.protocol import Chat, Refused
from whichway.ship.served_models import ServedModel

if TYPE_CHECKING:
    from starlette.requests import Request as Call
    from starlette.responses import Response

Tokens = tuple[TokenLogprob, ...]
IndexedPiece = tuple[int, WrittenPiece]


class ChatRoutes:
    """The handler and what it needs.

    Args:
        models: model id -> what it stands for.
        batcher: asks them.
        retrieve: chooses the shots of rows.
        known: remembers answers, so that feedback to them can come; None: there is no feedback.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        batcher: ContinuousBatcher,
        retrieve: Retrieve,
        known: FeedbackLog | None = None,
    ) -> None:
        self._models, self._batcher, self._retrieve, self._log = models, batcher, retrieve, known

    async def chat(self, call: Call) -> Response:
        """Answer a chat."""
        from starlette.responses import JSONResponse

        chat = protocol.parse(await call.body())
        served = known_model(self._models, chat.model)
        name = f"chatcmpl-{uuid.uuid4().hex}"
        head: dict[str, Any] = {"id": name, "created": int(time.time()), "model": chat.model}
        call.state.model = chat.model
        if not protocol.writes(chat, served):
            protocol.refuse_of_choices(chat, served)
            replies = await self.answers(chat, served)
            head |= served.fingerprint(replies)
            self._note(call, name, chat, replies)
            tokens = [label_tokens(reply, chat.top_logprobs or 0) for reply in replies]
            if not chat.stream:
                return JSONResponse(completion(chat, replies, tokens, head))
            return _events(_whole(chat, replies, tokens, ChatChunks(chat, head)))
        query = await self._rendered(protocol.write_requests, chat, served)
        pieces = written(self._batcher, served, query)
        if not chat.stream:
            replies, tokens = await whole_answers(pieces, len(query))
            self._note(call, name, chat, replies)
            return JSONResponse(completion(chat, replies, tokens, head))
        first = await first_piece(pieces)
        return _events(self._streamed(call, chat, first, pieces, head))

    async def whole_replies(self, chat: Chat, served: ServedModel) -> list[Reply]:
        """The `n` answers, whole, whether they are chosen or written.

        Raises:
            Refused: one cannot be given.
        """
        if not protocol.writes(chat, served):
            return await self.answers(chat, served)
        query = await self._rendered(protocol.write_requests, chat, served)
        return (await whole_answers(written(self._batcher, served, query), len(query)))[0]

    async def answers(self, chat: Chat, served: ServedModel) -> list[Reply]:
        """The `n` answers, whole; those of a cascade that are not sure enough are its next stage's.

        Raises:
            Refused: one cannot be given.
        """
        requests = await self._rendered(protocol.requests, chat, served)
        with shown_errors():
            replies = await self._batcher.ask(served, requests)
        refuse_broken(replies)
        replies = protocol.answers(chat, served, replies)
        if served.next_stage is None or not served.unsure(replies):
            return replies
        others = await self.answers(chat, served.next_stage)  # labels are never drawn: all answers are alike
        return [after(reply, other) for reply, other in zip(replies, others, strict=True)]

    async def _rendered(self, render: Any, chat: Chat, served: ServedModel) -> Any:
        """The questions; an encoder that chooses shots works beside the other calls."""
        if served.candidate is None or served.candidate.prompt.encoder is None:
            return render(chat, served)
        return await asyncio.to_thread(render, chat, served, self._retrieve)

    async def _streamed(
        self,
        call: Call,
        chat: Chat,
        first: IndexedPiece,
        pieces: AsyncIterator[IndexedPiece],
        head: Mapping[str, Any],
    ) -> AsyncIterator[dict[str, Any]]:
        chunks, replies = ChatChunks(chat, head), dict[int, Reply]()
        for index in range(chat.n):
            yield chunks.first(index)
        async for index, piece in _with_first(first, pieces):
            if piece.reply is not None and piece.reply.finish == "error":
                yield Refused(piece.reply.error, status=500).body()
                return
            if piece.text or piece.tokens:
                yield chunks.text(index, piece.text, piece.tokens)
            if piece.reply is not None:
                replies[index] = piece.reply
                yield chunks.last(index, answered(piece.reply, ())[1])
        ordered = [replies[index] for index in sorted(replies)]
        self._note(call, head["id"], chat, ordered)
        for chunk in chunks.usage(ordered):
            yield chunk

    def _note(self, call: Call, name: str, chat: Chat, replies: Sequence[Reply]) -> None:
        """Count an answer, and remember it for feedback."""
        call.state.replies = replies
        if self._log is not None:
            served = self._models[chat.model]
            row = None if served.candidate is None else protocol.row_of(chat, served)
            self._log.note(name, chat.model, served, row, [answered(reply, chat.stops)[0] for reply in replies])


def known_model(models: Mapping[str, ServedModel], name: str) -> ServedModel:
    """What a model id stands for.

    Raises:
        Refused: there is none.
    """
    if name not in models:
        raise Refused(f"there is no model '{name}'.{did_you_mean(name, models)}", "model", 404, "model_not_found")
    return models[name]


@contextmanager
def shown_errors() -> Iterator[None]:
    """What goes wrong at a model, as OpenAI's clients read it."""
    try:
        yield
    except EndpointError as error:
        raise Refused(str(error), status=502) from error
    except UserError as error:
        raise Refused(str(error)) from error
    except WhichwayError as error:
        raise Refused(str(error), status=500) from error


async def written(
    batcher: ContinuousBatcher, served: ServedModel, query: Sequence[WriteRequest]
) -> AsyncIterator[IndexedPiece]:
    """The pieces of several answers as they come, each with the number of its answer."""
    news: asyncio.Queue[tuple[int, WrittenPiece | Exception]] = asyncio.Queue()

    async def follow(index: int, one: WriteRequest) -> None:
        try:
            async for piece in batcher.write(served, one):
                news.put_nowait((index, piece))
        except Exception as error:
            news.put_nowait((index, error))

    tasks = [asyncio.create_task(follow(index, one)) for index, one in enumerate(query)]
    left = len(tasks)
    try:
        while left:
            index, piece = await news.get()
            if isinstance(piece, Exception):
                raise piece
            left -= piece.reply is not None
            yield index, piece
    finally:
        for task in tasks:
            task.cancel()


async def first_piece(pieces: AsyncIterator[IndexedPiece]) -> IndexedPiece:
    """The first piece; what can be refused is refused before a stream begins.

    Raises:
        Refused: the answer cannot be written.
    """
    with shown_errors():
        first = await anext(pieces)
    refuse_broken([first[1].reply] if first[1].reply is not None else [])
    return first


async def whole_answers(pieces: AsyncIterator[IndexedPiece], count: int) -> tuple[list[Reply], list[Tokens]]:
    """The replies and their tokens, once all are written.

    Raises:
        Refused: one cannot be written.
    """
    replies: list[Reply | None] = [None] * count
    tokens: list[Tokens] = [()] * count
    with shown_errors():
        async for index, piece in pieces:
            tokens[index] += piece.tokens
            replies[index] = piece.reply
    complete = [reply for reply in replies if reply is not None]
    refuse_broken(complete)
    return complete, tokens


def refuse_broken(replies: Sequence[Reply]) -> None:
    """Refuse where a row could not be answered (it is too long, most often).

    Raises:
        Refused: one could not.
    """
    broken = next((reply.error for reply in replies if reply.finish == "error"), None)
    if broken is not None:
        raise Refused(broken, "messages")


async def _with_first(first: IndexedPiece, pieces: AsyncIterator[IndexedPiece]) -> AsyncIterator[IndexedPiece]:
    yield first
    async for piece in pieces:
        yield piece


async def _whole(
    chat: Chat, replies: Sequence[Reply], tokens: Sequence[Tokens], chunks: ChatChunks
) -> AsyncIterator[dict[str, Any]]:
    """Answers that are there already, as a stream's chunks."""
    for index, (reply, noted) in enumerate(zip(replies, tokens, strict=True)):
        text, finish = answered(reply, chat.stops)
        yield chunks.first(index)
        yield chunks.text(index, text, noted)
        yield chunks.last(index, finish)
    for chunk in chunks.usage(replies):
        yield chunk


def _events(chunks: AsyncIterator[dict[str, Any]]) -> Response:
    from starlette.responses import StreamingResponse

    return StreamingResponse(server_sent(chunks), media_type="text/event-stream")


async def server_sent(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
    """Chunks as server-sent events; an error ends the stream in OpenAI's shape."""
    try:
        async for chunk in chunks:
            yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
    except Exception as error:
        message = str(error) if isinstance(error, WhichwayError | Refused) else type(error).__name__
        yield f"data: {json.dumps(Refused(message, status=500).body())}\n\n"
        return
    yield "data: [DONE]\n\n"
