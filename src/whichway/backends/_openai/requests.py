"""A question as the body of a request, in what the endpoint turned out to understand."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from whichway.backends._openai.label_reading import grammar, longest, schema
from whichway.engine.model.chat_text import BREAK, plain
from whichway.models.shelf import HostedEndpoint
from whichway.nouns import Request

# how one of several labels is answered
Reading = Literal["structured", "json_object", "choice", "grammar", "echo", "parse"]
MOST_SHOWN, FEWER_SHOWN = 20, 5  # alternatives of a token: OpenAI's limit, and that of others
LEAST_TOKENS = 16  # of an answer that names a label in plain text
OVERHEAD = 128  # tokens that a chat template may add to what is sent
# fields that some endpoints do not know, with the words by which their messages name them
_NAMES = {
    "temperature": ("temperature",), "seed": ("seed",), "logprobs": ("logprobs", "top_logprobs"),
    "stop": ("'stop'", '"stop"'),
}  # fmt: skip
_READINGS: Mapping[str, tuple[str, ...]] = {
    "structured": ("response_format", "json_schema", "structured output"),
    "json_object": ("response_format", "json_object", "schema"),
    "choice": ("structured_outputs", "choice"),
    "grammar": ("grammar",),
    "echo": ("echo",),
}
JSON: tuple[Reading, ...] = ("structured", "json_object")
CHAT_READINGS: tuple[Reading, ...] = (*JSON, "choice", "grammar")
TOO_LONG = ("context_length", "context length", "context window", "maximum context", "too long", "longer than")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the endpoint counts them."""

    tokens_in: int = 0  # computed anew
    tokens_cached: int = 0
    tokens_out: int = 0

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            self.tokens_in + other.tokens_in,
            self.tokens_cached + other.tokens_cached,
            self.tokens_out + other.tokens_out,
        )


@dataclass(slots=True)
class Dialect:
    """What one endpoint understands: as models.yaml says, or as its refusals teach. Shared by all threads."""

    endpoint: HostedEndpoint
    tuned: bool = False  # whether the model was trained to write the label itself: no schema stands in its way
    without: set[str] = field(default_factory=set)  # fields that it refused
    shown: int = MOST_SHOWN
    limit: str = ""
    _readings: list[Reading] = field(default_factory=list)
    _worked: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Start with what models.yaml says."""
        offered, self.limit = self.endpoint.capabilities, self.endpoint.limit
        known: list[Reading] = [*CHAT_READINGS] if self.endpoint.api == "chat" else ["echo"]
        if self.tuned:
            known = [reading for reading in known if reading not in JSON and reading in (offered or ())]
        if offered is None:  # who does not know a grammar may ignore it without a word
            self._readings = [*(reading for reading in known if reading != "grammar"), "parse"]
        else:
            self._readings = [*(reading for reading in known if reading in offered), "parse"][:1]
            self.without |= {name for name in ("temperature", "seed", "logprobs") if name not in offered}

    @property
    def reading(self) -> Reading:
        """How labels are answered, as far as is known now."""
        return self._readings[0]

    def worked(self, reading: str) -> None:
        """An answer came."""
        with self._lock:
            self._worked.add(reading)

    def next_reading(self, reading: Reading) -> bool:
        """Give up a reading that is not offered; False where there is no other, or where it worked before."""
        with self._lock:
            if self.reading != reading:  # another thread was quicker
                return True
            if len(self._readings) == 1 or reading in self._worked:
                return False
            self._readings.pop(0)
            return True

    def learn(self, body: Mapping[str, Any], reading: Reading | None, param: str, message: str) -> bool:
        """Learn from a refusal what this endpoint does not know; whether the request can be sent in another form."""
        complaint = f"{param} {message}".lower()
        if any(words in complaint for words in TOO_LONG):
            return False
        with self._lock:
            if self._other_limit(body, complaint) or self._fewer(body, complaint):
                return True
            for name, words in _NAMES.items():
                if name in body and any(word in complaint for word in words):
                    self.without.add(name)
                    return True
        if reading in (None, "parse"):
            return False
        known = any(word in complaint for word in _READINGS[str(reading)])
        return self.next_reading(reading) if known or reading not in self._worked else False

    def _other_limit(self, body: Mapping[str, Any], complaint: str) -> bool:
        """The field for the longest answer has two names; a message that refuses one often tells of the other."""
        sent = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
        other = "max_tokens" if sent == "max_completion_tokens" else "max_completion_tokens"
        refused = f"'{sent}'" in complaint or complaint.startswith(f"{sent} ")
        if not refused or f"tried-{other}" in self.without:
            return self.limit != sent and refused
        self.without.add(f"tried-{sent}")
        self.limit = other
        return True

    def _fewer(self, body: Mapping[str, Any], complaint: str) -> bool:
        if "top_logprobs" in complaint and body.get("top_logprobs") == MOST_SHOWN:
            self.shown = FEWER_SHOWN
            return True
        return False

    # bodies

    def chat(self, request: Request, reading: Reading | None) -> dict[str, Any]:
        """The body of a chat completion.

        Args:
            request: the question.
            reading: how its labels are answered; None where text is written.
        """
        turns = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        body = {**self._common(request), "messages": turns, self.limit: self.tokens(request, reading)}
        if reading == "structured":
            named = {"name": "answer", "strict": True, "schema": schema(request.labels)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        if reading == "json_object":  # llama-cpp-python, Together, Fireworks
            body["response_format"] = {"type": "json_object", "schema": schema(request.labels)}
        if reading == "choice":
            body["structured_outputs"] = {"choice": list(request.labels)}
        if reading == "grammar":  # llama.cpp and what is built on it
            body["grammar"] = grammar(request.labels)
        if reading is not None and "logprobs" not in self.without:
            body |= {"logprobs": True, "top_logprobs": self.shown}
        return body

    def completion(self, request: Request, reading: Reading | None) -> dict[str, Any]:
        """The body of a completion: the turns as plain text, as base models are asked on this machine."""
        body = {**self._common(request), "prompt": prompt_text(request), "max_tokens": self.tokens(request, reading)}
        if "stop" not in self.without:
            body["stop"] = ["\n" if reading else BREAK]
        if reading is not None and "logprobs" not in self.without:
            body["logprobs"] = FEWER_SHOWN
        return body

    def echo(self, request: Request, label: str) -> dict[str, Any]:
        """The body of a completion that reads a label after the prompt and gives its log-probabilities."""
        common = {name: value for name, value in self._common(request).items() if name != "seed"}
        return {**common, "prompt": f"{prompt_text(request)} {label}", "max_tokens": 1, "echo": True, "logprobs": 1}

    def tokens(self, request: Request, reading: Reading | None) -> int:
        """Tokens that an answer may have, its reasoning included."""
        limit = request.decoding.max_tokens
        if reading is not None:
            plain_text = max(limit, LEAST_TOKENS) if reading == "parse" else 0
            limit = max(longest(request.labels), plain_text)
        return limit + self.endpoint.thinking_tokens

    def _common(self, request: Request) -> dict[str, Any]:
        decoding = request.decoding
        body: dict[str, Any] = {"model": self.endpoint.model, **self.endpoint.body}
        if "temperature" not in self.without:
            body["temperature"] = decoding.temperature if decoding.samples else 0.0
        if decoding.samples and "seed" not in self.without:
            body["seed"] = request.repeat
        return body


def prompt_text(request: Request) -> str:
    """The turns as one text that ends where the answer starts."""
    return plain([{"role": turn.role, "content": turn.content} for turn in request.messages])


def most_tokens(body: Mapping[str, Any]) -> Usage:
    """What a request can be billed at most: no token is shorter than a byte, and the answer has its limit."""
    size = len(json.dumps(body, ensure_ascii=False).encode())
    limit = int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)
    return Usage(size + OVERHEAD, 0, limit)
