"""Exchange two sentences: what stands where matters to a model."""

from __future__ import annotations

import random

from whichway.nouns import Prompt
from whichway.search.context import Proposal, SearchContext, text_of, with_text
from whichway.search.mutations._sentences import places, sentences

WEIGHT = 0.25


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """Exchange two sentences, of one slot or of two."""
    positions = places(prompt)
    if len(positions) < 2:
        return None
    (slot, here), (other, there) = rng.sample(positions, 2)
    texts = {name: sentences(text_of(prompt, name)) for name in (slot, other)}
    texts[slot][here], texts[other][there] = texts[other][there], texts[slot][here]
    for name, parts in texts.items():
        prompt = with_text(prompt, name, "\n".join(parts))
    return Proposal(prompt, f"two sentences exchanged ({slot}, {other})")
