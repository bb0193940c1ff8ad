"""Shots that a sentence encoder chooses for each row, and the prompt that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from whichway.errors import ModelError
from whichway.nouns import Candidate, Decoding, Prompt, Shot, Weights, from_json, to_json
from whichway.prompts.ask import questions
from whichway.prompts.files import dump, load
from whichway.prompts.nearest import ShotRetriever, by_words
from whichway.prompts.template import messages

ENCODER = Weights("encoder", "some/minilm", "abc123")
POOL = tuple(Shot(text, answer) for text, answer in (("aa", "1"), ("ab", "1"), ("bb", "2"), ("bc", "2")))
PROMPT = Prompt(objective="Which?", pool=POOL, nearest=2, encoder=ENCODER)


def vector(text: str) -> np.ndarray[Any, Any]:
    counts = np.array([text.count(letter) for letter in "abc"], np.float32)
    return counts / np.linalg.norm(counts)


class Counting:
    """Letter counts as vectors, and which texts were read."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, weights: Weights, texts: Sequence[str]) -> list[np.ndarray[Any, Any]]:
        assert weights == ENCODER
        self.calls.append(tuple(texts))
        return [vector(text) for text in texts]


def test_the_most_similar_vector_stands_last_and_the_row_itself_is_left_out() -> None:
    retrieve = ShotRetriever(Counting())
    assert [shot.text for shot in retrieve(PROMPT, "aaab")] == ["ab", "aa"]
    assert [shot.text for shot in retrieve(PROMPT, "aa")] == ["bb", "ab"]
    assert [turn.content for turn in messages(PROMPT, "aa", retrieve)] == ["Which?", "bb", "2", "ab", "1", "aa"]
    one = Candidate(PROMPT, ENCODER, Decoding())
    assert questions(one, "aa", ("1", "2"), retrieve=retrieve)[0].messages == messages(PROMPT, "aa", retrieve)


def test_each_text_is_read_once_and_those_known_beforehand_together() -> None:
    embed = Counting()
    retrieve = ShotRetriever(embed)
    retrieve.prepare(PROMPT, ["aa", "c", "c"])
    assert embed.calls == [("aa", "ab", "bb", "bc"), ("c",)]
    retrieve(PROMPT, "c")
    retrieve(replace(PROMPT, nearest=1), "aa")
    assert len(embed.calls) == 2
    assert retrieve(replace(PROMPT, nearest=0), "never read") == ()
    assert len(embed.calls) == 2


def test_a_prompt_names_its_encoder_by_its_files_and_old_ones_keep_their_digest() -> None:
    plain = replace(PROMPT, encoder=None)
    assert "encoder" not in plain.content
    assert "encoder" not in to_json(plain)
    assert PROMPT.content["encoder"] == "abc123"
    moved = replace(PROMPT, encoder=replace(ENCODER, base="elsewhere"))
    ids = [Candidate(prompt, ENCODER, Decoding()).id for prompt in (plain, PROMPT, moved)]
    assert ids[0] != ids[1] == ids[2]
    assert from_json(Prompt, to_json(PROMPT)) == PROMPT
    assert load(dump(PROMPT)) == PROMPT


def test_words_never_stand_in_for_an_encoder() -> None:
    with pytest.raises(ModelError, match=r"some/minilm.*abc123"):
        messages(PROMPT, "aa")
    assert ShotRetriever(Counting())(replace(PROMPT, encoder=None), "ab bb") == by_words(
        replace(PROMPT, encoder=None), "ab bb"
    )
