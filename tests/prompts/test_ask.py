"""From a row to questions and from replies to one answer: marks, votes, sums."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whichway.nouns import Candidate, Decoding, Prompt, Reply, Request, Weights, to_json
from whichway.prompts.answer_extraction import extract, vote
from whichway.prompts.ask import answer, questions

WEIGHTS = Weights("fake", "fake")
LABELS = ("bill", "billing", "technical support")


@pytest.mark.parametrize(
    ("text", "labels", "read"),
    [
        ("It is about money.\nAnswer: billing", LABELS, "billing"),
        ("Answer: bill\nNo.\nANSWER: **Technical Support**.", LABELS, "technical support"),
        ("Answer:\n\n  Billing, because of the card", LABELS, "billing"),
        ("Answer: bills", LABELS, "bills"),
        ("billing", LABELS, None),
        ("Answer: ", LABELS, None),
        ("2 + 2.\nAnswer: 4\nfour", (), "4\nfour"),
        ("no mark", (), None),
    ],
)
def test_the_answer_behind_the_mark(text: str, labels: tuple[str, ...], read: str | None) -> None:
    assert extract(text, "Answer:", labels) == read


def test_votes() -> None:
    assert vote(["a", "b", "B ", None]) == ("b", 2)
    assert vote(["b", "a"]) == ("b", 1)
    assert vote([None, None]) == (None, 0)


def thinker(votes: int = 3) -> Candidate:
    decoding = Decoding("generate", 50, 0.7, answer_mark="Answer:", votes=votes)
    return Candidate(Prompt("Which?", labels=LABELS), WEIGHTS, decoding)


def test_questions_of_repeats_never_meet() -> None:
    asked = [request for repeat in range(3) for request in questions(thinker(), "row", repeat=repeat)]
    assert [request.repeat for request in asked] == list(range(9))
    assert {request.decoding for request in asked} == {Decoding("generate", 50, 0.7)}
    assert len({request.messages for request in asked}) == 1


def test_the_majority_answers_and_pays_for_all() -> None:
    texts = ("hm. Answer: bill", "well. Answer: billing", "so. Answer: billing")
    replies = [Reply(text, 10, 5, 4, 0.5) for text in texts]
    told = answer(thinker(), replies)
    assert told.text == "billing"
    assert told.thoughts == "[2 of 3 texts]\nwell. Answer: billing"
    assert (told.tokens_in, told.tokens_cached, told.tokens_out, told.seconds) == (30, 15, 12, 1.5)


def test_no_answer_is_said_to_be_none() -> None:
    told = answer(thinker(), [Reply("I wonder"), Reply("on and on", finish="length"), Reply("billing")])
    assert told.text == "I wonder"
    assert told.unread == "no 'Answer:' with an answer after it; 1 of 3 texts were cut off"
    broken = Reply("", finish="error", error="too long")
    assert answer(thinker(), [Reply("Answer: bill"), broken, Reply("Answer: bill")]) == broken


def test_plain_replies_pass_as_they_are() -> None:
    candidate = Candidate(Prompt("Which?"), WEIGHTS, Decoding())
    reply = Reply("Answer: bill", scores={"bill": -1.0})
    assert answer(candidate, [reply]) is reply
    assert questions(candidate, "row", ("a", "b")) == (
        Request(questions(candidate, "row")[0].messages, Decoding(), ("a", "b")),
    )


def test_reasoning_is_taken_off_a_reply_of_any_backend() -> None:
    candidate = Candidate(Prompt("Which?"), WEIGHTS, Decoding("generate"))
    reply = answer(candidate, [Reply("<think>paid twice</think>\n\nbilling", tokens_out=9)])
    assert (reply.text, reply.thoughts, reply.tokens_out) == ("billing", "paid twice", 9)
    apart = answer(candidate, [Reply("<think>b</think>billing", thoughts="as the endpoint gave them")])
    assert (apart.text, apart.thoughts) == ("billing", "as the endpoint gave them")
    voted = answer(thinker(), [Reply(f"<think>Answer: bill</think>Answer: {label}") for label in ("a", "b", "b")])
    assert voted.text == "b"
    unread = Reply("<think>a</think>", unread="no end")
    assert answer(candidate, [unread]) is unread


def test_old_candidates_and_requests_keep_their_digests() -> None:
    assert "votes" not in to_json(Decoding())
    assert to_json(Decoding(votes=5))["votes"] == 5
    assert "answer_mark" not in to_json(Request((), Decoding()))["decoding"]
    plain = thinker(1)
    assert replace(plain, decoding=replace(plain.decoding, votes=3)).id != plain.id
