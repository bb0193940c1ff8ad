"""Whether what is served is still like the data of the contest: inputs, answers, and what users think of them.

Each comparison is an ordinary two-sample test (Kolmogorov-Smirnov for lengths, Mann-Whitney for the share of unseen
words, chi-squared for the mix of answers) and a size: a warning wants both, a p below 0.001 and a difference that
matters, on at least fifty rows. Whoever looks every minute would otherwise see a difference one day.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whichway.runs.run import Run

FEWEST = 50  # served rows; fewer show nothing
ALPHA = 0.001
_LENGTH, _UNSEEN, _MIX = 0.15, 0.10, 0.15  # differences that matter, on the scale of each test
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class DataReference:
    """What a run's own rows are like.

    Attributes:
        lengths: characters of each dev and test row.
        unseen: of each, the share of its words that no other row has.
        words: of all rows.
        answers: candidate id -> how often it gave each answer on test.
        scores: candidate id -> its score on test, where that is the share of right answers.
    """

    lengths: tuple[int, ...]
    unseen: tuple[float, ...]
    words: frozenset[str]
    answers: Mapping[str, Counter[str]] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """One comparison of what is served with the data.

    Attributes:
        what: "input length", "unseen words", "answers of NAME" or "thumbs for NAME".
        data: its number in the data.
        served: the same number of what is served.
        difference: on the scale of the test.
        p: two-sided.
        rows: that were served.
        warning: a sentence with the numbers, where they differ; else "".
    """

    what: str
    data: float
    served: float
    difference: float
    p: float
    rows: int
    warning: str = ""


def reference_of(run: Run) -> DataReference:
    """What the dev and test rows of a finished run are like, and how its candidates answered."""
    texts = [row.text for row in run.rows]
    counts = Counter(word for text in texts for word in set(words_of(text)))
    shared = frozenset(word for word, count in counts.items() if count > 1)
    unseen = [unseen_share(text, shared) for text in texts]
    answers: dict[str, Counter[str]] = {}
    scores: dict[str, list[float]] = {}
    for (candidate, _), records in run.test_records.items():
        answers.setdefault(candidate, Counter())[records[0].text] += 1
        scores.setdefault(candidate, []).append(records[0].points)
    shares = {name: sum(points) / len(points) for name, points in scores.items() if set(points) <= {0.0, 1.0}}
    few = {name: counts for name, counts in answers.items() if len(counts) <= max(2, counts.total() // 4)}
    return DataReference(tuple(map(len, texts)), tuple(unseen), frozenset(counts), few, shares)


def words_of(text: str) -> list[str]:
    """Its words in lower case."""
    return _WORD.findall(text.lower())


def unseen_share(text: str, known: frozenset[str]) -> float:
    """The share of a text's words that are not among the known ones."""
    words = words_of(text)
    return sum(word not in known for word in words) / len(words) if words else 0.0


def input_drift(data: DataReference, texts: Sequence[str]) -> list[DriftFinding]:
    """Whether served inputs are as long as those of the data, and in the same words."""
    from scipy import stats

    if len(texts) < FEWEST or len(data.lengths) < FEWEST:
        return []
    lengths = [len(text) for text in texts]
    longer: Any = stats.ks_2samp(data.lengths, lengths)
    unseen = [unseen_share(text, data.words) for text in texts]
    stranger: Any = stats.mannwhitneyu(data.unseen, unseen, alternative="less")
    usual, now = _mean(data.unseen), _mean(unseen)
    return [
        _finding(
            "input length", (_median(data.lengths), _median(lengths)), float(longer.statistic), float(longer.pvalue),
            len(texts), _LENGTH,
            "inputs have another length than the data: {1:.0f} characters in the median, not {0:.0f}",
        ),
        _finding(
            "unseen words", (usual, now), now - usual, float(stranger.pvalue), len(texts), _UNSEEN,
            "inputs use other words than the data: {1:.0%} of their words are new, not {0:.0%}",
        ),
    ]  # fmt: skip


def answer_drift(name: str, before: Counter[str], served: Counter[str]) -> list[DriftFinding]:
    """Whether a candidate's answers are mixed as they were on test.

    Args:
        name: of its model id.
        before: how often it gave each answer on test.
        served: how often it gives each now.
    """
    from scipy import stats

    if served.total() < FEWEST or before.total() < FEWEST:
        return []
    labels = sorted(before | served)
    table = [[counts[label] for label in labels] for counts in (before, served)]
    if len(labels) < 2:
        return []
    result: Any = stats.chi2_contingency(table)
    shares = {label: (before[label] / before.total(), served[label] / served.total()) for label in labels}
    distance = sum(abs(b - s) for b, s in shares.values()) / 2
    most = max(labels, key=lambda label: abs(shares[label][1] - shares[label][0]))
    text = f"answers of {name} are mixed in another way than on test: '{most}' is {{1:.0%}} of them, not {{0:.0%}}"
    what = f"answers of {name}"
    return [_finding(what, shares[most], distance, float(result.pvalue), served.total(), _MIX, text)]


def thumb_drift(name: str, score: float, ups: int, downs: int) -> list[DriftFinding]:
    """Whether users are content as often as the candidate was right on test.

    Those who are not content say so more often, so a low share is a reason to look, not a measurement.
    """
    from scipy import stats

    count = ups + downs
    if count < FEWEST:
        return []
    p = float(stats.binomtest(ups, count, min(max(score, 1e-9), 1 - 1e-9), alternative="less").pvalue)
    text = f"thumbs for {name}: up for {{1:.0%}} of {count}; on test {{0:.0%}} of its answers were right"
    share = ups / count
    return [_finding(f"thumbs for {name}", (score, share), score - share, p, count, 0.05, text)]


def _finding(
    what: str, numbers: tuple[float, float], difference: float, p: float, rows: int, matters: float, text: str
) -> DriftFinding:
    shown = p < ALPHA and abs(difference) >= matters
    warning = f"{text.format(*numbers)} ({rows} rows, p = {p:.1g})" if shown else ""
    return DriftFinding(what, *numbers, difference, p, rows, warning)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _median(values: Sequence[int]) -> float:
    ordered = sorted(values)
    return float(ordered[len(ordered) // 2])
