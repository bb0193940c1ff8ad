"""One call through the official client: sent when money and a slot are there, repeated when that may help.

What a failure means is decided here, once. A refusal that every further call would meet (a wrong key, no credit, no
such model) ends the run, saved. An overrun or broken endpoint is asked again, with exponential waits and jitter. A
request that the endpoint calls wrong is its row's own affair. A call that may have been billed without an answer is
charged at its worst.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whichway.backends._openai import keys
from whichway.backends._openai.limiter import Limiter, retry_after
from whichway.backends._openai.replies import Unreadable
from whichway.backends._openai.requests import Usage
from whichway.contracts import Meter
from whichway.errors import EndpointError
from whichway.models import endpoints
from whichway.models.shelf import HostedEndpoint

if TYPE_CHECKING:
    import httpx2
    from openai import OpenAI
    from tenacity import RetryCallState

CONNECT_SECONDS = 10.0
FEW = 8  # requests refused one after another, with none answered before: it is not the rows
BESIDE = 10  # requests that others had answered while one failed again and again: it is that row
_NAMED = frozenset(
    {"model", "messages", "prompt", "temperature", "seed", "max_tokens", "max_completion_tokens", "stop"}
    | {"logprobs", "top_logprobs", "response_format", "echo"}
)
INVALID = ("validation error", "unsupported", "not supported")  # the request's fault, whatever the status
NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "credit", "insufficient balance")


@dataclass(frozen=True, slots=True)
class Pace:
    """How patiently an endpoint is asked.

    Attributes:
        tries: times that a broken call is sent.
        patience_seconds: in which an overrun endpoint is asked again; the longest `Retry-After` that is heeded.
        first_wait: seconds before the second try, about; doubled after each.
        longest_wait: seconds between two tries, where the endpoint names none.
        poll_seconds: between two looks at a fine-tuning job.
    """

    tries: int = 7
    patience_seconds: float = 900.0
    first_wait: float = 0.5
    longest_wait: float = 30.0
    poll_seconds: float = 15.0


class Stopped(Exception):
    """The run ends; this call was not sent."""


class RowRefused(Exception):
    """The endpoint refuses this request and may take others.

    Args:
        message: its words.
        param: the field that it names.
        code: its word for the reason.
        status: of HTTP.
    """

    def __init__(self, message: str, param: str = "", code: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.param, self.code, self.status = param, code, status


class Again(Exception):
    """A failure that another try may mend.

    Args:
        message: what happened.
        billed: whether it may have been billed.
        slow: whether the endpoint is overrun.
        wait: seconds that it asks to wait.
    """

    def __init__(self, message: str, billed: bool = False, slow: bool = False, wait: float = 0.0) -> None:
        super().__init__(message)
        self.billed, self.slow, self.wait = billed, slow, wait


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from one call."""

    body: Mapping[str, Any]
    seconds: float
    reserved: float  # usd that are still set aside for it


class Caller:
    """Asks one endpoint, from many threads.

    Args:
        endpoint: which.
        pace: how patiently.
        key: that is sent; "": the one that the endpoint names, if it names one.
    """

    def __init__(self, endpoint: HostedEndpoint, pace: Pace, key: str = "") -> None:
        self._endpoint, self._pace = endpoint, pace
        self._key = key or (keys.find(endpoint.key) if endpoint.key else "")
        self.client = client_of(endpoint, self._key)
        self._limiter = Limiter(endpoint.concurrency)
        self._lock = threading.Lock()
        self._answered = self._refused = 0

    def send(self, body: Mapping[str, Any], most: Usage, meter: Meter, stop: threading.Event) -> Answer:
        """Send a body until it is answered.

        Raises:
            EndpointError: no call will be answered.
            RowRefused: this one will not.
            BudgetSpent: it could pass the cap.
            Stopped: the run ends.
        """
        from tenacity import Retrying, retry_if_exception_type, sleep_using_event

        began, broken, before = time.monotonic(), 0, self._answered

        def over(state: RetryCallState) -> bool:
            nonlocal broken
            error = state.outcome.exception() if state.outcome else None
            slow = isinstance(error, Again) and error.slow
            broken += not slow
            return broken >= self._pace.tries or time.monotonic() - began > self._pace.patience_seconds

        retrying = Retrying(
            retry=retry_if_exception_type(Again),
            wait=self._wait,
            stop=over,
            sleep=sleep_using_event(stop),
            reraise=True,
        )
        try:
            return retrying(self._once, body, most, meter, stop)
        except Again as error:
            if self._answered - before >= BESIDE:
                raise RowRefused(f"{error} ({broken} tries)", code="failed", status=500) from None
            raise EndpointError(
                f"{self._name} does not answer: {error}. What was answered is kept; run the same command again later."
            ) from None

    @property
    def _name(self) -> str:
        return f"{self._endpoint.word} ({endpoints.host(self._endpoint)})"

    def _wait(self, state: RetryCallState) -> float:
        from tenacity import wait_exponential_jitter

        pace = self._pace
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.wait if isinstance(error, Again) else 0.0
        jitter = wait_exponential_jitter(pace.first_wait, pace.longest_wait, jitter=pace.first_wait)
        return max(retry_after, float(jitter(state)))

    def _once(self, body: Mapping[str, Any], most: Usage, meter: Meter, stop: threading.Event) -> Answer:
        reserved = meter.reserve(most.tokens_in, most.tokens_out)
        began = self._limiter.acquire(stop)
        if began is None:
            meter.release(reserved)
            raise Stopped
        try:
            answer = self._exchange(body)
        except Again as error:
            self._limiter.slowed(began, error.wait) if error.slow else self._limiter.failed()
            if error.billed:
                meter.lose(reserved, most.tokens_in, most.tokens_out, str(error))
            else:
                meter.release(reserved)
            if error.wait > self._pace.patience_seconds:
                raise EndpointError(
                    f"{self._name} asks to wait {error.wait:.0f} s: {error}. Run the same command again then."
                ) from None
            raise
        except Exception:
            self._limiter.failed()
            meter.release(reserved)
            raise
        self._limiter.succeeded()
        with self._lock:
            self._answered += 1
        return Answer(answer, time.monotonic() - began, reserved)

    def unreadable(self, error: Unreadable) -> Again:
        """What comes of an answer in which nothing can be read: it was billed, and is asked for again."""
        return Again(f"an answer that cannot be read ({error})", billed=True)

    def count_refusal(self, error: RowRefused) -> None:
        """Note a row that is given up; many of them before any answer mean that the endpoint is at fault.

        Raises:
            EndpointError: it is such a case.
        """
        with self._lock:
            self._refused += 1
            if self._refused < FEW or self._answered:
                return
        raise EndpointError(f"{self._name} refuses every request: {error}") from None

    def _exchange(self, body: Mapping[str, Any]) -> Any:
        """Send once, and say what a failure means."""
        import openai

        named = {name: value for name, value in body.items() if name in _NAMED}
        extra = {name: value for name, value in body.items() if name not in _NAMED}
        resource: Any = self.client.chat.completions if self._endpoint.api == "chat" else self.client.completions
        try:
            raw = resource.with_raw_response.create(**named, extra_body=extra or None)
            return _parsed(raw.http_response.content)
        except openai.APIStatusError as error:
            raise self.of_status(error.status_code, error.response.headers, error.body, str(error)) from None
        except openai.APIConnectionError as error:
            raise self.of_connection(error) from None
        except _Told as error:
            raise self.of_status(error.status, {}, error.body, "") from None
        except Unreadable as error:
            raise self.unreadable(error) from None

    def of_connection(self, error: Exception) -> Again:
        """The failure that a broken connection means."""
        import httpx2

        cause: BaseException | None = error.__cause__ or error
        unsent = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
        late = isinstance(cause, httpx2.TimeoutException)
        what = f"no answer within {self._endpoint.timeout_seconds:g} s" if late else type(cause).__name__
        reason = "it cannot be reached" if unsent else what
        return Again(reason, billed=not unsent, slow=late and not unsent)

    def words_of(self, body: Any, plain: str) -> str:
        """The endpoint's own words in an error, without the key; "" where it has none."""
        facts = _facts(body)
        words = facts.get("message") or facts.get("detail") or ("" if "<html" in plain.lower() else plain)
        return keys.blotted(" ".join(str(words).split()), self._key)[:300]

    def of_status(self, status: int, headers: Mapping[str, str], body: Any, plain: str) -> Exception:
        """The error that a status of HTTP and the body beside it mean."""
        facts = _facts(body)
        message = self.words_of(body, plain) or f"HTTP {status}"
        code, param = str(facts.get("code") or facts.get("type") or ""), str(facts.get("param") or "")
        if status in (401, 403):
            name = self._endpoint.key or endpoints.OTHER_KEY
            return EndpointError(
                f"{self._name} refuses the key {name} ({status}: {message}). What was answered is kept. "
                f"Put a key that is valid into {name} and run the same command again."
            )
        if status == 402 or (status == 429 and any(word in f"{code} {message}".lower() for word in NO_CREDIT)):
            return EndpointError(
                f"{self._name} gives no more credit ({status}: {message}). What was answered is kept; run the same "
                "command again when there is some."
            )
        if status == 404:
            return EndpointError(f"{self._name} knows no model '{self._endpoint.model}', or no such API: {message}")
        if status in (429, 503, 529):
            return Again(f"{status}: {message}", slow=True, wait=retry_after(headers))
        if status == 500 and any(words in message.lower() for words in INVALID):  # llama-cpp-python says it so
            return RowRefused(message, param, code, 422)
        if status in (408, 409) or status >= 500:
            return Again(f"{status}: {message}", wait=retry_after(headers))
        return RowRefused(message, param, code, status)


def _facts(body: Any) -> Mapping[str, Any]:
    """What a body tells of an error."""
    facts = body.get("error", body) if isinstance(body, Mapping) else {}
    return facts if isinstance(facts, Mapping) else {"message": facts}


class _Told(Exception):
    """An error in a body that says 200."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


def _parsed(content: bytes) -> Any:
    try:
        body = json.loads(content)
    except ValueError:
        raise Unreadable("no JSON") from None
    if not isinstance(body, dict):
        raise Unreadable("no JSON object")
    if "choices" not in body and isinstance(body.get("error"), dict | str):
        code = body["error"].get("code") if isinstance(body["error"], dict) else None
        raise _Told(code if isinstance(code, int) and 400 <= code < 600 else 500, body)
    return body


def client_of(endpoint: HostedEndpoint, key: str) -> OpenAI:
    """The official client of an endpoint, which sends once and waits no longer than it may."""
    import httpx2
    import openai

    seconds = endpoint.timeout_seconds
    timeout = httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
    limits = httpx2.Limits(max_connections=endpoint.concurrency + 8, max_keepalive_connections=endpoint.concurrency)
    here = endpoints.on_this_machine(endpoint)  # no proxy stands between
    http = httpx2.Client(
        timeout=timeout, limits=limits, trust_env=not here, follow_redirects=False, event_hooks=_deadline(seconds)
    )
    return openai.OpenAI(
        api_key=key or "none", base_url=endpoint.base_url, max_retries=0, timeout=timeout, http_client=http
    )


def _deadline(seconds: float) -> dict[str, list[Any]]:
    """Hooks under which an answer ends in time: the client's own time-out begins anew with each byte that drips in."""
    import httpx2

    class Timed(httpx2.SyncByteStream):
        def __init__(self, stream: Any, end: float) -> None:
            self._stream, self._end = stream, end

        def __iter__(self) -> Iterator[bytes]:
            for part in self._stream:
                if time.monotonic() > self._end:
                    raise httpx2.ReadTimeout("the answer did not end in time")
                yield part

        def close(self) -> None:
            self._stream.close()

    def sent(request: httpx2.Request) -> None:
        request.extensions["end"] = time.monotonic() + seconds

    def began(response: httpx2.Response) -> None:
        response.stream = Timed(response.stream, response.request.extensions["end"])

    return {"request": [sent], "response": [began]}
