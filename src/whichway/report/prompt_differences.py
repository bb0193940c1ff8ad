"""What each way's prompt says differently from the plain one, slot by slot and word by word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from whichway.nouns import Candidate, Prompt, Standing
from whichway.report.prompt import slots
from whichway.runs.run import Run

PLAIN = "prompt_plain"
LONGEST = 4000  # words of a slot that are compared; longer ones are shown as new
SHOTS = 12  # worked examples that are listed

Change = Literal["same", "gone", "new"]


@dataclass(frozen=True, slots=True)
class SlotDifference:
    """One slot as pieces of text that stayed, went, or came."""

    slot: str
    pieces: tuple[tuple[Change, str], ...]


@dataclass(frozen=True, slots=True)
class PromptDifference:
    """A way's prompt against another way's; no slots: they are the same."""

    way: str
    kind: str
    against: str
    slots: tuple[SlotDifference, ...]


def prompt_differences(run: Run) -> list[PromptDifference]:
    """Every way that asks a model, against the plain prompt, or against the first such way where there is none."""
    ways = [s for s in run.verdict.standings if s.kind != "baseline"]
    asking = [(s, c) for s in ways if (c := shipped(run, s)) and slots(c.prompt)]
    first = next((pair for pair in asking if pair[0].way == PLAIN), asking[0] if asking else None)
    if first is None:
        return []
    return [
        PromptDifference(s.way, s.kind, first[0].way, tuple(slot_differences(first[1].prompt, c.prompt)))
        for s, c in asking
        if s.way != first[0].way
    ]


def shipped(run: Run, standing: Standing) -> Candidate | None:
    """The candidate of a way that would ship: made of all rows, or its finalist that is best on dev."""
    keys = [standing.refit] if standing.refit else list(standing.candidates)
    known = [key for key in keys if key in run.candidates]
    best = max(known, key=lambda key: (run.dev_scores.get(key) or 0.0, -known.index(key)), default=None)
    return run.candidates[best] if best else None


def slot_differences(before: Prompt, after: Prompt) -> Iterator[SlotDifference]:
    """The slots that differ, in the order of the prompt."""
    old, new = _texts(before), _texts(after)
    for slot in dict.fromkeys((*old, *new)):
        if old.get(slot, "") != new.get(slot, ""):
            yield SlotDifference(slot, word_differences(old.get(slot, ""), new.get(slot, "")))


def word_differences(before: str, after: str) -> tuple[tuple[Change, str], ...]:
    """Two texts as pieces; the pieces that are not "gone" are `after`, those that are not "new" are `before`."""
    old, new = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (before, after))
    if max(len(old), len(new)) > LONGEST:
        return (("gone", before), ("new", after))
    pieces: list[tuple[Change, str]] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(("same", "".join(old[a:b])))
            continue
        if b > a:
            pieces.append(("gone", "".join(old[a:b])))
        if d > c:
            pieces.append(("new", "".join(new[c:d])))
    return tuple(pieces)


def _texts(prompt: Prompt) -> dict[str, str]:
    """Slot -> its text; of the worked examples their texts instead of their number."""
    texts = dict(slots(prompt))
    if prompt.shots:
        rest = len(prompt.shots) - SHOTS
        lines = [f"{' '.join(shot.text.split())} → {shot.answer}" for shot in prompt.shots[:SHOTS]]
        texts["shots"] = "\n".join([*lines, *([f"and {rest} more"] if rest > 0 else [])])
    return texts
