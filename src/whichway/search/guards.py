"""Guards on proposals: a prompt that was cut short, holds residue, leaks rows or changed what is protected is refused.

Seen in the wild: of 23 prompts that an optimiser accepted 13 were truncated, the winner among them (gepa-ai/gepa #390);
prompts that quote the rows they are judged on (#261). A guard tells why, so that the log can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from whichway.nouns import Prompt
from whichway.prompts.edit import changed_protected
from whichway.prompts.variables import of_prompt
from whichway.search.context import TEXTS, text_of

GRAM = 8  # words in a row that count as a quotation
RESIDUE = re.compile(r"</?(think|thinking|reasoning|scratchpad)\b[^>]*>|<\|[^|<>]{1,30}\|>|\[/?INST\]", re.IGNORECASE)
CUT = re.compile(r"(,|;|\(|\b(and|or|the|a|an|of|to|with|for|in|that|is|are))\s*$", re.IGNORECASE)
PAIRS = (("(", ")"), ("[", "]"), ("{", "}"))


def grams(texts: Iterable[str], size: int = GRAM) -> frozenset[tuple[str, ...]]:
    """All runs of `size` words of some texts, without case and punctuation."""
    return frozenset(gram for text in texts for gram in _grams(text, size))


def faults(prompt: Prompt, start: Prompt, held_out: frozenset[tuple[str, ...]] = frozenset()) -> tuple[str, ...]:
    """Why a proposal must be refused; empty when nothing speaks against it.

    Args:
        prompt: the proposal.
        start: the prompt whose protected slots must stay as they are.
        held_out: `grams` of rows that no prompt may quote: those of dev that do not occur in train.
    """
    problems = [f"protected slot '{slot}' changed" for slot in changed_protected(start, prompt)]
    changed = {slot: text_of(prompt, slot) for slot in TEXTS if text_of(prompt, slot) != text_of(start, slot)}
    for slot, text in changed.items():
        problems += [f"{why} in '{slot}'" for why in text_faults(text)]
    shown = (text for shot in (*prompt.shots, *prompt.pool) for text in (shot.text, shot.answer))
    if held_out and not held_out.isdisjoint(grams([*changed.values(), *shown])):
        problems.append("it quotes a held-out row")
    problems += [f"the variable {{{{{name}}}}} is gone" for name in _lost(prompt, start)]
    asks = prompt.shots or prompt.labels or prompt.nearest
    if not asks and not any(text_of(prompt, slot).strip() for slot in TEXTS):
        problems.append("nothing is left of it")
    return tuple(problems)


def _lost(prompt: Prompt, start: Prompt) -> list[str]:
    """Fields of the row that the start asks about and the proposal does not."""
    if not start.variables:
        return []
    there = of_prompt(prompt)
    return [name for name in of_prompt(start) if name in start.variables and name not in there]


def text_faults(text: str) -> list[str]:
    """What is wrong with a text that a model wrote."""
    problems = []
    if text.count("```") % 2:
        problems.append("an unbalanced fence")
    if any(text.count(left) != text.count(right) for left, right in PAIRS) or text.count('"') % 2:
        problems.append("an unbalanced bracket or quotation mark")
    if RESIDUE.search(text):
        problems.append("residue of a model's own marks")
    if CUT.search(text) or text.rstrip().endswith(("...", "…")):
        problems.append("a text that was cut short")
    return problems


def _grams(text: str, size: int) -> Iterator[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    for start in range(len(words) - size + 1):
        yield tuple(words[start : start + size])
