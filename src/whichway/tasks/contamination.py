"""Held-out rows as hashes: whether words of a text stand in a dev or test row, without anybody reading the rows.

The n-gram overlap of contamination checks (Brown et al. 2020, arXiv 2005.14165, appendix C: 13 words; here 8, as
rows are short). Sequences that training rows hold too are no sign of a leak and are left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

from whichway.nouns import Example, Split, Task

WORDS = 8  # of a sequence
LEAST = 5  # words of a whole row that is shorter
_WORD = re.compile(r"[^\W_]+")


class HeldOutRows:
    """Hashes of the word sequences of dev and test rows.

    Args:
        task: its rows are hashed here and not kept.
    """

    def __init__(self, task: Task) -> None:
        train = set(_hashes(task.train))
        self._of: dict[bytes, Split] = {}
        sides: tuple[tuple[Split, Sequence[Example]], ...] = (("dev", task.dev), ("test", task.test))
        for split, rows in sides:
            self._of |= dict.fromkeys(set(_hashes(rows)) - train, split)

    def __call__(self, text: str) -> list[tuple[int, int, str]]:
        """Spans of a text whose words stand in a dev or test row, overlapping ones joined: (start, end, split)."""
        words = list(_WORD.finditer(text))
        spans: list[tuple[int, int, str]] = []
        for size in range(LEAST, WORDS + 1):
            for at in range(len(words) - size + 1):
                split = self._of.get(_hash(w.group() for w in words[at : at + size]))
                if split:
                    spans.append((words[at].start(), words[at + size - 1].end(), split))
        return list(_joined(sorted(spans)))


def _joined(spans: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    last: tuple[int, int, str] | None = None
    for start, end, split in spans:
        if last and split == last[2] and start <= last[1]:
            last = (last[0], max(end, last[1]), split)
            continue
        if last:
            yield last
        last = (start, end, split)
    if last:
        yield last


def _hashes(rows: Iterable[Example]) -> Iterator[bytes]:
    """Hashes of every run of 8 words, and of whole rows of 5 to 7."""
    for row in rows:
        words = _WORD.findall(row.text)
        size = min(WORDS, len(words))
        if size >= LEAST:
            yield from (_hash(words[at : at + size]) for at in range(len(words) - size + 1))


def _hash(words: Iterable[str]) -> bytes:
    return hashlib.blake2b(" ".join(w.casefold() for w in words).encode(), digest_size=8).digest()
