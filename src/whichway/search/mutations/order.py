"""The same shots in another order (Lu et al. 2022, arXiv 2104.08786: near the best to chance)."""

from __future__ import annotations

import random
from dataclasses import replace

from whichway.nouns import Prompt
from whichway.search.context import Proposal, SearchContext

WEIGHT = 0.25


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """The prompt with its shots in a random order."""
    if len(prompt.shots) < 2 or "shots" in prompt.protected:
        return None
    shots = tuple(rng.sample(prompt.shots, len(prompt.shots)))
    if shots == prompt.shots:
        shots = shots[::-1]
    return Proposal(replace(prompt, shots=shots), "shots in another order")
