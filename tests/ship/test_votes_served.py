"""A candidate that thinks and votes, under a model id: questions and answers over the chat protocol."""

from __future__ import annotations

from typing import Any

from whichway.nouns import Candidate, Decoding, Prompt, Reply, Shot, Weights
from whichway.ship.protocol import Chat, answers, requests
from whichway.ship.served_models import ServedModel

WEIGHTS = Weights("fake", "fake")
DECODING = Decoding("generate", 50, 0.7, answer_mark="Answer:", votes=3)
OFFER = ServedModel(WEIGHTS, None, Candidate(Prompt("Which?", labels=("a", "b")), WEIGHTS, DECODING), (), ("text",))


def chat(**said: Any) -> Chat:
    return Chat.model_validate({"model": "winner", "messages": [{"role": "user", "content": "row"}], **said})


def test_each_answer_takes_its_votes_from_texts_of_its_own() -> None:
    asked = requests(chat(n=2), OFFER)
    assert [request.repeat for request in asked] == [0, 1, 2, 3, 4, 5]
    assert requests(chat(n=2), OFFER) == asked
    assert requests(chat(n=2, seed=1), OFFER)[0].repeat == 16 * 3
    texts = ("Answer: a", "Answer: B", "Answer: b.", "none", "none", "none")
    first, second = answers(chat(n=2), OFFER, [Reply(text, tokens_out=2) for text in texts])
    assert (first.text, first.tokens_out) == ("b", 6)
    assert (second.text, bool(second.unread)) == ("none", True)


def test_at_temperature_0_one_text_is_the_vote() -> None:
    cold = chat(temperature=0, max_tokens=7)
    (request,) = requests(cold, OFFER)
    assert (request.decoding.temperature, request.decoding.max_tokens) == (0, 7)
    assert answers(cold, OFFER, [Reply("so: Answer: a")])[0].text == "a"


def test_shots_for_a_row_are_chosen_by_the_server() -> None:
    prompt = Prompt("Which?", pool=(Shot("late parcel", "b"), Shot("card", "a")), nearest=1)
    offer = ServedModel(WEIGHTS, None, Candidate(prompt, WEIGHTS, Decoding()), ("a", "b"), ("text",))
    said = chat(messages=[{"role": "user", "content": "my card"}])
    (request,) = requests(said, offer)
    assert [turn.content for turn in request.messages] == ["Which?", "card", "a", "my card"]
    assert request.labels == ("a", "b")
