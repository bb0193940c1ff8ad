"""Who may ask a server and how much may be sent: key and sizes, before any route sees a request."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whichway.ship.protocol import Refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY = 1_000_000  # bytes of a request
UPLOAD = 512_000_000  # bytes of an uploaded file, as OpenAI has it
UPLOADS = "/v1/files"
OPEN = ("/health",)  # paths that want no key
_READ_ON = 64_000_000  # bytes of a refused body that are read, so that the client gets to read the answer
_READ_ON_SECONDS = 10.0
_SILENCE = 30.0  # seconds in which a part of a body has to arrive
_ADDRESSES = 10_000  # whose rates are remembered


@dataclass(frozen=True, slots=True)
class AccessLimits:
    """What a server allows.

    Attributes:
        api_key: wanted as a bearer token; None: anybody may ask.
        per_minute: requests of one address in a minute; None: any number.
        at_once: requests under way.
        body: bytes of a request.
        upload: bytes of an uploaded file.
    """

    api_key: str | None = None
    per_minute: int | None = None
    at_once: int = 1024
    body: int = BODY
    upload: int = UPLOAD


class AccessControl:
    """ASGI middleware that refuses in OpenAI's shape.

    Args:
        app: what it protects.
        limits: what is allowed.
    """

    def __init__(self, app: ASGIApp, limits: AccessLimits) -> None:
        self._app, self._limits = app, limits
        self._under_way = 0
        self._rates: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address -> (requests left, when)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        most = self._limits.upload if scope["path"] == UPLOADS else self._limits.body
        body = _Body(receive, most)
        try:
            self._limit(scope)  # first, so that keys cannot be tried out faster
            self._admit(scope["path"], headers)
            await body.check(headers.get("content-length", ""))
        except Refused as error:
            from starlette.responses import JSONResponse

            await body.read_on()
            await JSONResponse(error.body(), error.status, _headers(error))(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._under_way -= 1

    def _admit(self, path: str, headers: dict[str, str]) -> None:
        if self._limits.api_key is None or path in OPEN:
            return
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(token.encode(), self._limits.api_key.encode()):
            raise Refused("a bearer token is wanted, and this is not it", status=401, code="invalid_api_key")

    def _limit(self, scope: Scope) -> None:
        """Refuse more than is allowed, of one address and at once."""
        if scope["path"] in OPEN:
            return
        if self._under_way >= self._limits.at_once:
            raise Refused(f"{self._under_way} requests are under way; try again soon", status=503, code="overloaded")
        most = self._limits.per_minute
        if most is None:
            return
        address, now = str((scope.get("client") or ("",))[0]), time.monotonic()
        left, before = self._rates.pop(address, (float(most), now))
        left = min(float(most), left + (now - before) * most / 60)
        self._rates[address] = (left - 1 if left >= 1 else left, now)
        if len(self._rates) > _ADDRESSES:
            self._rates.popitem(last=False)
        if left < 1:
            message = f"more than {most} requests in a minute; try again in {(1 - left) * 60 / most:.0f} s"
            raise Refused(message, status=429, code="rate_limit_exceeded")


def _headers(error: Refused) -> dict[str, str]:
    """Of an answer to a request that was not read to its end; when to come again."""
    return {"connection": "close", **({"retry-after": "1"} if error.status in (429, 503) else {})}


class _Body:
    """A request's body, which may not be larger than `most` bytes."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._size, self._ended = receive, most, 0, False

    async def check(self, length: str) -> None:
        """Refuse a body that says beforehand that it is too large.

        Raises:
            Refused: it does.
        """
        if length.isdecimal() and int(length) > self._most:
            raise self._refusal()

    async def receive(self) -> Message:
        """The next part.

        Raises:
            Refused: all parts together are too large.
        """
        message = await self._next()
        self._note(message)
        if self._size > self._most:
            await self.read_on()
            raise self._refusal()
        return message

    async def read_on(self) -> None:
        """Read what is still sent, within limits: a client that still sends does not see an answer."""
        most, end = self._size + _READ_ON, time.monotonic() + _READ_ON_SECONDS
        while not self._ended and self._size < most and time.monotonic() < end:
            self._note(await self._next())

    async def _next(self) -> Message:
        """The next part of a body, for which nobody waits for ever; after the body: that the client is gone."""
        if self._ended:
            return await self._receive()
        try:
            return await asyncio.wait_for(self._receive(), _SILENCE)
        except TimeoutError:
            self._ended = True
            raise Refused(f"no part of the body arrived for {_SILENCE:.0f} s", status=408) from None

    def _note(self, message: Message) -> None:
        self._size += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)

    def _refusal(self) -> Refused:
        return Refused(f"the body is larger than {self._most:,} bytes", status=413)
