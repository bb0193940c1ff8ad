"""Who may ask a server and how much may be sent: key and sizes, before any route sees a request."""

from __future__ import annotations

import hmac
import time
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


@dataclass(frozen=True, slots=True)
class AccessLimits:
    """What a server allows.

    Attributes:
        api_key: wanted as a bearer token; None: anybody may ask.
        body: bytes of a request.
        upload: bytes of an uploaded file.
    """

    api_key: str | None = None
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        most = self._limits.upload if scope["path"] == UPLOADS else self._limits.body
        body = _Body(receive, most)
        try:
            self._admit(scope["path"], headers)
            await body.check(headers.get("content-length", ""))
        except Refused as error:
            from starlette.responses import JSONResponse

            await body.read_on()
            await JSONResponse(error.body(), error.status, {"connection": "close"})(scope, receive, send)
            return
        await self._app(scope, body.receive, send)

    def _admit(self, path: str, headers: dict[str, str]) -> None:
        if self._limits.api_key is None or path in OPEN:
            return
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(token.encode(), self._limits.api_key.encode()):
            raise Refused("a bearer token is wanted, and this is not it", status=401, code="invalid_api_key")


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
        message = await self._receive()
        self._note(message)
        if self._size > self._most:
            await self.read_on()
            raise self._refusal()
        return message

    async def read_on(self) -> None:
        """Read what is still sent, within limits: a client that still sends does not see an answer."""
        most, end = self._size + _READ_ON, time.monotonic() + _READ_ON_SECONDS
        while not self._ended and self._size < most and time.monotonic() < end:
            self._note(await self._receive())

    def _note(self, message: Message) -> None:
        self._size += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)

    def _refusal(self) -> Refused:
        return Refused(f"the body is larger than {self._most:,} bytes", status=413)
