"""Rewritten instructions: what the writer reads, and what is refused of what it writes."""

from __future__ import annotations

import random

import pytest

from whichway.nouns import Example, Prompt
from whichway.search import rewrite
from whichway.search.context import Failure, Proposal, SearchContext

PROMPT = Prompt(objective="Which team should handle this?", labels=("billing", "delivery"))
FAILURES = tuple(Failure(Example({"text": f"parcel {i}"}, "delivery"), "billing") for i in range(9))


def test_the_writer_reads_the_instruction_and_some_failures():
    asked = rewrite.question(PROMPT, SearchContext((), PROMPT.labels, FAILURES), random.Random(0))
    assert PROMPT.objective in asked
    assert asked.count("Wanted: delivery") == rewrite.SHOWN
    assert "billing, delivery" in asked


@pytest.mark.parametrize(
    ("text", "finish", "why"),
    [
        ("Pick the team that the message is for.", "length", "cut short"),
        ("<think>the user wants</think> Pick the right team.", "stop", "residue"),
        ("```\nPick the team", "stop", "unbalanced fence"),
        ("team", "stop", "fewer than three words"),
        ("", "stop", "fewer than three words"),
        ("Which team should handle this?", "stop", "the same text again"),
    ],
)
def test_what_is_refused(text, finish, why):
    assert why in rewrite.read(PROMPT, text, finish)


@pytest.mark.parametrize(
    "text",
    [
        "Pick the team that the message is for.",
        "```\nPick the team that the message is for.\n```",
        'Improved instruction: "Pick the team that the message is for."',
    ],
)
def test_what_is_taken(text):
    proposal = rewrite.read(PROMPT, text, "stop")
    assert isinstance(proposal, Proposal)
    assert proposal.prompt.objective.strip('"') == "Pick the team that the message is for."
    assert proposal.prompt.labels == PROMPT.labels


def test_a_protected_instruction_is_not_rewritten():
    assert "protected" in rewrite.read(Prompt(objective="x", protected=("objective",)), "Pick the team now.", "stop")
