"""Answers that are written openly are those of a whole call, whatever joins, leaves or shares a prefix meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from whichway.contracts import WriteRequest, WrittenPiece
from whichway.engine.infer.answer_text import AnswerText
from whichway.engine.infer.session import InferenceSession
from whichway.errors import UserError
from whichway.nouns import Decoding, Message, Reply, Request

SYSTEM = Message("system", "Answer in one word, as a friendly clerk of a small shop would do.")
TEXTS = ("Where is my parcel?", "I was billed twice", "The app crashes when I open it", "hello", "refund please", "x")


def request(text: str, limit: int = 12, temperature: float = 0.0, system: bool = False) -> Request:
    turns = (*((SYSTEM,) if system else ()), Message("user", text))
    return Request(turns, Decoding("generate", limit, temperature))


def run(batch: Any, joins: dict[int, list[WriteRequest]]) -> tuple[dict[int, str], dict[int, Reply]]:
    """Texts and replies by number; `joins`: step -> requests that join before it."""
    texts: dict[int, str] = {}
    replies: dict[int, Reply] = {}
    waiting, step = sum(len(several) for several in joins.values()), 0
    while len(replies) < waiting:
        for query in joins.get(step, ()):
            texts[batch.admit(query)] = ""
        for piece in batch.step():
            texts[piece.number] += piece.text
            if piece.reply is not None:
                replies[piece.number] = piece.reply
        step += 1
        assert step < 500
    return texts, replies


@pytest.fixture
def session(opened: Callable[[str], Any]) -> InferenceSession:
    model = opened("llama")
    return InferenceSession(model, model.module)


def test_whoever_joins_the_answers_are_those_of_a_whole_call(session: InferenceSession) -> None:
    requests = [
        request(text, 4 + 3 * n, temperature, system)
        for system in (False, True)
        for temperature in (0.0, 0.9)
        for n, text in enumerate(TEXTS)
    ]
    alone = [session.generate([one])[0] for one in requests]
    joins: dict[int, list[WriteRequest]] = {}
    for n, one in enumerate(requests):
        joins.setdefault(n // 3, []).append(WriteRequest(one, shared=1 if len(one.messages) > 1 else 0))
    texts, replies = run(session.open_batch(), joins)
    assert [replies[n].text for n in sorted(replies)] == [reply.text for reply in alone]
    assert [texts[n] for n in sorted(texts)] == [reply.text for reply in alone]
    assert [replies[n].finish for n in sorted(replies)] == [reply.finish for reply in alone]
    assert [replies[n].tokens_out for n in sorted(replies)] == [reply.tokens_out for reply in alone]
    assert [r.tokens_in + r.tokens_cached for _, r in sorted(replies.items())] == [reply.tokens_in for reply in alone]
    assert any(reply.tokens_cached for reply in replies.values())  # the system message was computed once


def test_an_answer_that_is_dropped_leaves_the_others_as_they_are(session: InferenceSession) -> None:
    batch = session.open_batch()
    numbers = [batch.admit(WriteRequest(request(text, 20))) for text in TEXTS[:3]]
    batch.step()
    batch.drop(numbers[0])
    texts: dict[int, list[WrittenPiece]] = {}
    for _ in range(30):
        for piece in batch.step():
            texts.setdefault(piece.number, []).append(piece)
    assert numbers[0] not in texts
    for number, text in zip(numbers[1:], TEXTS[1:3], strict=True):
        assert texts[number][-1].reply is not None
        assert texts[number][-1].reply.text == session.generate([request(text, 20)])[0].text


def test_a_stop_text_ends_an_answer_and_is_never_handed_out(session: InferenceSession) -> None:
    whole = session.generate([request("hello", 30)])[0]
    stop = whole.text[3:5]
    texts, replies = run(session.open_batch(), {0: [WriteRequest(request("hello", 30), stops=(stop,))]})
    assert texts[0] == replies[0].text == whole.text[: whole.text.find(stop)]
    assert replies[0].finish == "stop"
    assert replies[0].tokens_out < whole.tokens_out


def test_log_probabilities_are_those_of_the_model(session: InferenceSession) -> None:
    batch, pieces = session.open_batch(), []
    batch.admit(WriteRequest(request("hello", 6), top_logprobs=3))
    while not pieces or pieces[-1].reply is None:
        pieces += batch.step()
    tokens = [token for piece in pieces for token in piece.tokens]
    assert len(tokens) == pieces[-1].reply.tokens_out
    for token in tokens:  # greedy: each token is the likeliest
        assert len(token.likeliest) == 3
        assert (token.text, token.logprob) == token.likeliest[0]
        assert 1 >= sum(2.718281828**number for _, number in token.likeliest) > 0


def test_a_prompts_own_tokens_are_scored(session: InferenceSession) -> None:
    batch = session.open_batch()
    decoding = Decoding("generate", 2)
    batch.admit(WriteRequest(Request((), decoding), plain="Where is my parcel?", reads_prompt=True, top_logprobs=1))
    pieces: list[WrittenPiece] = []
    while not pieces or pieces[-1].reply is None:
        pieces += batch.step()
    prompt = next(piece.prompt for piece in pieces if piece.prompt)
    nats = session.read(["Where is my parcel?"])[0].scores["nats"]
    assert -sum(token.logprob for token in prompt[1:]) == pytest.approx(nats, rel=1e-4)


def test_a_narrow_nucleus_leaves_the_likeliest(session: InferenceSession) -> None:
    greedy = session.generate([request("hello", 8)])[0].text
    drawn = [WriteRequest(request("hello", 8, 1.5), top_p=share) for share in (1e-6, 1.0)]
    _, replies = run(session.open_batch(), {0: drawn})
    assert replies[0].text == greedy
    assert replies[1].text != greedy


SCHEMA = {
    "type": "object",
    "properties": {"team": {"enum": ["billing", "shipping"]}, "urgent": {"type": "boolean"}},
    "required": ["team", "urgent"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_answer_fits_its_schema(session: InferenceSession, temperature: float) -> None:
    query = WriteRequest(request("Where is my parcel?", 60, temperature), schema=json.dumps(SCHEMA))
    other = WriteRequest(request("hello", 8))
    texts, replies = run(session.open_batch(), {0: [other, query]})
    value = json.loads(texts[1])
    assert set(value) == {"team", "urgent"}
    assert value["team"] in ("billing", "shipping")
    assert replies[1].finish == "stop"
    assert replies[0].text == session.generate([request("hello", 8)])[0].text


def test_a_broken_schema_is_refused(session: InferenceSession) -> None:
    with pytest.raises(UserError, match="schema"):
        session.open_batch().admit(WriteRequest(request("x"), schema='{"type": "nonsense"}'))


def test_a_prompt_that_does_not_fit_is_refused_by_its_size(session: InferenceSession) -> None:
    _, replies = run(session.open_batch(), {0: [WriteRequest(request("parcel " * 600))]})
    assert replies[0].finish == "error"
    assert "tokens" in replies[0].error


class _Letters:
    """A renderer whose ids are characters."""

    chat, opens, ends = True, False, frozenset({0})

    def text(self, ids: list[int]) -> str:
        return bytes(i for i in ids if i).decode(errors="replace").strip()


@pytest.mark.parametrize(
    ("text", "stops", "answer"),
    [
        ("a word", (), "a word"),
        ("née 🙂 x", (), "née 🙂 x"),
        ("one STOP two", ("STOP",), "one "),
        ("one STO two", ("STOP",), "one STO two"),
        ("<think>hm</think> yes", (), "yes"),
        ("  spaces  ", (), "spaces"),
        ("<thin air", (), "<thin air"),
    ],
)
def test_pieces_make_the_answer_and_nothing_is_taken_back(text: str, stops: tuple[str, ...], answer: str) -> None:
    reader, ids, pieces = AnswerText(_Letters(), stops, False), [*text.encode()], []  # type: ignore[arg-type]
    for size in range(1, len(ids) + 1):
        pieces.append(reader.piece(ids[:size], over=size == len(ids)))
        if reader.stopped:
            break
    assert "".join(pieces) == answer == reader.whole(ids)[0]
