"""Add a sentence that tasks of this kind are often asked with."""

from __future__ import annotations

import random

from whichway.nouns import Prompt
from whichway.search.context import Proposal, SearchContext, free, text_of, with_text

WEIGHT = 0.5

CLOSED = (
    "Choose the answer that fits the meaning of the text best.",
    "Read the whole text before you answer.",
    "Answer with the label only.",
    "If several fit, take the one that the text is mainly about.",
    "Decide by what is asked, not by single words.",
)
OPEN = (
    "Answer in as few words as possible.",
    "Use words of the text where you can.",
    "Give the answer only, without an explanation.",
    "Keep to the form of the examples.",
)


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """Add one sentence that is not there yet, to the instructions or after the input."""
    slots = [slot for slot in ("instructions", "reminder") if slot in free(prompt)]
    bank = [s for s in (CLOSED if evidence.labels else OPEN) if all(s not in text_of(prompt, t) for t in slots)]
    if not slots or not bank:
        return None
    slot, sentence = rng.choice(slots), rng.choice(bank)
    text = "\n".join(filter(None, [text_of(prompt, slot), sentence]))
    return Proposal(with_text(prompt, slot, text), f"with '{sentence[:40]}'")
