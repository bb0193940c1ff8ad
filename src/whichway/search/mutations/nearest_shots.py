"""For each row the most similar training rows as shots, by a sentence encoder where there is one."""

from __future__ import annotations

import random
from dataclasses import replace

from whichway.nouns import Prompt
from whichway.prompts.nearest import named
from whichway.prompts.shots import shot
from whichway.search.context import Proposal, SearchContext, short

WEIGHT = 2.0
COUNTS = (4, 8, 12)
LONGEST = 240  # characters of a shot
MOST = 2000  # shots in a pool


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """Another number of nearest shots; the fixed shots go."""
    counts = [count for count in COUNTS if count != prompt.nearest]
    rows = short(evidence.rows, LONGEST)
    if {"shots", "pool", "nearest", "encoder"} & set(prompt.protected) or len(rows) < 2 * COUNTS[0]:
        return None
    count = rng.choice(counts)
    pool = prompt.pool or tuple(map(shot, rows[:MOST]))
    encoder = prompt.encoder if prompt.pool else evidence.encoder
    by = f" by {named(encoder)}" if encoder else ""
    return Proposal(
        replace(prompt, shots=(), pool=pool, nearest=count, encoder=encoder), f"the {count} nearest shots{by}"
    )
