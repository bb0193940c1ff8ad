"""Instructions in the system message, or before the first input."""

from __future__ import annotations

import random
from dataclasses import replace

from whichway.nouns import Prompt
from whichway.search.context import Evidence, Proposal

WEIGHT = 0.5


def propose(prompt: Prompt, evidence: Evidence, rng: random.Random) -> Proposal | None:
    """The other layout."""
    if "layout" in prompt.protected:
        return None
    other = replace(prompt, layout="user" if prompt.layout == "system" else "system")
    return Proposal(other, f"instructions in the {other.layout} message")
