"""Shots with the answers as even as can be; random ones for free text."""

from __future__ import annotations

import random
from dataclasses import replace

from whichway.nouns import Prompt
from whichway.prompts.shots import balanced_shots, random_shots
from whichway.search.context import Proposal, SearchContext, short

WEIGHT = 0.5
COUNTS = (2, 4, 8, 12)
LONGEST = 240  # characters of a shot


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """New shots of another number."""
    rows, count = short(evidence.rows, LONGEST), rng.choice(COUNTS)
    if not rows or "shots" in prompt.protected:
        return None
    shots = (balanced_shots if evidence.labels else random_shots)(rows, count, rng)
    return Proposal(replace(prompt, shots=shots), f"{len(shots)} {'balanced' if evidence.labels else 'random'} shots")
