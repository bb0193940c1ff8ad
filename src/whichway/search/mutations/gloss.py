"""A line for each label with the words that are characteristic for it among the training rows."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from whichway.nouns import Example, Prompt
from whichway.search.context import Proposal, SearchContext

WEIGHT = 1.0
COUNTS = (3, 6, 10)
PRIOR = 50.0  # words that the background counts for


def propose(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> Proposal | None:
    """Gloss each label with another number of words."""
    count = rng.choice(COUNTS)
    words = characteristic(evidence.rows, evidence.labels, count)
    if "glosses" in prompt.protected or not any(words.values()):
        return None
    glosses = tuple((label, ", ".join(label_words)) for label, label_words in words.items() if label_words)
    return Proposal(replace(prompt, glosses=glosses), f"labels glossed with {count} words")


def characteristic(rows: Sequence[Example], labels: Sequence[str], count: int) -> dict[str, list[str]]:
    """The words of each label whose log-odds against the other rows are surest.

    Log-odds with the background as an informative Dirichlet prior, over its standard deviation (Monroe, Colaresi &
    Quinn 2008, Political Analysis 16:372). A word counts once a row, and only when two rows of the label have it.

    Args:
        rows: training rows.
        labels: the label set.
        count: words for each label, at most.

    Returns:
        label -> words, the most characteristic first.
    """
    counts: dict[str, Counter[str]] = {label: Counter() for label in labels}
    for row in rows:
        if row.target in counts:
            counts[row.target].update(set(words_of(row.text)))
    whole: Counter[str] = sum(counts.values(), Counter())
    return {label: _surest(counts[label], whole, count) for label in labels}


def _surest(own: Counter[str], whole: Counter[str], count: int) -> list[str]:
    total, mine = sum(whole.values()), sum(own.values())
    ranked = []
    for word, n in own.items():
        if n < 2:
            continue
        prior, others = PRIOR * whole[word] / total, whole[word] - n
        odds = _log_odds(n + prior, mine + PRIOR) - _log_odds(others + prior, total - mine + PRIOR)
        sure = odds / math.sqrt(1 / (n + prior) + 1 / (others + prior))
        if sure > 0:
            ranked.append((-sure, word))
    return [word for _, word in sorted(ranked)[:count]]


def _log_odds(n: float, of: float) -> float:
    return math.log(n / max(of - n, 1e-9))


def words_of(text: str) -> list[str]:
    """Words of three letters and more, in lower case."""
    return re.findall(r"[^\W\d_][\w'-]{2,}", text.lower())
