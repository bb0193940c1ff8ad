"""Which worked examples are shown: by likeness, for each row, diverse, for labels that get confused; in which order."""

from __future__ import annotations

import random

import pytest

from whichway.nouns import Example, Prompt, Shot
from whichway.prompts import shots
from whichway.prompts.nearest import by_words
from whichway.prompts.template import messages, outline
from whichway.prompts.tfidf import Index

POOL = (
    Shot("my card was charged twice", "billing"),
    Shot("the parcel is late", "delivery"),
    Shot("refund the charge on my card please", "billing"),
    Shot("where is the parcel, the courier never came", "delivery"),
)


def rows(*pairs: tuple[str, str]) -> list[Example]:
    return [Example({"text": text}, target) for text, target in pairs]


def test_likeness_prefers_rare_shared_words() -> None:
    index = Index(["the cat sat", "the dog ran", "a zebra ran"])
    assert index.nearest("zebra", 1) == [2]
    assert index.nearest("the cat", 3) == [0, 1, 2]
    assert index.similarities("nothing shared") == {}
    assert index.similarities("a zebra ran")[2] == pytest.approx(1.0)


def test_each_row_gets_its_own_shots_the_nearest_last() -> None:
    prompt = Prompt("Which?", labels=("billing", "delivery"), pool=POOL, nearest=2)
    turns = messages(prompt, "the parcel is late again")
    assert [turn.content for turn in turns if turn.role == "assistant"] == ["delivery", "delivery"]
    assert turns[-3].content == "the parcel is late"
    other = messages(prompt, "charged twice")
    assert other[0] == turns[0]
    assert other[-3].content == "my card was charged twice"
    assert messages(prompt, "charged twice") == other


def test_a_row_never_sees_its_own_answer() -> None:
    prompt = Prompt(pool=POOL, nearest=3)
    for shot in POOL:
        assert shot not in by_words(prompt, shot.text)
        assert len(by_words(prompt, shot.text)) == 3


def test_a_shown_prompt_says_that_shots_change() -> None:
    told = outline(Prompt("Which?", pool=POOL, nearest=2, layout="user"))
    assert "the 2 of 4 worked examples most like the row" in told[0].content
    assert told[0].content.startswith("Which?")
    assert told[-1].content == "{{input}}"


def test_diverse_shots_leave_out_what_is_alike() -> None:
    examples = rows(*((f"late parcel courier {n}", "delivery") for n in range(20)), ("card charged", "billing"))
    for seed in range(5):
        chosen = shots.diverse_shots(examples, 2, random.Random(seed))
        assert Shot("card charged", "billing") in chosen
    assert len(set(shots.diverse_shots(examples, 50, random.Random(0)))) == 21


def test_confused_pairs_come_by_frequency_both_ways() -> None:
    examples = rows(("1", "a"), ("2", "a"), ("3", "b"), ("4", "c"), ("5", "c"))
    assert shots.confused_pairs(examples, ["b", "b", "a", "a", "c"]) == [("a", "b"), ("c", "a")]
    assert shots.confused_pairs(examples, [e.target for e in examples]) == []


def test_contrastive_shots_set_like_rows_of_two_labels_side_by_side() -> None:
    examples = rows(
        ("invoice for the parcel", "billing"), ("where is the parcel", "delivery"), ("app crashes", "technical"),
        ("courier is rude", "delivery"), ("card charged", "billing"),
    )  # fmt: skip
    pairs = [("billing", "delivery"), ("billing", "none")]
    for seed in range(8):
        chosen = shots.contrastive_shots(examples, pairs, 2, random.Random(seed))
        assert sorted(shot.answer for shot in chosen) == ["billing", "delivery"]
        if "invoice for the parcel" in {shot.text for shot in chosen}:
            assert Shot("where is the parcel", "delivery") in chosen
    every = shots.contrastive_shots(examples, pairs, 9, random.Random(0))
    assert len(every) == len(set(every)) == 4
    assert shots.contrastive_shots(examples, [], 4, random.Random(0)) == ()


def test_orders() -> None:
    drawn = (Shot("long text", "b"), Shot("x", "a"), Shot("yy", "b"))
    assert shots.ordered(drawn, "drawn") == drawn
    assert shots.ordered(drawn, "reversed") == drawn[::-1]
    assert [s.text for s in shots.ordered(drawn, "short_first")] == ["x", "yy", "long text"]
    assert [s.answer for s in shots.ordered(drawn, "grouped")] == ["a", "b", "b"]
