"""Ideas for another prompt: pure, seeded, and blind to what is protected."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from whichway.nouns import Example, Prompt, Shot
from whichway.prompts.edit import SLOTS
from whichway.search.bandit import Bandit
from whichway.search.context import Failure, SearchContext
from whichway.search.guards import faults, grams
from whichway.search.mutations import mutations
from whichway.search.mutations.contrast import nearest_pair
from whichway.search.mutations.gloss import characteristic

SAID = {"billing": "charged twice on the card", "delivery": "parcel is late again", "sales": "offer for many seats"}
ROWS = tuple(Example({"text": f"{said} number {i}"}, label) for i in range(12) for label, said in SAID.items())
EVIDENCE = SearchContext(ROWS, tuple(SAID), (Failure(ROWS[0], "delivery"), Failure(ROWS[3], "delivery")))
PROMPT = Prompt(
    objective="Which team? Read it all.",
    instructions=("Be exact.", "Do not guess."),
    labels=tuple(SAID),
    shots=(Shot("where is it", "delivery"), Shot("refund me", "billing")),
)


@pytest.mark.parametrize("name", sorted(mutations()))
def test_an_idea_is_a_function_of_its_seed_and_changes_something(name):
    idea = mutations()[name]
    made = [idea.propose(PROMPT, EVIDENCE, random.Random(seed)) for seed in (3, 3, 4)]
    assert made[0] == made[1]
    assert made[0] is not None
    assert made[0].prompt != PROMPT
    assert made[0].note
    assert idea.WEIGHT > 0


@pytest.mark.parametrize("name", sorted(mutations()))
def test_no_idea_changes_what_is_protected(name):
    for slot in SLOTS:
        prompt = replace(PROMPT, protected=("labels", slot))
        for seed in range(6):
            proposal = mutations()[name].propose(prompt, EVIDENCE, random.Random(seed))
            if proposal is not None:
                assert getattr(proposal.prompt, slot) == getattr(prompt, slot)
                assert not faults(proposal.prompt, prompt)


@pytest.mark.parametrize("name", sorted(mutations()))
def test_an_idea_has_nothing_to_say_about_nothing(name):
    proposal = mutations()[name].propose(Prompt(), SearchContext(()), random.Random(0))
    assert proposal is None or proposal.prompt != Prompt()


def test_glosses_are_the_words_that_tell_labels_apart():
    words = characteristic(ROWS, tuple(SAID), 3)
    assert set(words["billing"]) <= set(SAID["billing"].split())
    assert "number" not in {word for found in words.values() for word in found}
    proposal = mutations()["gloss"].propose(PROMPT, EVIDENCE, random.Random(0))
    assert [label for label, _ in proposal.prompt.glosses] == list(SAID)


def test_a_contrast_is_the_most_similar_pair_of_the_confused_labels():
    proposal = mutations()["contrast"].propose(PROMPT, EVIDENCE, random.Random(0))
    assert [shot.answer for shot in proposal.prompt.shots[-2:]] == ["delivery", "billing"]
    first = [Example({"text": "the red parcel"}, "a"), Example({"text": "an old card"}, "a")]
    second = [Example({"text": "the red card"}, "b"), Example({"text": "nothing alike"}, "b")]
    assert nearest_pair(first, second) == (first[0], second[0])


def test_the_portfolio_tries_all_then_prefers_what_helped_and_rests_what_did_not():
    portfolio = Bandit({"a": 1.0, "b": 2.0, "c": 0.5}, patience=2)
    assert portfolio.order(random.Random(0)) == ["b", "a", "c"]
    for _ in range(2):
        portfolio.learn({"a": True, "b": False})
    assert portfolio.live == ["a", "c"]
    portfolio.fail("c")
    portfolio.fail("c")
    assert portfolio.live == ["a"]
    first = [Bandit({"a": 1.0, "b": 1.0}) for _ in range(200)]
    for one in first:
        one.learn({"a": True, "b": False})
    leads = sum(one.order(random.Random(seed))[0] == "a" for seed, one in enumerate(first))
    assert leads > 110


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"labels": ("billing",)}, "protected slot 'labels' changed"),
        ({"protected": ()}, "protected slot 'labels' changed"),
        ({"objective": "Sort it ```json"}, "unbalanced fence"),
        ({"objective": "<think>hm</think> Sort it."}, "residue"),
        ({"objective": "Sort it.<|im_end|>"}, "residue"),
        ({"objective": "Sort the message by team and"}, "cut short"),
        ({"objective": "Sort (by team."}, "unbalanced bracket"),
        ({"context": "one two three four five six seven eight nine"}, "quotes a held-out row"),
        ({"shots": (Shot("one two three four five six seven eight", "billing"),)}, "quotes a held-out row"),
    ],
)
def test_guards_tell_why_a_proposal_is_refused(change, why):
    held_out = grams(["Zero one two three four five six seven eight nine."])
    found = faults(replace(PROMPT, **change), PROMPT, held_out)
    assert any(why in fault for fault in found), found


def test_guards_let_a_sound_proposal_pass():
    held_out = grams(["Zero one two three four five six seven eight nine."])
    sound = replace(PROMPT, objective="Name the team that should handle this message.", glosses=(("billing", "card"),))
    assert faults(sound, PROMPT, held_out) == ()
    assert faults(Prompt(protected=()), Prompt(objective="x", protected=())) == ("nothing is left of it",)
