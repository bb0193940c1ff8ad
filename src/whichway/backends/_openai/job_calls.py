"""Calls about files and jobs through the official client: repeated where nothing can happen twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from whichway.backends._openai.calls import Again, Caller, Pace, RowRefused
from whichway.errors import EndpointError
from whichway.models import endpoints
from whichway.models.shelf import HostedEndpoint

ABSENT = (404, 405, 501)  # no such path: the service trains nothing
EXISTS = 409


class Unsure(Exception):
    """No answer came to a call that must not happen twice; it may have been heard."""


class JobCalls:
    """Asks a fine-tuning service.

    Args:
        endpoint: whose models it trains; the key and the time-outs are its own.
        pace: how patiently.
    """

    def __init__(self, endpoint: HostedEndpoint, pace: Pace) -> None:
        self.endpoint, self.pace = endpoint, pace
        self._caller = Caller(endpoint, pace)

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.endpoint.word} ({endpoints.host(self.endpoint)})"

    def get(self, path: str, **query: Any) -> Mapping[str, Any]:
        """A JSON object. Repeated until it comes.

        Raises:
            EndpointError: the service refuses us or stays away.
            RowRefused: it refuses this request, or knows no such path.
        """
        return self._repeated(lambda: self._send("GET", path, query=query))

    def post(self, path: str, body: Mapping[str, Any], repeat: bool = True) -> Mapping[str, Any]:
        """Send a JSON object.

        Args:
            path: where to.
            body: what.
            repeat: whether it may be sent again when no answer came.

        Raises:
            Unsure: it may not be sent again, and no answer came.
            EndpointError, RowRefused: as for `get`.
        """
        return self._repeated(lambda: self._send("POST", path, body=body), repeat)

    def upload(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> Mapping[str, Any]:
        """Send a file with fields. A file that arrives twice is two files, of which one is used."""
        files = {"file": (name, content, "application/jsonl")}
        return self._repeated(lambda: self._send("POST", path, body=fields, files=files))

    def delete(self, path: str) -> Mapping[str, Any]:
        """Delete something."""
        return self._repeated(lambda: self._send("DELETE", path))

    def _repeated(self, send: Callable[[], Mapping[str, Any]], repeat: bool = True) -> Mapping[str, Any]:
        began, wait = time.monotonic(), self.pace.first_wait
        for attempt in range(1, 10_000):
            try:
                return send()
            except Again as error:
                if not repeat and not error.slow and str(error) != "it cannot be reached":
                    raise Unsure(str(error)) from None
                late = time.monotonic() - began > self.pace.patience_seconds
                if late or (attempt >= self.pace.tries and not error.slow):
                    raise EndpointError(
                        f"{self.title} does not answer: {error}. What is trained there goes on; run the same command "
                        "again later."
                    ) from None
                time.sleep(max(wait, min(error.wait, self.pace.patience_seconds)))
                wait = min(2 * wait, self.pace.longest_wait)
        raise AssertionError("unreachable")

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        files: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        import httpx2
        import openai

        client: Any = self._caller.client  # paths that its typed methods do not know
        options = {"params": query} if query else {}
        try:
            if method == "GET":
                raw = client.get(path, cast_to=httpx2.Response, options=options)
            elif method == "DELETE":
                raw = client.delete(path, cast_to=httpx2.Response)
            else:
                form = {"headers": {"Content-Type": "multipart/form-data"}} if files else {}
                raw = client.post(path, cast_to=httpx2.Response, body=body, files=files, options=form)
            return _object(raw.content)
        except openai.APIStatusError as error:
            raise self._of_status(error) from None
        except openai.APIConnectionError as error:
            raise self._caller.of_connection(error) from None

    def _of_status(self, error: Any) -> Exception:
        if error.status_code in (*ABSENT, EXISTS):
            words = self._caller.words_of(error.body, str(error)) or f"HTTP {error.status_code}"
            return RowRefused(words, status=EXISTS if error.status_code == EXISTS else 404)
        meaning: Exception = self._caller.of_status(error.status_code, error.response.headers, error.body, str(error))
        return meaning


def _object(content: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer.

    Raises:
        Again: there is none.
    """
    try:
        value = json.loads(content or b"{}")
    except ValueError:
        raise Again("an answer that is no JSON", billed=True) from None
    if not isinstance(value, dict):
        raise Again("an answer that is no JSON object", billed=True)
    return value
