"""Edits on prompts that rules suggest: small functions, none of which touches a protected slot."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from whichway.lint.registry import Edit
from whichway.nouns import Prompt, Shot

_KEEP = ("layout", "protected", "labels", "shots")


def each_text(prompt: Prompt, change: Callable[[str], str]) -> Prompt:
    """The prompt with every text of its open slots changed; instructions that end up empty go."""
    new: dict[str, Any] = {}
    for slot in fields(prompt):
        value = getattr(prompt, slot.name)
        if slot.name in _KEEP or slot.name in prompt.protected or not value:
            continue
        if isinstance(value, str):
            new[slot.name] = change(value)
        elif isinstance(value, tuple) and all(isinstance(item, str) for item in value):
            new[slot.name] = tuple(text for text in map(change, value) if text)
    return replace(prompt, **new)


def tidy(text: str) -> str:
    """Without the spaces and blank lines that a cut leaves."""
    text = re.sub(r"[ \t]+([.,;:!?])", r"\1", re.sub(r"[ \t]{2,}", " ", text))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip()


def without(words: str, what: str = "") -> Edit:
    """Leave some words out, wherever they stand."""
    return Edit(what or f'leave out "{short(words)}"', lambda p: each_text(p, lambda t: _cut(t, words)))


def _cut(text: str, words: str) -> str:
    return tidy(text.replace(words, "", 1)) if words in text else text


def swap(old: str, new: str, what: str = "") -> Edit:
    """Put other words in place of some."""
    return Edit(what or f'"{short(old)}" -> "{short(new)}"', lambda p: each_text(p, lambda t: t.replace(old, new)))


def setting(what: str, **slots: Any) -> Edit:
    """Fill slots that are not protected, or that are empty so far."""

    def apply(prompt: Prompt) -> Prompt:
        open_ = {k: v for k, v in slots.items() if k not in prompt.protected or not getattr(prompt, k)}
        return replace(prompt, **open_)

    return Edit(what, apply)


def instructing(sentence: str) -> Edit:
    """Add an instruction."""
    return Edit(f'add "{sentence}"', lambda p: replace(p, instructions=(*p.instructions, sentence)))


def keeping_shots(what: str, choose: Callable[[tuple[Shot, ...]], tuple[Shot, ...]]) -> Edit:
    """Other worked examples of the same, or in another order."""
    return Edit(what, lambda p: replace(p, shots=choose(p.shots)) if "shots" not in p.protected else p)


def interleaved(shots: tuple[Shot, ...]) -> tuple[Shot, ...]:
    """The same shots, answers taking turns, the commonest answer first so that it is not last."""
    by_answer: dict[str, list[Shot]] = defaultdict(list)
    for shot in shots:
        by_answer[shot.answer].append(shot)
    piles = sorted(by_answer.values(), key=len, reverse=True)
    rounds = range(max(map(len, piles), default=0))
    return tuple(pile[i] for i in rounds for pile in piles if i < len(pile))


def even(shots: tuple[Shot, ...]) -> tuple[Shot, ...]:
    """At most as many shots of each answer as the second commonest has, answers taking turns."""
    counts: dict[str, int] = defaultdict(int)
    for shot in shots:
        counts[shot.answer] += 1
    most = sorted(counts.values(), reverse=True)[1] if len(counts) > 1 else len(shots)
    chosen, seen = [], dict[str, int]()
    for shot in shots:
        seen[shot.answer] = seen.get(shot.answer, 0) + 1
        if seen[shot.answer] <= most:
            chosen.append(shot)
    return interleaved(tuple(chosen))


def short(text: str, most: int = 48) -> str:
    """One line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
