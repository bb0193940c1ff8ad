"""Mutations: pure functions of a prompt, a context of training rows and a seeded generator to another prompt.

One idea per file, none of which needs a model; a new one is a new file with `WEIGHT` and `propose`, which gives a
proposal, or None when it has nothing to say. No idea changes a protected slot (`prompts.guards` checks again, whoever
made the prompt).
"""

from __future__ import annotations

import importlib
import pkgutil
import random
from functools import cache
from typing import Protocol, cast

from whichway.nouns import Prompt
from whichway.search.context import Proposal, SearchContext


class Mutation(Protocol):
    """A file of this folder."""

    WEIGHT: float  # how often it is drawn at first, beside the others

    def propose(self, prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
        """Another prompt, or None."""
        ...


@cache
def mutations() -> dict[str, Mutation]:
    """All mutations by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    return {name: cast(Mutation, importlib.import_module(f"{__name__}.{name}")) for name in names}
