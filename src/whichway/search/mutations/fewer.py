"""Half of the shots: fewer tokens, and often no worse."""

from __future__ import annotations

import random
from dataclasses import replace

from whichway.nouns import Prompt
from whichway.search.context import Proposal, SearchContext

WEIGHT = 0.25


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """Keep a random half, in order."""
    if not prompt.shots or "shots" in prompt.protected:
        return None
    count = len(prompt.shots) // 2
    chosen = sorted(rng.sample(range(len(prompt.shots)), count))
    return Proposal(replace(prompt, shots=tuple(prompt.shots[k] for k in chosen)), f"{count} of the shots")
