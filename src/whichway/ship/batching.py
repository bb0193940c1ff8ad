"""Questions that wait are asked together: one thread works at the model, batch by batch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from whichway.contracts import Backend
from whichway.nouns import Reply, Request
from whichway.ship.served_models import ServedModel

BATCH = 256  # questions asked in one call


@dataclass(slots=True)
class _Pending:
    served: ServedModel
    request: Request
    answer: asyncio.Future[Reply]

    @property
    def key(self) -> tuple[object, ...]:
        decoding = self.request.decoding
        return (self.served.weights.key, decoding.mode, decoding.channel, bool(self.request.labels))


class MicroBatcher:
    """Takes questions while the model is at work, and asks all that wait for the same weights at once.

    Args:
        backends: backend name -> backend.
    """

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        self._backends = backends
        self._waiting: asyncio.Queue[_Pending] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> MicroBatcher:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._worker is not None:
            self._worker.cancel()
            with suppress(asyncio.CancelledError):
                await self._worker

    async def ask(self, served: ServedModel, requests: list[Request]) -> list[Reply]:
        """Answers in the order of the requests.

        Raises:
            Exception: whatever the backend raises.
        """
        loop = asyncio.get_running_loop()
        pending = [_Pending(served, request, loop.create_future()) for request in requests]
        for waiting in pending:
            self._waiting.put_nowait(waiting)
        return list(await asyncio.gather(*(waiting.answer for waiting in pending)))

    async def _work(self) -> None:
        while True:
            pending = [await self._waiting.get()]
            while not self._waiting.empty() and len(pending) < BATCH:
                pending.append(self._waiting.get_nowait())
            for batch in _batches(pending):
                await self._serve(batch)

    async def _serve(self, batch: list[_Pending]) -> None:
        try:
            replies = await asyncio.to_thread(self._answer, batch)
        except Exception as error:  # one bad batch must not end the server
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        for waiting, reply in zip(batch, replies, strict=True):
            if not waiting.answer.done():  # the client may have gone
                waiting.answer.set_result(reply)

    def _answer(self, batch: list[_Pending]) -> list[Reply]:
        served, closed = batch[0].served, bool(batch[0].request.labels)
        with self._backends[served.weights.backend].open(served.weights, served.adapter) as session:
            requests = [waiting.request for waiting in batch]
            return session.choose(requests) if closed else session.generate(requests)


def _batches(pending: list[_Pending]) -> Iterator[list[_Pending]]:
    """Waiting requests by weights and by how they are read, in order of arrival."""
    groups: dict[tuple[object, ...], list[_Pending]] = {}
    for waiting in pending:
        groups.setdefault(waiting.key, []).append(waiting)
    yield from groups.values()
