"""Questions of many clients at one model: one thread works at it, writes answers side by side and takes new ones up
between two steps; closed questions that wait are asked together.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from whichway.contracts import Backend, OpenBatch, Session, WriteRequest, WritesOpenly, WrittenPiece
from whichway.errors import UserError
from whichway.nouns import Reply, Request
from whichway.ship.served_models import ServedModel

TOGETHER = 256  # questions asked in one call
BETWEEN = 16  # closed questions asked between two steps of answers that are written
log = logging.getLogger(__name__)
Key = tuple[object, ...]
News = WrittenPiece | Exception


@dataclass(slots=True, eq=False)
class _Pending:
    """A question under way."""

    served: ServedModel
    query: WriteRequest
    tell: Callable[[News], None]  # called in the event loop
    number: int | None = None  # in the open batch
    dropped: bool = False

    @property
    def key(self) -> Key:
        """Of questions that can be asked in one call."""
        request = self.query.request
        return (self.served.weights.key, request.decoding.mode, request.decoding.channel, bool(request.labels))


@dataclass(slots=True)
class _Writing:
    """Answers that are written by one set of weights."""

    batch: OpenBatch
    session: ExitStack
    pending: dict[int, _Pending] = field(default_factory=dict)


class ContinuousBatcher:
    """Asks models for many clients at once; open as a context of the event loop.

    Args:
        backends: backend name -> backend.
    """

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        self._backends = backends
        self._inbox: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._waiting: list[_Pending] = []  # closed questions
        self._writing: dict[Key, _Writing] = {}
        self._news: list[tuple[_Pending, News]] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self.open = 0  # questions under way

    async def __aenter__(self) -> ContinuousBatcher:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        """What is under way is finished before."""
        self._inbox.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def ask(self, served: ServedModel, requests: Sequence[Request]) -> list[Reply]:
        """Whole answers in the order of the requests.

        Raises:
            Exception: whatever the backend raises.
        """
        return list(await asyncio.gather(*(self._whole(served, WriteRequest(request)) for request in requests)))

    async def _whole(self, served: ServedModel, query: WriteRequest) -> Reply:
        reply = None
        async for piece in self.write(served, query):
            reply = piece.reply
        assert reply is not None
        return reply

    async def write(self, served: ServedModel, query: WriteRequest) -> AsyncIterator[WrittenPiece]:
        """An answer piece by piece; one piece where the model gives it in one. It is given up when nobody reads on.

        Raises:
            Exception: whatever the backend raises.
        """
        news: asyncio.Queue[News] = asyncio.Queue()
        pending = _Pending(served, query, news.put_nowait)
        self.open += 1
        self._inbox.put(pending)
        over = False
        try:
            while not over:
                piece = await news.get()
                over = isinstance(piece, Exception) or piece.reply is not None
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.open -= 1
            pending.dropped = True  # the thread sees it before its next step

    # In the thread

    def _work(self) -> None:
        while self._take():
            try:
                self._answer_closed()
                self._write_on()
            except Exception:  # nothing may end the thread
                log.exception("a batch failed")
            self._deliver()

    def _take(self) -> bool:
        """Take up what arrived; waits for it where nothing is under way. False: it is over."""
        idle = not self._waiting and not self._writing
        if idle and self._closing:
            return False
        while True:
            try:
                pending = self._inbox.get(block=idle)
            except queue.Empty:
                return True
            if pending is None:
                self._closing = True
                return not idle
            idle = False
            self._sort_in(pending)

    def _sort_in(self, pending: _Pending) -> None:
        """Closed questions wait for a call; others join what is written by the same weights."""
        if pending.query.request.labels:
            self._waiting.append(pending)
            return
        try:
            writing = self._writing.get(pending.key) or self._open(pending)
            if writing is None:
                refuse_more(pending.query)
                self._waiting.append(pending)
                return
            pending.number = writing.batch.admit(pending.query)
            writing.pending[pending.number] = pending
        except Exception as error:
            self._news.append((pending, error))
            self._deliver()

    def _open(self, pending: _Pending) -> _Writing | None:
        """A batch to write in; None where this session answers in whole calls only."""
        weights, stack = pending.served.weights, ExitStack()
        backend = self._backends[weights.backend]
        session = stack.enter_context(backend.open(weights, pending.served.adapter))
        if not isinstance(session, WritesOpenly):
            stack.close()
            return None
        writing = self._writing[pending.key] = _Writing(session.open_batch(), stack)
        return writing

    def _answer_closed(self) -> None:
        """Ask questions that wait; a few of each kind only, where others are being written meanwhile."""
        waiting = [pending for pending in self._waiting if not pending.dropped]
        self._waiting = []
        for batch in _batches(waiting):
            most = BETWEEN if self._writing else TOGETHER
            now, later = batch[:most], batch[most:]
            self._waiting += later
            try:
                replies = self._call(now)
            except Exception as error:  # one bad batch must not end the server
                self._news += [(pending, error) for pending in now]
                continue
            self._news += [(pending, _whole_piece(pending.query, r)) for pending, r in zip(now, replies, strict=True)]

    def _call(self, batch: list[_Pending]) -> list[Reply]:
        served, requests = batch[0].served, [pending.query.request for pending in batch]
        with self._backends[served.weights.backend].open(served.weights, served.adapter) as session:
            return _whole_answers(session, requests)

    def _write_on(self) -> None:
        """One step of each set of weights."""
        for key, writing in list(self._writing.items()):
            for number, pending in list(writing.pending.items()):
                if pending.dropped:
                    writing.batch.drop(number)
                    del writing.pending[number]
            try:
                self._step(writing)
            except Exception as error:  # one broken model must not end the others
                log.exception("a step failed")
                self._news += [(pending, error) for pending in writing.pending.values()]
                writing.pending.clear()
            if not writing.pending:
                writing.session.close()
                del self._writing[key]

    def _step(self, writing: _Writing) -> None:
        for piece in writing.batch.step() if writing.pending else ():
            waiting = writing.pending.get(piece.number)
            if waiting is not None:
                self._news.append((waiting, piece))
                if piece.reply is not None:
                    del writing.pending[piece.number]

    def _deliver(self) -> None:
        """Hand out what is new, in one call of the event loop."""
        news, self._news = self._news, []
        if news:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(_tell, news)


def refuse_more(query: WriteRequest) -> None:
    """Refuse what whole calls cannot do.

    Raises:
        UserError: the request wants it.
    """
    if query.schema or query.top_p < 1 or query.plain is not None or query.top_logprobs is not None:
        names = "response_format, top_p, logprobs or a text to go on with"
        raise UserError(f"this model answers in whole calls, without {names}")


def _whole_answers(session: Session, requests: list[Request]) -> list[Reply]:
    return session.choose(requests) if requests[0].labels else session.generate(requests)


def _whole_piece(query: WriteRequest, reply: Reply) -> WrittenPiece:
    """A whole answer, cut at the first of the stop texts."""
    places = [place for stop in query.stops if stop and (place := reply.text.find(stop)) >= 0]
    if places:
        reply = replace(reply, text=reply.text[: min(places)], finish="stop")
    return WrittenPiece(0, reply.text, reply=reply)


def _tell(news: list[tuple[_Pending, News]]) -> None:
    for pending, piece in news:
        if not pending.dropped:
            pending.tell(piece)


def _batches(pending: list[_Pending]) -> Iterator[list[_Pending]]:
    """Waiting questions by weights and by how they are read, in order of arrival."""
    groups: dict[Key, list[_Pending]] = {}
    for waiting in pending:
        groups.setdefault(waiting.key, []).append(waiting)
    yield from groups.values()
