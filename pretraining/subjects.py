"""Rows made of plain documents: which of these subjects is a passage about?

A small model reads a passage's words well enough to go on with it, and yet its states say little about the subject:
word vectors counted on the same text tell medical titles apart better than it did (`dev/LOG.md`). So a passage is to be
matched with the heading it stood under, or with other passages from there, whose names may mean nothing. The words of
the heading are mostly taken out of the passage, so that it is the others that have to be known.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from episodes import CODES, LISTS

ASKED = re.compile(r"^Q: What (?:is|are)(?: \(are\))? (?:the |an? )?(?!the |sym|gen)(.+?) ?\??$", re.IGNORECASE)
NO_HEADING = re.compile(
    r"^(introduction|learning|objective|key |summary|review|chapter|figure|table|\W)", re.IGNORECASE
)
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z(])|\n+")
SHORT, LONG = 6, 26  # words of a passage
FEWEST = 4  # passages of a document
HIDDEN = 0.75  # share of passages without their heading's words
# Share of tasks whose labels are the headings; else they mean nothing, and earlier turns say which is which.
NAMED = 0.75
NEAR = {True: 0.8, False: 0.3}  # share of tasks whose subjects come from one source, by whether labels are headings
ASKS = (
    "What is this about?",
    "Which subject is it?",
    "Which of these does the text belong to?",
    "Which topic is the text about?",
    "Choose the heading that fits.",
    "Under which heading does this stand?",
    "Which field is this from?",
    "Sort the text by its subject.",
    "Classify the text.",
    "Label the following text.",
    "Which label fits?",
    "Pick the category that fits best.",
)


@dataclass(frozen=True)
class Section:
    """A document's passages under its heading; "" when it has none of use."""

    heading: str
    passages: tuple[str, ...]


def sections(rows: Iterable[dict[str, Any]], overlap: Callable[[str], bool]) -> dict[str, list[Section]]:
    """Sections by source; no passage that overlaps, none that stands in several documents but for the heading."""
    found: dict[str, list[tuple[str, dict[str, str]]]] = defaultdict(list)  # heading; sentences, each without its words
    count: Counter[str] = Counter()
    for row in rows:
        first, _, body = row["text"].partition("\n")
        body = body.removeprefix("A: ")
        heading = _heading(first)
        sentences = (s.strip() for s in SENTENCE.split(body) if _readable(s) and not overlap(s))
        bare = {s: _bare(s, heading) for s in sentences}
        count.update(set(bare.values()))
        found[row["source"]].append((heading, bare))
    made = {
        source: [
            Section(heading, tuple(own))
            for heading, bare in documents
            if len(own := [s for s, rest in bare.items() if count[rest] == 1]) >= FEWEST
        ]
        for source, documents in sorted(found.items())
    }
    return {source: kept for source, kept in made.items() if len(kept) > 20}


def _heading(line: str) -> str:
    """What a document's first line says it is about; "" when it says nothing."""
    line = line.strip()
    if line.startswith("Q:"):
        asked = ASKED.match(line)
        line = asked.group(1) if asked else ""
    usable = 2 < len(line) < 60 and len(line.split()) < 8 and line[-1] not in ".:;,?!" and not NO_HEADING.match(line)
    return line if usable else ""


def _readable(sentence: str) -> bool:
    words = sentence.split()
    letters = sum(c.isalpha() or c == " " for c in sentence)
    return SHORT <= len(words) < 80 and letters > 0.85 * len(sentence)


def _stems(text: str) -> set[str]:
    return {w[:5] for w in re.findall(r"[a-z]{4,}", text.lower())}


def _bare(sentence: str, heading: str) -> str:
    """A sentence without the words of its heading."""
    stems = _stems(heading)
    return " ".join(w for w in sentence.split() if not _stems(w) & stems)


def tasks(
    sources: dict[str, list[Section]], weights: dict[str, float], count: int, seed: int
) -> Iterator[dict[str, Any]]:
    """`count` tasks, each about a few sections; `weights`: of sources, for the others the root of their size counts."""
    rng = np.random.default_rng((seed, 5))
    names = list(sources)
    left = 1 - sum(weights[n] for n in names if n in weights)
    roots = {n: len(sources[n]) ** 0.5 for n in names if n not in weights}
    chances = np.array([weights[n] if n in weights else left * roots[n] / sum(roots.values()) for n in names])
    chances /= chances.sum()
    while count:
        most, named = int(rng.choice([2, 3, 4, 5, 6])), bool(rng.random() < NAMED)
        near = rng.random() < NEAR[named]
        drawn = [names[i] for i in rng.choice(len(names), 1 if near else most, p=chances)]
        chosen = [_one(sources[drawn[0 if near else i]], rng) for i in range(most)]
        said = [s.heading for s in chosen] if named else [str(c) for c in rng.choice(CODES, most, replace=False)]
        if not all(said) or len(set(said)) < most:
            continue
        if named and rng.random() < 0.5:
            said = [s.lower() for s in said]
        yield _task(chosen, said, named, rng)
        count -= 1


def _one(found: Sequence[Section], rng: np.random.Generator) -> Section:
    return found[rng.integers(len(found))]


def _task(chosen: Sequence[Section], said: Sequence[str], named: bool, rng: np.random.Generator) -> dict[str, Any]:
    ask = ASKS[rng.integers(len(ASKS))]
    listed = LISTS[rng.integers(len(LISTS) - named)].format(", ".join(sorted(said)))  # the last one lists nothing
    messages = [{"role": "system", "content": f"{ask}\n{listed}".strip()}]
    if named:
        order = list(rng.integers(len(chosen), size=int(rng.choice([1, 2, 3, 4]))))
    else:
        each = int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
        order = [*rng.permutation([i for i in range(len(chosen)) for _ in range(each)]), rng.integers(len(chosen))]
    left = {i: list(rng.permutation(len(section.passages))) for i, section in enumerate(chosen)}
    for i in map(int, order):
        messages += [
            {"role": "user", "content": _passage(chosen[i], int(left[i].pop()), rng)},
            {"role": "assistant", "content": said[i]},
        ]
    return {"messages": messages}


def _passage(section: Section, number: int, rng: np.random.Generator) -> str:
    """A passage, or a piece of it, mostly without the words of its heading."""
    sentence = section.passages[number]
    bare = _bare(sentence, section.heading)
    words = (bare if rng.random() < HIDDEN and len(bare.split()) >= SHORT else sentence).split()
    size = int(rng.integers(SHORT, LONG))
    start = int(rng.integers(max(1, len(words) - size + 1)))
    return " ".join(words[start : start + size])
