"""Shots chosen for each row."""

from __future__ import annotations

from dataclasses import replace

from whichway.nouns import Prompt, Shot, to_json
from whichway.prompts.nearest import by_words
from whichway.prompts.template import messages

POOL = (
    Shot("the parcel is late", "delivery"),
    Shot("charged twice for the parcel", "billing"),
    Shot("how many seats do you offer", "sales"),
    Shot("is the late parcel on its way", "delivery"),
)


def test_the_most_similar_stands_last_and_the_row_itself_is_left_out():
    prompt = Prompt(pool=POOL, nearest=2)
    found = by_words(prompt, "my parcel is late")
    assert [shot.text for shot in found] == [POOL[3].text, POOL[0].text]
    assert POOL[0] not in by_words(prompt, POOL[0].text)
    assert by_words(prompt, "my parcel is late") == found


def test_without_a_shared_word_the_first_of_the_pool_are_shown():
    assert by_words(Prompt(pool=POOL, nearest=2), "zzz") == (POOL[1], POOL[0])
    assert by_words(Prompt(pool=POOL), "the parcel") == ()
    assert by_words(Prompt(nearest=3), "the parcel") == ()
    assert len(by_words(Prompt(pool=POOL, nearest=9), "the parcel")) == 4


def test_they_stand_behind_the_fixed_shots_and_before_the_row():
    prompt = Prompt(objective="Which?", shots=(Shot("a", "b"),), pool=POOL, nearest=1)
    turns = messages(prompt, "seats")
    assert [turn.content for turn in turns] == ["Which?", "a", "b", POOL[2].text, "sales", "seats"]


def test_old_prompts_keep_their_digest():
    assert "pool" not in Prompt(objective="x").content
    assert Prompt(pool=POOL, nearest=1).content["pool"] == to_json(POOL)
    assert replace(Prompt(pool=POOL), nearest=2).content["nearest"] == 2
