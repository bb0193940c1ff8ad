"""Replies from answers in the form that OpenAI publishes: chat, structured output, log-probabilities, refusal, ..."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from endpoint_kit import KEY, LABELS, Endpoint, serving, shelf, truth

from whichway.backends._openai import label_reading
from whichway.backends._openai.calls import Pace
from whichway.backends._openai.label_reading import Token
from whichway.backends._openai.limiter import Limiter, retry_after
from whichway.backends.openai import OpenAIBackend
from whichway.errors import EndpointError, ModelError, WayFailed
from whichway.models import endpoints
from whichway.nouns import Decoding, Message, Reply, Request

QUICK = Pace(tries=12, patience_seconds=20, first_wait=0.005, longest_wait=0.02)


def ask(text: str = "my refund", labels: tuple[str, ...] = LABELS, **decoding: Any) -> Request:
    mode = "choose" if labels else "generate"
    return Request((Message("system", "Which team?"), Message("user", text)), Decoding(mode, **decoding), labels)


def replies(
    endpoint: Endpoint, folder: Path, monkeypatch: pytest.MonkeyPatch, *requests: Request, **entry: Any
) -> list[Reply]:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FAKE_KEY", KEY)
    with serving(endpoint) as address:
        shelf(folder, address, **entry)
        backend = OpenAIBackend(QUICK)
        with backend.open(backend.weights("there"), None) as session:
            return (session.choose if requests[0].labels else session.generate)(list(requests))


def chat(message: dict[str, Any], finish: str = "stop", usage: dict[str, Any] | None = None, **choice: Any) -> Any:
    used = usage or {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
    found = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **choice}
    body = {"id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion", "created": 1741569952,
            "model": "gpt-x", "choices": [found], "usage": used, "service_tier": "default"}  # fmt: skip
    return lambda _: body


def one(answer: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, request: Request, **entry: Any) -> Reply:
    return replies(Endpoint(answer=answer), folder, monkeypatch, request, **entry)[0]


def test_chat_with_cached_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = {
        "prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "accepted_prediction_tokens": 0},
    }  # fmt: skip
    message = {"content": "Hello! How can I assist you today?", "refusal": None, "annotations": []}
    reply = one(chat(message, usage=usage), tmp_path, monkeypatch, ask("Hello!", labels=()))
    assert (reply.text, reply.tokens_in, reply.tokens_cached, reply.tokens_out) == (message["content"], 26, 64, 10)
    assert (reply.finish, reply.unread, reply.thoughts) == ("stop", "", "")
    assert reply.seconds > 0


def test_structured_output_limits_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint()
    (reply,) = replies(endpoint, tmp_path, monkeypatch, ask("where is my parcel"))
    assert reply.text == "delivery"
    sent = endpoint.bodies[0]["response_format"]["json_schema"]
    assert sent["strict"] is True
    assert sent["schema"]["properties"]["answer"]["enum"] == list(LABELS)
    assert endpoint.bodies[0]["temperature"] == 0.0
    assert "seed" not in endpoint.bodies[0]


def shown(*parts: tuple[str, float, dict[str, float]]) -> dict[str, Any]:
    def token(text: str, value: float) -> dict[str, Any]:
        return {"token": text, "logprob": value, "bytes": list(text.encode())}

    content = [
        {**token(text, value), "top_logprobs": [token(t, p) for t, p in {text: value, **top}.items()]}
        for text, value, top in parts
    ]
    return {"content": content, "refusal": None}


def test_log_probabilities_become_label_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = shown(
        ('{"', 0.0, {}), ("answer", 0.0, {}), ('":"', 0.0, {'":': -9.0}),
        ("bill", math.log(0.6), {"del": math.log(0.3), "acc": math.log(0.1)}), ("ing", 0.0, {}), ('"}', 0.0, {}),
    )  # fmt: skip
    answer = chat({"content": '{"answer":"billing"}'}, logprobs=parts)
    reply = one(answer, tmp_path, monkeypatch, ask())
    assert reply.text == "billing"
    assert {label: round(math.exp(score), 3) for label, score in reply.scores.items()} == {
        "billing": 0.6, "delivery": 0.3, "account": 0.1,
    }  # fmt: skip


def test_labels_that_share_a_beginning_share_its_probability() -> None:
    tokens = [
        Token(" refund", math.log(0.5), ((" ship", math.log(0.4)), (" refund", math.log(0.5)))),
        Token(" open", math.log(0.75), ((" closed", math.log(0.25)), (" open", math.log(0.75)))),
    ]
    labels = ("refund open", "refund closed", "shipping late", "shipping lost")
    found = label_reading.scores(tokens, labels)
    chances = {label: math.exp(score) for label, score in found.items()}
    assert sum(chances.values()) == pytest.approx(1.0)
    assert chances["refund open"] == pytest.approx(0.375 / 0.9)
    assert chances["refund closed"] == pytest.approx(0.125 / 0.9)
    assert chances["shipping late"] == chances["shipping lost"] == pytest.approx(0.2 / 0.9)
    raw = [Token(" refund", -9.0, ((" The", -0.1), (" I", -3.0))), Token(" open", -8.0, ((" the", -0.2),))]
    limited = label_reading.scores(raw, labels)  # as the model would have liked to write without the limit
    assert max(limited, key=lambda label: limited[label]) == "refund open"
    assert label_reading.scores([Token("none of them", -0.1, ())], labels) == {}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("billing", "billing"), (" Billing.", "billing"), ('{"answer": "delivery"}', "delivery"),
        ("**account**\nbecause of the password", "account"), ("Answer: delivery, I think", "delivery"),
        ("It goes to the billing team.", "billing"), ("billing or delivery", "billing"),
        ("Either the account or the billing team.", None), ("", None), ("accounting", None),
    ],
)  # fmt: skip
def test_labels_are_read_off_text(text: str, label: str | None) -> None:
    assert label_reading.read(text, LABELS) == label


def test_an_answer_that_names_no_label_is_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = one(chat({"content": "I cannot tell."}), tmp_path, monkeypatch, ask())
    assert reply.unread == "none of the labels: 'I cannot tell.'"
    assert reply.finish == "stop"


def test_a_refusal_is_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = {"content": None, "refusal": "I'm sorry, I cannot assist with that request."}
    reply = one(chat(message), tmp_path, monkeypatch, ask())
    assert reply.unread == "refused: I'm sorry, I cannot assist with that request."


def test_content_filters_are_outcomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = one(chat({"content": ""}, "content_filter"), tmp_path, monkeypatch, ask(labels=()))
    assert reply.unread == "stopped by the provider's content filter"


@pytest.mark.parametrize("where", ["reasoning_content", "reasoning", "think", "parts"])
def test_thoughts_are_kept_apart(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message: dict[str, Any] = {"content": "delivery", where: "A parcel is late."}
    if where == "think":
        message = {"content": "<think>A parcel is late.</think>\n\ndelivery"}
    if where == "parts":
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "A parcel is late."}]}
        message = {"content": [thought, {"type": "text", "text": "delivery"}]}
    for labels in (LABELS, ()):
        reply = one(chat(message), tmp_path, monkeypatch, ask(labels=labels))
        assert (reply.text, reply.thoughts, reply.unread) == ("delivery", "A parcel is late.", "")


def test_reasoning_that_eats_the_answer_says_what_to_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = {
        "prompt_tokens": 20, "completion_tokens": 60, "completion_tokens_details": {"reasoning_tokens": 60},
    }  # fmt: skip
    reply = one(chat({"content": ""}, "length", usage), tmp_path, monkeypatch, ask(labels=()))
    assert reply.finish == "length"
    assert reply.unread.startswith("cut off after 60 tokens, 60 of them reasoning")
    endpoint = Endpoint()
    replies(endpoint, tmp_path, monkeypatch, ask(labels=(), max_tokens=50), thinking_tokens=1000)
    assert endpoint.bodies[0]["max_tokens"] == 1050


def test_a_cut_text_is_an_answer_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = one(chat({"content": "half a sen"}, "length"), tmp_path, monkeypatch, ask(labels=()))
    assert (reply.text, reply.finish, reply.unread) == ("half a sen", "length", "")


def test_fields_that_an_endpoint_does_not_know_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(refuses=("temperature", "max_tokens", "logprobs", "response_format", "structured_outputs"))
    texts = ["my refund", "a parcel", "the password"]
    found = replies(endpoint, tmp_path, monkeypatch, *(ask(text) for text in texts))
    assert [reply.text for reply in found] == [truth(text) for text in texts]
    assert endpoint.bodies[-1].keys() == {"model", "messages", "max_completion_tokens"}


def test_a_schema_in_the_older_form_and_a_500_that_is_the_requests_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What llama-cpp-python's server says: a wrong request is a 500, and a schema goes with the type json_object."""

    def answer(body: Any) -> Any:
        if body["response_format"]["type"] == "json_schema":
            message = "1 validation error: {'loc': ('body', 'response_format', 'type'), 'input': 'json_schema'}"
            return {"error": {"message": message, "code": 500}}
        return None

    endpoint = Endpoint(answer=answer)
    endpoint.charge = lambda found: None  # type: ignore[method-assign]
    (reply,) = replies(endpoint, tmp_path, monkeypatch, ask("the parcel"))
    assert reply.text == "delivery"
    assert endpoint.bodies[-1]["response_format"]["schema"]["properties"]["answer"]["enum"] == list(LABELS)


def test_drawn_answers_have_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint()
    request = Request((Message("user", "x"),), Decoding("generate", temperature=0.8), repeat=3)
    replies(endpoint, tmp_path, monkeypatch, request)
    assert (endpoint.bodies[0]["temperature"], endpoint.bodies[0]["seed"]) == (0.8, 3)


def test_one_refused_row_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky(Endpoint):
        def completion(self, body: Any) -> Any:
            return super().completion(body)

    endpoint = Picky(answer=lambda body: {"error": {"message": "maximum context length is 10", "code": 400}}
                     if "long" in body["messages"][-1]["content"] else None)  # fmt: skip
    endpoint.charge = lambda found: None  # type: ignore[method-assign]
    found = replies(endpoint, tmp_path, monkeypatch, ask("a refund"), ask("too long"), ask("a parcel"))
    assert [reply.finish for reply in found] == ["stop", "error", "stop"]
    assert "maximum context length" in found[1].error


def test_completions_score_labels_by_echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def echoed(body: Any) -> Any:
        if not body.get("echo"):
            return None
        text = body["prompt"]
        cut = text.rindex(" ")
        value = -0.5 if text[cut + 1 :] == truth(text[:cut]) else -2.0
        shown = {"tokens": [text[:cut], text[cut:], "."], "token_logprobs": [None, value, -1.0],
                 "text_offset": [0, cut, len(text)], "top_logprobs": None}  # fmt: skip
        choice = {"index": 0, "text": text + ".", "finish_reason": "length", "logprobs": shown}
        return {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 1}}

    endpoint = Endpoint(answer=echoed)
    (reply,) = replies(endpoint, tmp_path, monkeypatch, ask("the parcel"), api="completions")
    assert reply.text == "delivery"
    assert (reply.tokens_in, reply.tokens_out, endpoint.calls) == (21, 3, 3)
    assert sum(map(math.exp, reply.scores.values())) == pytest.approx(1.0)
    assert endpoint.bodies[0]["prompt"].startswith("Which team?\n\nInput: the parcel\n\nAnswer: ")
    plain = Endpoint(answer=lambda body: f" {truth(body['prompt'])}\n")
    (reply,) = replies(plain, tmp_path, monkeypatch, ask("the parcel"), api="completions")
    assert (reply.text, reply.scores) == ("delivery", {})


def test_echoed_numbers_of_other_tokens_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As llama-cpp-python answers for a model without BOS: no number for the written token, all others too early."""

    def early(body: Any) -> Any:
        if not body.get("echo"):
            return f" {truth(body['prompt'])}\n"
        text = body["prompt"]
        cut = text.rindex(" ")
        shown = {"tokens": [text[:cut], text[cut:]], "token_logprobs": [None, -8.6], "text_offset": [0, cut],
                 "top_logprobs": [None, {".": -0.4, text[cut:]: -8.6}]}  # fmt: skip
        choice = {"index": 0, "text": text + ".", "finish_reason": "length", "logprobs": shown}
        return {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 1}}

    (reply,) = replies(Endpoint(answer=early), tmp_path, monkeypatch, ask("the parcel"), api="completions")
    assert (reply.text, reply.scores) == ("delivery", {})  # read off the text instead
    (reply,) = replies(
        Endpoint(answer=early), tmp_path, monkeypatch, ask("the parcel"), api="completions", capabilities=["echo"]
    )
    assert reply.finish == "error"
    assert "one token too early" in reply.error


def test_what_an_api_cannot_do_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WayFailed, match="leave out channel"):
        replies(Endpoint(), tmp_path, monkeypatch, ask(channel=True))
    likelier = Request((Message("user", "x"),), Decoding("likelier"), ("a", "b"))
    with pytest.raises(WayFailed, match="capability echo"):
        replies(Endpoint(), tmp_path, monkeypatch, likelier)


def test_a_wrong_key_says_what_to_do_and_never_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EndpointError, match="Put a key that is valid into FAKE_KEY") as error:
        replies(Endpoint(key="another"), tmp_path, monkeypatch, ask())
    assert KEY not in str(error.value)
    assert "[key]" in str(error.value)


def test_an_endpoint_that_refuses_everything_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EndpointError, match="refuses every request"):
        replies(Endpoint(refuses=("messages",)), tmp_path, monkeypatch, *(ask(f"{n}") for n in range(30)))


def test_words_for_endpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_BASE_URL", "ENDPOINT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    openai = endpoints.find("openai:gpt-x")
    assert openai is not None
    assert (openai.base_url, openai.key, openai.limit) == (
        "https://api.openai.com/v1", "OPENAI_API_KEY", "max_completion_tokens",
    )  # fmt: skip
    there = endpoints.find("org/model@http://box:8000/v1/")
    assert there is not None
    assert (there.model, there.base_url) == ("org/model", "http://box:8000/v1")
    assert there.key == "", "OpenAI's key is for OpenAI only"
    assert endpoints.find("smollm2") is None
    assert endpoints.find("owner/name") is None
    for wrong in ("m@http://user:word@host/v1", "m@https://host/v1?key=1", "@http://host/v1", "openai:"):
        with pytest.raises(ModelError):
            endpoints.find(wrong)
    backend = OpenAIBackend()
    assert backend.weights("openai:a").revision != backend.weights("openai:b").revision
    assert backend.weights("a@http://x/v1").revision != backend.weights("a@http://y/v1").revision
    assert backend.trains() == {"hosted"}
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ModelError, match="OPENAI_API_KEY is not set"):
        backend.check(backend.weights("openai:a"))


def test_retry_after_in_both_forms() -> None:
    from datetime import UTC, datetime, timedelta
    from email.utils import format_datetime

    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 < retry_after({"retry-after": soon}) <= 30
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "soon"}) == retry_after({}) == 0


def test_the_limiter_grows_by_one_and_halves_once_for_a_burst() -> None:
    import threading

    limiter, stop = Limiter(16), threading.Event()
    for _ in range(40):
        assert limiter.acquire(stop) is not None
        limiter.succeeded()
    grown = limiter.limit
    assert 8 < grown < 16
    starts = [limiter.acquire(stop) for _ in range(3)]
    for began in starts:
        assert began is not None
        limiter.slowed(began, 0.0)
    assert limiter.limit == pytest.approx(grown / 2), "one burst counts once"


def test_a_storm_lowers_concurrency_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(fault=lambda number: "429" if 10 < number < 40 else None)
    texts = [f"{word} {n}" for n in range(20) for word in ("refund", "parcel", "password")]
    found = replies(endpoint, tmp_path, monkeypatch, *(ask(text) for text in texts), concurrency=8)
    assert [reply.text for reply in found] == [truth(text) for text in texts]
    assert endpoint.most_at_once <= 8
    assert len(endpoint.delivered) == len(texts)


def test_schema_and_bounds_hold_for_odd_labels() -> None:
    odd = ('say "no"', "naïve", "ünïcode\\path")
    for label in odd:
        assert label_reading.read(json.dumps({"answer": label}), odd) == label
        assert label_reading.longest(odd) >= len(json.dumps({"answer": label}, ensure_ascii=False).encode())
