"""The same content in another form: headings, listing of labels, wrapping (Sclar et al. 2024, arXiv 2310.11324)."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import get_args

from whichway.nouns import Headings, Listing, Prompt, Wrap
from whichway.search.context import Proposal, SearchContext

WEIGHT = 0.75


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """Another value of one of the three."""
    if "form" in prompt.protected:
        return None
    part, kinds = rng.choice((("headings", Headings), ("labels", Listing), ("wrap", Wrap)))
    if part == "labels" and not prompt.labels:
        return None
    values = [value for value in get_args(kinds) if value != getattr(prompt.form, part)]
    value = rng.choice(values)
    return Proposal(replace(prompt, form=replace(prompt.form, **{part: value})), f"{part} as {value}")
