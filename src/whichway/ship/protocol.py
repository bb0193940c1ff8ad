"""OpenAI's chat protocol, as much of it as is served: what a client may send, and what it gets back.

Source: OpenAI's API reference, chat completions. Two extensions: vLLM's `structured_outputs.choice`, so that a closed
question can be asked of the bare model, and `choice_bias`, added to the choices' log-probabilities (calibration).
What is not served is refused by name, never ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from whichway.errors import did_you_mean
from whichway.nouns import Candidate, Decoding, Example, Message, Reply, Request, Role, transcript
from whichway.prompts.ask import answer as read_off
from whichway.prompts.ask import questions
from whichway.prompts.nearest import Retrieve, by_words
from whichway.ship.served_models import ServedModel

MAX_TOKENS = 128  # when the client names no limit
MOST = 16  # answers to one request


class Refused(Exception):
    """A request that is not answered; becomes an error in OpenAI's shape.

    Args:
        message: what is wrong and what would be right.
        param: the field at fault.
        status: of HTTP.
        code: OpenAI's word, where it has one.
    """

    def __init__(self, message: str, param: str | None = None, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.status, self.code = param, status, code

    def body(self) -> dict[str, Any]:
        """The error as OpenAI's clients read it."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


class Turn(BaseModel):
    """One message of the client."""

    model_config = ConfigDict(extra="ignore")
    role: Role
    content: str

    @field_validator("content", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """Text parts as one text; other parts are refused by the type."""
        if isinstance(value, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in value):
            return "".join(str(part.get("text", "")) for part in value)
        return value


class Structured(BaseModel):
    """Answers are limited to these texts."""

    model_config = ConfigDict(extra="forbid")
    choice: list[str] = Field(min_length=1)


class Chat(BaseModel):
    """The body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(extra="forbid")
    model: str
    messages: list[Turn] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float = 1.0
    n: int = Field(1, ge=1, le=MOST)
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    seed: int | None = None
    structured_outputs: Structured | None = None
    choice_bias: dict[str, float] = Field(default_factory=dict)
    # accepted because clients send them by habit; they change nothing here
    user: str | None = None
    metadata: dict[str, Any] | None = None
    presence_penalty: Literal[0] = 0
    frequency_penalty: Literal[0] = 0
    logprobs: Literal[False] = False

    @field_validator("top_p")
    @classmethod
    def _whole(cls, value: float) -> float:
        if value != 1:
            raise ValueError("only 1 is served: answers are drawn from the whole distribution")
        return value

    @property
    def limit(self) -> int | None:
        """Longest answer in tokens, by either name."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> list[str]:
        """Texts that end an answer."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


def parse(body: bytes) -> Chat:
    """The client's body, checked.

    Raises:
        Refused: no JSON, an unknown field ("did you mean"), or a value that does not fit.
    """
    try:
        return Chat.model_validate(json.loads(body))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise Refused(f"'{where}' is not served here.{did_you_mean(where, Chat.model_fields)}", where) from error
        raise Refused(f"{where or 'body'}: {first['msg']}", where or None) from error
    except ValueError as error:
        raise Refused(f"the body is no JSON: {error}") from error


def requests(chat: Chat, offer: ServedModel, retrieve: Retrieve = by_words) -> list[Request]:
    """The questions for the session: one for each of the `n` answers, or as many as a candidate takes votes for one.

    Raises:
        Refused: messages that do not fit the model id.
    """
    candidate = offer.candidate
    if candidate is None:
        turns = tuple(Message(turn.role, turn.content) for turn in chat.messages)
        labels = tuple(chat.structured_outputs.choice) if chat.structured_outputs else ()
        decoding = Decoding(
            "choose" if labels else "generate",
            chat.limit or MAX_TOKENS,
            0.0 if labels else chat.temperature or 0.0,
            _bias(chat, labels),
        )
        first = _first(chat)
        return [Request(turns, decoding, labels, repeat=first + k if decoding.samples else 0) for k in range(chat.n)]
    row, adjusted, first = _row(chat, offer), _adjusted(candidate, chat), _first(chat)
    by_answer = [
        questions(adjusted, row, offer.labels, first + k if adjusted.decoding.samples else 0, retrieve)
        for k in range(chat.n)
    ]
    return [request for several in by_answer for request in several]


def _first(chat: Chat) -> int:
    """A drawn answer's number is its seed: the same request gives the same answer."""
    return (chat.seed or 0) * MOST


def answers(chat: Chat, offer: ServedModel, replies: list[Reply]) -> list[Reply]:
    """The `n` answers of the replies to `requests`: read off thoughts and voted on where the candidate says so."""
    if offer.candidate is None:
        return replies
    adjusted = _adjusted(offer.candidate, chat)
    each = adjusted.decoding.votes
    return [read_off(adjusted, replies[start : start + each]) for start in range(0, len(replies), each)]


def _bias(chat: Chat, labels: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    unknown = [label for label in chat.choice_bias if label not in labels]
    if unknown:
        raise Refused(f"choice_bias names '{unknown[0]}', which is no choice", "choice_bias")
    return tuple((label, chat.choice_bias[label]) for label in labels if label in chat.choice_bias)


def _adjusted(candidate: Candidate, chat: Chat) -> Candidate:
    """The contest's candidate; for written text the client may ask for another length or temperature."""
    decoding = candidate.decoding
    if decoding.mode == "choose":
        return candidate
    temperature = decoding.temperature if chat.temperature is None else chat.temperature
    votes = decoding.votes if temperature > 0 else 1  # at temperature 0 all would be equal
    limit = chat.limit or decoding.max_tokens
    return replace(candidate, decoding=replace(decoding, max_tokens=limit, temperature=temperature, votes=votes))


def _row(chat: Chat, offer: ServedModel) -> Example:
    """The row: one user message, plain or a JSON object when the row has several fields; or a whole conversation.

    Raises:
        Refused: messages that are no row of the run's kind.
    """
    if chat.structured_outputs is not None or chat.choice_bias:
        raise Refused(f"'{chat.model}' brings its own labels; ask 'base' to choose among others", "structured_outputs")
    if offer.conversation:
        return _conversation(chat, offer)
    if len(chat.messages) != 1 or chat.messages[0].role != "user":
        raise Refused(
            f"'{chat.model}' brings its own prompt: send one user message with the row's text. "
            "The model without a prompt is 'base'.",
            "messages",
        )
    text = chat.messages[0].content
    if len(offer.fields) < 2:
        return Example(dict.fromkeys(offer.fields, text) or {"text": text}, "")
    try:
        values = json.loads(text)
        by_field = {name: values[name] for name in offer.fields}
    except (ValueError, TypeError, KeyError) as error:
        wanted = ", ".join(offer.fields)
        raise Refused(f"send a JSON object with the fields {wanted} as the message's content", "messages") from error
    texts = {name: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for name, v in by_field.items()}
    return Example(texts, "")


def _conversation(chat: Chat, offer: ServedModel) -> Example:
    """The turns of a conversation, as the run's rows have them."""
    turns = [Message(turn.role, turn.content) for turn in chat.messages]
    head = 1 if turns[0].role == "system" else 0
    if turns[-1].role != "user":
        raise Refused(f"'{chat.model}' answers conversations: send the turns, the user's message last", "messages")
    talk = turns[head:]
    column = next((name for name in offer.fields if name != "system"), "input")
    fields = {"system": turns[0].content if head else ""} if "system" in offer.fields else {}
    plain = len(talk) == 1 and not head
    return Example({**fields, column: transcript(talk)}, "", turns=() if plain and not fields else tuple(turns))


def answered(reply: Reply, chat: Chat) -> tuple[str, str]:
    """Text and finish reason, cut at the client's stop texts."""
    cuts = [reply.text.find(stop) for stop in chat.stops if stop and stop in reply.text]
    if cuts:
        return reply.text[: min(cuts)], "stop"
    return reply.text, "length" if reply.finish == "length" else "stop"


def usage(replies: list[Reply]) -> dict[str, Any]:
    """Tokens, counted by the engine."""
    cached = sum(r.tokens_cached for r in replies)
    tokens_in = sum(r.tokens_in for r in replies) + cached
    tokens_out = sum(r.tokens_out for r in replies)
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def completion(chat: Chat, replies: list[Reply], head: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a whole answer; `scores` (log-probabilities of the labels) is our extension."""
    choices = []
    for index, reply in enumerate(replies):
        text, finish = answered(reply, chat)
        choice: dict[str, Any] = {
            "index": index,
            "message": {"role": "assistant", "content": text},
            "finish_reason": finish,
            "logprobs": None,
        }
        if reply.scores:
            choice["scores"] = {label: round(score, 6) for label, score in reply.scores.items()}
        choices.append(choice)
    return {**head, "object": "chat.completion", "choices": choices, "usage": usage(replies)}


def chunks(chat: Chat, replies: list[Reply], head: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same answer as a stream's chunks: role, text, finish for each choice; then the usage when asked for."""
    lines: list[dict[str, Any]] = []
    envelope = {**head, "object": "chat.completion.chunk"}
    for index, reply in enumerate(replies):
        text, finish = answered(reply, chat)
        deltas: list[tuple[dict[str, str], str | None]] = [
            ({"role": "assistant", "content": ""}, None),
            ({"content": text}, None),
            ({}, finish),
        ]
        lines += [{**envelope, "choices": [{"index": index, "delta": d, "finish_reason": f}]} for d, f in deltas]
    if (chat.stream_options or {}).get("include_usage"):
        lines.append({**envelope, "choices": [], "usage": usage(replies)})
    return lines
