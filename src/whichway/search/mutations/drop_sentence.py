"""Leave a sentence out; at equal score the shorter prompt is cheaper."""

from __future__ import annotations

import random

from whichway.nouns import Prompt
from whichway.search.context import Proposal, SearchContext, text_of, with_text
from whichway.search.mutations._sentences import places, sentences

WEIGHT = 0.5


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """Drop one sentence, unless it is the only one."""
    positions = places(prompt)
    if len(positions) < 2:
        return None
    slot, number = rng.choice(positions)
    remaining = sentences(text_of(prompt, slot))
    gone = remaining.pop(number)
    return Proposal(with_text(prompt, slot, "\n".join(remaining)), f"without '{gone[:40]}'")
