"""Change slots of a prompt; parts that are protected stay as they are, whoever asks."""

from __future__ import annotations

import dataclasses
from typing import Any

from whichway.errors import OptionError, ProtectedPart, did_you_mean
from whichway.nouns import Prompt

SLOTS = tuple(f.name for f in dataclasses.fields(Prompt) if f.name != "protected")


def edited(prompt: Prompt, **slots: Any) -> Prompt:
    """The prompt with other slots.

    Raises:
        ProtectedPart: a protected slot would change.
        OptionError: there is no such slot.
    """
    for name in slots:
        if name not in SLOTS:
            raise OptionError(f"a prompt has no slot '{name}'.{did_you_mean(name, SLOTS)}")
    after = dataclasses.replace(prompt, **slots)
    broken = changed_protected(prompt, after)
    if broken:
        raise ProtectedPart(f"the slot '{broken[0]}' is protected: nothing may change it.")
    return after


def changed_protected(before: Prompt, after: Prompt) -> tuple[str, ...]:
    """Protected slots of `before` that `after` has changed; giving up a protection counts as a change of that slot."""
    lost = set(before.protected) - set(after.protected)
    return tuple(n for n in before.protected if n in lost or getattr(before, n) != getattr(after, n))
