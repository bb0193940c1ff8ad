"""Questions that wait are asked together: one thread works at the model, batch by batch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from whichway.contracts import Backend
from whichway.nouns import Reply, Request
from whichway.ship.served_models import Offer

BATCH = 256  # questions asked in one call


@dataclass(slots=True)
class _Slip:
    offer: Offer
    request: Request
    answer: asyncio.Future[Reply]

    @property
    def key(self) -> tuple[object, ...]:
        decoding = self.request.decoding
        return (self.offer.weights.key, decoding.mode, decoding.channel)


class Desk:
    """Takes questions while the model is at work, and asks all that wait for the same weights at once.

    Args:
        doors: backend name -> backend.
    """

    def __init__(self, doors: Mapping[str, Backend]) -> None:
        self._doors = doors
        self._waiting: asyncio.Queue[_Slip] = asyncio.Queue()
        self._clerk: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Desk:
        self._clerk = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._clerk is not None:
            self._clerk.cancel()
            with suppress(asyncio.CancelledError):
                await self._clerk

    async def ask(self, offer: Offer, requests: list[Request]) -> list[Reply]:
        """Answers in the order of the requests.

        Raises:
            Exception: whatever the backend raises.
        """
        loop = asyncio.get_running_loop()
        slips = [_Slip(offer, request, loop.create_future()) for request in requests]
        for slip in slips:
            self._waiting.put_nowait(slip)
        return list(await asyncio.gather(*(slip.answer for slip in slips)))

    async def _work(self) -> None:
        while True:
            slips = [await self._waiting.get()]
            while not self._waiting.empty() and len(slips) < BATCH:
                slips.append(self._waiting.get_nowait())
            for batch in _batches(slips):
                await self._serve(batch)

    async def _serve(self, batch: list[_Slip]) -> None:
        try:
            replies = await asyncio.to_thread(self._answer, batch)
        except Exception as error:  # one bad batch must not end the server
            for slip in batch:
                if not slip.answer.done():
                    slip.answer.set_exception(error)
            return
        for slip, reply in zip(batch, replies, strict=True):
            if not slip.answer.done():  # the client may have gone
                slip.answer.set_result(reply)

    def _answer(self, batch: list[_Slip]) -> list[Reply]:
        offer, mode = batch[0].offer, batch[0].request.decoding.mode
        with self._doors[offer.weights.backend].open(offer.weights, offer.adapter) as session:
            asked = [slip.request for slip in batch]
            return session.choose(asked) if mode == "choose" else session.generate(asked)


def _batches(slips: list[_Slip]) -> Iterator[list[_Slip]]:
    """Slips by weights and by how they are read, in order of arrival."""
    groups: dict[tuple[object, ...], list[_Slip]] = {}
    for slip in slips:
        groups.setdefault(slip.key, []).append(slip)
    yield from groups.values()
