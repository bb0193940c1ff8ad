"""What a mutation may look at: training rows, and how the prompt fared on some of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from whichway.nouns import Example, Prompt, Weights

TEXTS = (  # slots of free text, in order
    *("role", "context", "audience", "objective", "instructions", "steps", "constraints", "tone", "style"),
    *("output_format", "success_criteria", "reminder"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A training row that was answered wrongly."""

    example: Example
    answer: str


@dataclass(frozen=True, slots=True)
class SearchContext:
    """Training rows (never dev, never test), and failures of the prompt at hand on others of them."""

    rows: tuple[Example, ...]  # to draw shots and words from
    labels: tuple[str, ...] = ()  # closed label set; empty for free text
    failures: tuple[Failure, ...] = ()
    encoder: Weights | None = None  # by which rows are alike; None: by the words that they share

    def confused(self) -> tuple[tuple[str, str], ...]:
        """(wanted, said) pairs of labels, the most frequent first."""
        pairs = Counter((f.example.target, f.answer) for f in self.failures if f.answer in self.labels)
        return tuple(pair for pair, _ in sorted(pairs.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class Proposal:
    """Another prompt, and in a few words what is different about it."""

    prompt: Prompt
    note: str


def free(prompt: Prompt) -> tuple[str, ...]:
    """Slots of text that may be changed."""
    return tuple(slot for slot in TEXTS if slot not in prompt.protected)


def text_of(prompt: Prompt, slot: str) -> str:
    """A slot's text; several instructions are lines."""
    value: Any = getattr(prompt, slot)
    return value if isinstance(value, str) else "\n".join(value)


def with_text(prompt: Prompt, slot: str, text: str) -> Prompt:
    """The prompt with another text in a slot."""
    if isinstance(getattr(prompt, slot), str):
        return _set(prompt, slot, text)
    return _set(prompt, slot, tuple(line for line in text.split("\n") if line.strip()))


def _set(prompt: Prompt, slot: str, value: Any) -> Prompt:
    changed: Prompt = replace(prompt, **{slot: value})
    return changed


def short(rows: Sequence[Example], longest: int) -> list[Example]:
    """Rows that are short enough to be shown as a shot."""
    return [e for e in rows if len(e.text) + len(e.target) <= longest]
