"""Instructions in the system message, or before the first input."""

from __future__ import annotations

import random
from dataclasses import replace

from whichway.nouns import Prompt
from whichway.search.context import Proposal, SearchContext

WEIGHT = 0.5


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """The prompt with its instructions in the other place."""
    if "layout" in prompt.protected:
        return None
    other = replace(prompt, layout="user" if prompt.layout == "system" else "system")
    return Proposal(other, f"instructions in the {other.layout} message")
