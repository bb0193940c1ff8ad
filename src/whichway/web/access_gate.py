"""Who may use the page: whoever has the token of its address, from this machine, from the page itself."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with "no-referrer" a browser names no origin for our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
LOCAL = ("127.0.0.1", "localhost", "[::1]")
UPLOAD = 512_000_000  # bytes of a request


class AccessGate:
    """ASGI middleware: token once in the address, then a cookie; only this machine's names; only our own forms.

    Args:
        app: what it protects.
        token: of the page's address.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token
        # cookies know no ports: each page has a name of its own
        self._cookie = f"whichway-{hashlib.sha256(token.encode()).hexdigest()[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse, RedirectResponse

        call = Request(scope)
        refusal = self._refusal(call)
        given_token = call.query_params.get("token")
        if refusal is None and given_token is not None and self._same(given_token):
            answer: PlainTextResponse | RedirectResponse = RedirectResponse(call.url.path, 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="lax", path="/")
            answer.headers.update(HEADERS)
            await answer(scope, receive, send)
            return
        if refusal is None and not self._same(call.cookies.get(self._cookie, "")):
            refusal = "This page is opened with the address that whichway prints, its token included."
        if refusal is not None:
            answer = PlainTextResponse(refusal, 403)
            answer.headers.update({**HEADERS, "content-security-policy": POLICY})
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(send))

    def _same(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())

    def _refusal(self, call: Request) -> str | None:
        """Why a request is refused before its token is looked at; None: it is not."""
        host = call.headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name not in LOCAL:  # another name may lead here, too (DNS rebinding)
            return "This page is for this machine only."
        if call.method in ("GET", "HEAD"):
            return None
        origin = call.headers.get("origin", "")
        if urlsplit(origin).netloc != host:
            return "Forms are taken from this page only."
        length = call.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > UPLOAD:
            return f"A request may have {UPLOAD:,} bytes at most."
        return None


def _with_headers(send: Send) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in message["headers"]}
            extra = {**HEADERS, "content-security-policy": POLICY}
            pairs = [(n.encode(), v.encode()) for n, v in extra.items() if n.encode() not in names]
            message = {**message, "headers": [*message["headers"], *pairs]}
        await send(message)

    return add
