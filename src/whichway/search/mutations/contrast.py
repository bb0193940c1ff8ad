"""Shots for the two labels that are most often confused: alike in words, different in label."""

from __future__ import annotations

import random
from dataclasses import replace

from whichway.nouns import Example, Prompt
from whichway.prompts.shots import shot as worked
from whichway.search.context import Proposal, SearchContext, short
from whichway.search.mutations.gloss import words_of

WEIGHT = 0.5
LONGEST = 240  # characters of a shot


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """Add the two most similar rows of a confused pair, the wanted label last."""
    pairs = evidence.confused()[:3]
    if not pairs or "shots" in prompt.protected:
        return None
    wanted, confused_with = rng.choice(pairs)
    rows = short(evidence.rows, LONGEST)
    shown = {shot.text for shot in prompt.shots}
    firsts, seconds = (
        [e for e in rows if e.target == label and e.text not in shown] for label in (confused_with, wanted)
    )
    if not firsts or not seconds:
        return None
    first, second = nearest_pair(rng.sample(firsts, min(60, len(firsts))), rng.sample(seconds, min(60, len(seconds))))
    shots = (*prompt.shots, *map(worked, (first, second)))
    return Proposal(replace(prompt, shots=shots), f"a contrast of {wanted} and {confused_with}")


def nearest_pair(firsts: list[Example], seconds: list[Example]) -> tuple[Example, Example]:
    """The two rows that share most of their words (Jaccard)."""
    bags = {e.id: frozenset(words_of(e.text)) for e in (*firsts, *seconds)}

    def likeness(pair: tuple[Example, Example]) -> float:
        a, b = bags[pair[0].id], bags[pair[1].id]
        return len(a & b) / max(1, len(a | b))

    return max(((a, b) for a in firsts for b in seconds), key=likeness)
