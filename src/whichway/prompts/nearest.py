"""Texts that are most like another by their words alone. Needs nothing but Python: it is shipped beside `use.py`.

BM25 as in Robertson & Zaragoza (2009), "The Probabilistic Relevance Framework", with k1 = 1.2 and b = 0.75.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

K1, B = 1.2, 0.75
# Chinese, Japanese and Korean write no spaces: there each sign is a word.
SIGNS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
WORD = re.compile(f"[{SIGNS}]|[^\\W{SIGNS}]+")


def words(text: str) -> list[str]:
    """The words of a text in small letters."""
    return WORD.findall(text.lower())


class Index:
    """BM25 over some texts.

    Args:
        texts: to be searched; an answer names them by their place.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = tuple(texts)
        counted = [Counter(words(text)) for text in self._texts]
        lengths = [sum(counts.values()) for counts in counted]
        mean = sum(lengths) / max(1, len(lengths)) or 1.0
        held = Counter(word for counts in counted for word in counts)
        self._weights: dict[str, list[tuple[int, float]]] = {}
        for place, (counts, length) in enumerate(zip(counted, lengths, strict=True)):
            for word, count in counts.items():
                rare = math.log(1 + (len(counted) - held[word] + 0.5) / (held[word] + 0.5))
                much = count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean))
                self._weights.setdefault(word, []).append((place, rare * much))

    def scores(self, text: str) -> list[float]:
        """How like each text is; 0 where no word is shared."""
        found = [0.0] * len(self._texts)
        for word in words(text):
            for place, weight in self._weights.get(word, ()):
                found[place] += weight
        return found

    def nearest(self, text: str, count: int) -> list[int]:
        """Places of the `count` texts most like `text`, the most like first; ties in order; `text` itself never."""
        found = self.scores(text)
        open_ = [place for place, other in enumerate(self._texts) if other != text]
        return sorted(open_, key=lambda place: (-found[place], place))[:count]
