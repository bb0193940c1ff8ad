"""Near-duplicates: which texts are almost the same.

Two texts are near when their sets of character 5-grams have a Jaccard similarity of at least `NEAR`. The sets are
compared by an exact set-similarity join (`near_pairs`), so no pair is missed by chance as with MinHash bands. Long
texts keep the `SKETCH` grams with the smallest hashes (a bottom-k sketch, Broder 1997), which bounds the work per text.
Of a text with many near ones `ENOUGH` are found; who else is in its family is known all the same.
"""

from __future__ import annotations

import functools
import heapq
import re
import zlib
from collections.abc import Sequence

from whichway.tasks import near_pairs

NEAR = 0.8  # at 40 characters: one word swapped is apart, one letter changed is near
GRAM = 5
SKETCH = 256
ENOUGH = 24  # near ones of a text that are looked for
MISSES = 64  # others that are just not near, after which a text of a template is compared with no more of its kind
_WORD = re.compile(r"[^\W_]+")
_FOLDED = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 32 for code in range(256))  # ASCII


@functools.lru_cache(maxsize=1 << 18)
def skeleton(text: str) -> str:
    """A text without case, punctuation and spacing; texts with one skeleton are the same question."""
    if text.isascii():  # the same, but three times as fast
        return b" ".join(text.encode().translate(_FOLDED).split()).decode() or text.strip()
    return " ".join(_WORD.findall(text.casefold())) or text.strip()


def grams(text: str) -> frozenset[str]:
    """The character 5-grams of a skeleton, or the sketch of them when there are many."""
    padded = f" {text} "
    all_grams = {padded[i : i + GRAM] for i in range(max(1, len(padded) - GRAM + 1))}
    if len(all_grams) > SKETCH:
        return frozenset(heapq.nsmallest(SKETCH, all_grams, key=lambda gram: (zlib.crc32(gram.encode()), gram)))
    return frozenset(all_grams)


def near_grams(first: frozenset[str], second: frozenset[str]) -> bool:
    """Whether two gram sets are near."""
    common = len(first & second)
    return common >= NEAR * (len(first) + len(second) - common)


def earlier(skeletons: Sequence[str]) -> list[list[int]]:
    """For each of several different skeletons, the positions before it that are near to it, in order.

    A family in which a text has more than `ENOUGH` near ones (rows of one template) is not looked through pair by pair:
    the first text of the family counts as near to each of it.
    """
    near: list[list[int]] = [[] for _ in skeletons]
    place = {text: n for n, text in enumerate(skeletons)}
    pairs, crowds, _ = _near(tuple(sorted(skeletons)))
    for one, other in pairs:
        low, high = sorted((place[one], place[other]))
        near[high].append(low)
    for crowd in crowds:
        first, *rest = sorted(place[text] for text in crowd)
        for later in rest:
            if first not in near[later]:
                near[later].append(first)
    for places in near:
        if len(places) > 1:
            places.sort()
    return near


def in_part(skeletons: Sequence[str]) -> int:
    """How many of several different skeletons were compared with a part of the others that differ little from them."""
    return _near(tuple(sorted(skeletons)))[2]


@functools.lru_cache(maxsize=1)  # splitting and checking ask for the same texts in another order
def _near(skeletons: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[list[str]], int]:
    """The near pairs among different skeletons, the families in which a text has more than `ENOUGH`, and how many texts
    were compared with a part of their kind only.
    """
    sets: dict[int, frozenset[str]] = {}

    def grams_of(n: int) -> frozenset[str]:
        if n not in sets:
            sets[n] = grams(skeletons[n])
        return sets[n]

    padded = [f" {text} ".ljust(GRAM) for text in skeletons]
    families = near_pairs.Families(len(skeletons), ENOUGH, MISSES)
    pairs = []
    for i, j in near_pairs.candidates(padded, NEAR, GRAM, SKETCH, families):
        if near_grams(grams_of(i), grams_of(j)):
            families.join(i, j)
            pairs.append((skeletons[i], skeletons[j]))
        else:
            families.miss(i, j)
    crowds = [[skeletons[n] for n in crowd] for crowd in families.crowded()]
    return pairs, crowds, int(families.tired.sum())
