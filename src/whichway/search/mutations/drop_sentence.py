"""Leave a sentence out; at equal score the shorter prompt is cheaper."""

from __future__ import annotations

import random

from whichway.nouns import Prompt
from whichway.search.context import Evidence, Proposal, text_of, with_text
from whichway.search.mutations._sentences import places, sentences

WEIGHT = 0.5


def propose(prompt: Prompt, evidence: Evidence, rng: random.Random) -> Proposal | None:
    """Drop one sentence, unless it is the only one."""
    found = places(prompt)
    if len(found) < 2:
        return None
    slot, number = rng.choice(found)
    kept = sentences(text_of(prompt, slot))
    gone = kept.pop(number)
    return Proposal(with_text(prompt, slot, "\n".join(kept)), f"without '{gone[:40]}'")
