"""Near-duplicates: which texts are almost the same.

Two texts are near when their sets of character 5-grams have a Jaccard similarity of at least `NEAR`. The sets are
compared by an exact set-similarity join with prefix filtering (Bayardo et al. 2007, "Scaling up all pairs similarity
search"), so no pair is missed by chance as with MinHash bands. Long texts keep the `SKETCH` grams with the smallest
hashes (a bottom-k sketch, Broder 1997), which bounds the work per text.
"""

from __future__ import annotations

import heapq
import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence

NEAR = 0.8  # at 40 characters: one word swapped is apart, one letter changed is near
GRAM = 5
SKETCH = 256
_WORD = re.compile(r"[^\W_]+")


def skeleton(text: str) -> str:
    """A text without case, punctuation and spacing; texts with one skeleton are the same question."""
    return " ".join(_WORD.findall(text.casefold())) or text.strip()


def grams(text: str) -> frozenset[str]:
    """The character 5-grams of a skeleton, or the sketch of them when there are many."""
    padded = f" {text} "
    found = {padded[i : i + GRAM] for i in range(max(1, len(padded) - GRAM + 1))}
    if len(found) > SKETCH:
        return frozenset(heapq.nsmallest(SKETCH, found, key=lambda gram: (zlib.crc32(gram.encode()), gram)))
    return frozenset(found)


def alike(first: frozenset[str], second: frozenset[str]) -> bool:
    """Whether two gram sets are near."""
    common = len(first & second)
    return common >= NEAR * (len(first) + len(second) - common)


def earlier(skeletons: Sequence[str]) -> list[list[int]]:
    """For each of several different skeletons, the positions before it that are near to it, in order."""
    sets = [grams(text) for text in skeletons]
    seen = Counter(gram for found in sets for gram in found)
    index: dict[str, list[int]] = defaultdict(list)  # gram -> texts that have it in their prefix
    near: list[list[int]] = []
    for i, found in enumerate(sets):
        # Near sets share at least NEAR·|set| grams, so they meet in the rarest (1-NEAR)·|set| + 1.
        prefix = sorted(found, key=lambda gram: (seen[gram], gram))[: len(found) - math.ceil(NEAR * len(found)) + 1]
        met = {j for gram in prefix for j in index[gram] if NEAR * len(found) <= len(sets[j]) <= len(found) / NEAR}
        near.append(sorted(j for j in met if alike(sets[j], found)))
        for gram in prefix:
            index[gram].append(i)
    return near
