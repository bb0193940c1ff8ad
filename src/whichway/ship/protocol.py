"""OpenAI's chat protocol, as much of it as is served: what a client may send, and what it gets back.

Source: OpenAI's API reference, chat completions. Two extensions: vLLM's `structured_outputs.choice`, so that a closed
question can be asked of the bare model, and `choice_bias`, added to the choices' log-probabilities (calibration).
What is not served is refused by name, never ignored.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from whichway.contracts import WriteRequest
from whichway.errors import did_you_mean
from whichway.nouns import Candidate, Decoding, Example, Message, Reply, Request, Role, transcript
from whichway.prompts.ask import answer as read_off
from whichway.prompts.ask import questions
from whichway.prompts.calibrate import biased
from whichway.prompts.nearest import Retrieve, by_words
from whichway.ship.served_models import ServedModel

BodyT = TypeVar("BodyT", bound=BaseModel)
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


def text_of_parts(content: Any) -> Any:
    """Text parts of a message as one text; other parts are left as they are, and refused by their type."""
    if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content):
        return "".join(str(part.get("text", "")) for part in content)
    return content


class Turn(BaseModel):
    """One message of the client."""

    model_config = ConfigDict(extra="ignore")
    role: Role
    content: str

    @field_validator("role", mode="before")
    @classmethod
    def _of_system(cls, value: Any) -> Any:
        """The newer word for the system's role."""
        return "system" if value == "developer" else value

    @field_validator("content", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        return text_of_parts(value)


class Structured(BaseModel):
    """Answers are limited to these texts."""

    model_config = ConfigDict(extra="forbid")
    choice: list[str] = Field(min_length=1)


class JsonSchema(BaseModel):
    """A JSON schema by name."""

    model_config = ConfigDict(extra="forbid")
    name: str
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """The form of the answer."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _whole(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema goes with the type 'json_schema', and only with it")
        return self


class StreamOptions(BaseModel):
    """What a stream brings besides the answer."""

    model_config = ConfigDict(extra="forbid")
    include_usage: bool = False
    include_obfuscation: bool = False  # accepted because clients send it; nothing is ever obfuscated here


class WritingBody(BaseModel):
    """What chats and plain completions have in common: how an answer is drawn, ended and sent."""

    model_config = ConfigDict(extra="forbid")
    model: str
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    n: int = Field(1, ge=1, le=MOST)
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    seed: int | None = None
    # accepted because clients send them by habit; they change nothing here
    user: str | None = None
    presence_penalty: Literal[0] = 0
    frequency_penalty: Literal[0] = 0

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end an answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the tokens' counts."""
        return self.stream_options is not None and self.stream_options.include_usage


class Chat(WritingBody):
    """The body of `POST /v1/chat/completions`."""

    messages: list[Turn] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    structured_outputs: Structured | None = None
    choice_bias: dict[str, float] = Field(default_factory=dict)
    metadata: dict[str, Any] | None = None  # changes nothing here
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None

    @model_validator(mode="after")
    def _together(self) -> Chat:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs: set logprobs as well")
        return self

    @property
    def limit(self) -> int | None:
        """Longest answer in tokens, by either name."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def schema_text(self) -> str:
        """The JSON schema that the answer is to fit; "" for any text."""
        wanted = self.response_format
        if wanted is None or wanted.type == "text":
            return ""
        schema = wanted.json_schema.schema_ if wanted.json_schema else None
        return json.dumps(schema if schema is not None else {"type": "object"})


def parse(body: bytes) -> Chat:
    """The client's body, checked.

    Raises:
        Refused: no JSON, an unknown field ("did you mean"), or a value that does not fit.
    """
    return checked(Chat, body)


def checked(kind: type[BodyT], body: bytes) -> BodyT:
    """A client's body as the type that describes it.

    Raises:
        Refused: as above.
    """
    try:
        value = json.loads(body)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()  # half of a character is no text
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise Refused(f"'{where}' is not served here.{did_you_mean(where, kind.model_fields)}", where) from error
        raise Refused(f"{where or 'body'}: {first['msg']}", where or None) from error
    except (ValueError, RecursionError) as error:
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
    row, adjusted, first = row_of(chat, offer), _adjusted(candidate, chat), _first(chat)
    by_answer = [
        questions(adjusted, row, offer.labels, first + k if adjusted.decoding.samples else 0, retrieve)
        for k in range(chat.n)
    ]
    return [request for several in by_answer for request in several]


def writes(chat: Chat, offer: ServedModel) -> bool:
    """Whether what the model writes is the answer: not where a label is chosen, nor where it is read off thoughts."""
    candidate = offer.candidate
    if candidate is None:
        return chat.structured_outputs is None
    decoding = candidate.decoding
    return decoding.mode != "choose" and decoding.votes == 1 and not decoding.answer_mark


def write_requests(chat: Chat, offer: ServedModel, retrieve: Retrieve = by_words) -> list[WriteRequest]:
    """The `n` answers to write, with all that the client says of them.

    Raises:
        Refused: messages that do not fit the model id.
    """
    top = (chat.top_logprobs or 0) if chat.logprobs else None
    return [
        WriteRequest(request, _shared(request, offer), chat.stops, chat.top_p, top, chat.schema_text)
        for request in requests(chat, offer, retrieve)
    ]


def refuse_of_choices(chat: Chat, offer: ServedModel) -> None:
    """Refuse what makes no sense where a label is chosen or an answer is read off thoughts.

    Raises:
        Refused: the client asks for it.
    """
    if chat.schema_text:
        raise Refused(f"'{chat.model}' brings its own form of answers; ask 'base' for another", "response_format")
    if chat.logprobs and not offer.labels and chat.structured_outputs is None:
        raise Refused(f"'{chat.model}' reads its answer off longer texts, whose tokens are not it", "logprobs")


def _shared(request: Request, offer: ServedModel) -> int:
    """Leading messages that others are likely to share: a candidate's prompt, or the client's system message."""
    messages = request.messages
    if offer.candidate is not None:
        own = next((n for n, message in enumerate(messages) if message.earlier), len(messages) - 1)
        return 0 if offer.candidate.prompt.pool else own
    return next((n for n, message in enumerate(messages) if message.role != "system"), 0)


def _first(chat: Chat) -> int:
    """A drawn answer's number is its seed: the same request gives the same answer."""
    return (chat.seed or 0) * MOST


def answers(chat: Chat, offer: ServedModel, replies: list[Reply]) -> list[Reply]:
    """The `n` answers of the replies to `requests`: read off thoughts and voted on where the candidate says so."""
    if offer.candidate is None:
        return replies
    adjusted, bias = _adjusted(offer.candidate, chat), offer.candidate.decoding.bias
    each = adjusted.decoding.votes
    read = (read_off(adjusted, replies[start : start + each]) for start in range(0, len(replies), each))
    return [biased(reply, bias) for reply in read]


def _bias(chat: Chat, labels: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    unknown = [label for label in chat.choice_bias if label not in labels]
    if unknown:
        raise Refused(f"choice_bias names '{unknown[0]}', which is no choice", "choice_bias")
    return tuple((label, chat.choice_bias[label]) for label in labels if label in chat.choice_bias)


def _adjusted(candidate: Candidate, chat: Chat) -> Candidate:
    """The contest's candidate; for written text the client may ask for another length or temperature.

    Without its bias, which is added to what the model says, as the contest does.
    """
    decoding = replace(candidate.decoding, bias=())
    if decoding.mode == "choose":
        return replace(candidate, decoding=decoding)
    temperature = decoding.temperature if chat.temperature is None else chat.temperature
    votes = decoding.votes if temperature > 0 else 1  # at temperature 0 all would be equal
    limit = chat.limit or decoding.max_tokens
    return replace(candidate, decoding=replace(decoding, max_tokens=limit, temperature=temperature, votes=votes))


def row_of(chat: Chat, offer: ServedModel) -> Example:
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
