"""How alike texts are by their words alone: TF-IDF over words and pairs of words. Needs nothing but Python.

It is shipped beside `use.py` when a prompt chooses its shots for each row. The same on every machine, and under a
millisecond a row.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise


class Index:
    """Some texts by their terms.

    Args:
        texts: to compare with; an answer names them by their place.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(texts)
        counts: Counter[str] = Counter()
        for text in self.texts:
            counts.update(set(terms(text)))
        # term -> inverse document frequency
        self._rarity = {term: math.log((1 + len(self.texts)) / (1 + n)) + 1 for term, n in counts.items()}
        # term -> (place, weight in a vector of length 1)
        self._holds: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for place, text in enumerate(self.texts):
            for term, weight in self._vector(text).items():
                self._holds[term].append((place, weight))

    def similarities(self, text: str) -> dict[int, float]:
        """Cosine of a text with each of the texts that shares a term with it, by place."""
        products: dict[int, float] = defaultdict(float)
        for term, weight in self._vector(text).items():
            for place, other in self._holds[term]:
                products[place] += weight * other
        return {place: round(cosine, 9) for place, cosine in products.items()}  # equal ones stay equal in any order

    def nearest(self, text: str, count: int) -> list[int]:
        """Places of the `count` texts most like a text, the most like first; ties in order, the same text never."""
        likeness = self.similarities(text)
        places = (place for place, other in enumerate(self.texts) if other != text)
        return heapq.nsmallest(count, places, key=lambda place: (-likeness.get(place, 0.0), place))

    def _vector(self, text: str) -> dict[str, float]:
        """Known terms with their weights, scaled to length 1; frequencies grow by their logarithm only."""
        counts = Counter(term for term in terms(text) if term in self._rarity)
        weights = {term: (1 + math.log(n)) * self._rarity[term] for term, n in counts.items()}
        length = math.sqrt(sum(w * w for w in weights.values())) or 1.0
        return {term: w / length for term, w in weights.items()}


def terms(text: str) -> list[str]:
    """Words and pairs of neighbouring words, in lower case."""
    words = re.findall(r"\w+", text.lower())
    return words + [f"{first} {second}" for first, second in pairwise(words)]
