"""Shots chosen for each row: the most similar rows of a pool, by TF-IDF over words and pairs of words.

Liu et al. 2022 (arXiv 2101.06804) choose by sentence embeddings; words need no second model, are the same on every
machine, and cost under a millisecond. The shots differ from row to row, so the prompt's prefix cannot be shared.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from whichway.nouns import Prompt, Shot


def nearest(prompt: Prompt, text: str) -> tuple[Shot, ...]:
    """The `prompt.nearest` shots of its pool that are most like a row, the most similar last.

    Args:
        prompt: with a pool.
        text: the row's input; a shot of the same text is left out.
    """
    if not prompt.nearest or not prompt.pool:
        return ()
    likeness = _index(prompt.pool).likeness(text)
    places = (n for n, shot in enumerate(prompt.pool) if shot.text != text)
    best = heapq.nsmallest(prompt.nearest, places, key=lambda n: (-likeness.get(n, 0.0), n))
    return tuple(prompt.pool[n] for n in reversed(best))


@dataclass(frozen=True, slots=True)
class Index:
    """A pool by its terms."""

    rarity: dict[str, float]  # term -> inverse document frequency
    holds: dict[str, list[tuple[int, float]]]  # term -> (place in the pool, weight in a vector of length 1)

    def likeness(self, text: str) -> dict[int, float]:
        """Cosine of a text with each row of the pool that shares a term with it."""
        found: dict[int, float] = defaultdict(float)
        for term, weight in _vector(text, self.rarity).items():
            for place, other in self.holds[term]:
                found[place] += weight * other
        return {place: round(cosine, 9) for place, cosine in found.items()}  # equal ones stay equal in any order


@lru_cache(maxsize=16)
def _index(pool: tuple[Shot, ...]) -> Index:
    counts: Counter[str] = Counter()
    for shot in pool:
        counts.update(set(terms(shot.text)))
    rarity = {term: math.log((1 + len(pool)) / (1 + n)) + 1 for term, n in counts.items()}
    holds: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for place, shot in enumerate(pool):
        for term, weight in _vector(shot.text, rarity).items():
            holds[term].append((place, weight))
    return Index(rarity, dict(holds))


def _vector(text: str, rarity: dict[str, float]) -> dict[str, float]:
    """Known terms with their weights, scaled to length 1; frequencies grow by their logarithm only."""
    counts = Counter(term for term in terms(text) if term in rarity)
    weights = {term: (1 + math.log(n)) * rarity[term] for term, n in counts.items()}
    length = math.sqrt(sum(w * w for w in weights.values())) or 1.0
    return {term: w / length for term, w in weights.items()}


def terms(text: str) -> list[str]:
    """Words and pairs of neighbouring words, in lower case."""
    words = re.findall(r"\w+", text.lower())
    return words + [f"{first} {second}" for first, second in pairwise(words)]
