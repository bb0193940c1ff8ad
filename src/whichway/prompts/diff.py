"""What changed between two prompts, slot by slot."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from whichway.nouns import Form, Prompt, Shot
from whichway.prompts.edit import SLOTS


@dataclass(frozen=True, slots=True)
class Change:
    """One slot that differs, as lines of text before and after."""

    slot: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def changes(before: Prompt, after: Prompt) -> tuple[Change, ...]:
    """Slots that differ, in the prompt's order."""
    values = ((slot, getattr(before, slot), getattr(after, slot)) for slot in SLOTS)
    return tuple(Change(slot, _lines(old), _lines(new)) for slot, old, new in values if old != new)


def readable(before: Prompt, after: Prompt) -> Iterator[str]:
    """Lines for a reader: the slot's name, then `-` what went and `+` what came."""
    for change in changes(before, after):
        yield f"{change.slot}:"
        for line in difflib.ndiff(change.before, change.after):
            if line[:1] in "+-":
                yield f"  {line}"


def _lines(value: Any) -> tuple[str, ...]:
    if isinstance(value, Form):
        return (f"{value.name or 'plain'}, headings {value.headings}, labels {value.labels}, wrap {value.wrap}",)
    if isinstance(value, tuple):
        return tuple(_line(item) for item in value)
    return tuple(str(value).splitlines())


def _line(item: Any) -> str:
    if isinstance(item, Shot):
        return f"{item.text} -> {item.answer}"
    return ": ".join(item) if isinstance(item, tuple) else str(item)
