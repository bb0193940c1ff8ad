"""What a judge's levels and preferences are worth: its noise when asked again, its liking for a place, and its scores.

Noise and reliability are from a one-way random-effects analysis of variance over the answers that were judged several
times: ICC(1) = (MSB − MSW) / (MSB + (K − 1)·MSW) is the share of one judgement's variance that belongs to the answer
(Shrout & Fleiss 1979, Psychological Bulletin 86:420); √MSW is the judge's own noise. Texts that stand twice count once.

A way's score is the mean over inputs of all its judgements; its interval is over inputs and so holds the judge's noise,
but nothing of what the judge gets wrong each time in the same way.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from whichway.findings import Judgement, JudgeScore, PairwiseJudgement
from whichway.verdict import stats
from whichway.verdict.compare import Arm, Table
from whichway.verdict.explain.number_format import clean
from whichway.verdict.rule import not_shown_worse
from whichway.verdict.stats import FloatArray

RELIABLE = 0.5  # ICC below which more than half of a judgement's variance is noise
CONSISTENT = 0.5  # share of pairs below which its preferences follow the place more often than the answer
SAME = 0.95  # share of one level from which a judge does not tell answers apart

Line = Mapping[str, Any]


def judgement(
    lines: Sequence[Line], arms: Sequence[Arm], examples: Sequence[str], confidence: float
) -> Judgement | None:
    """What a judge said, with what it is worth; None where it said nothing.

    Args:
        lines: of judgements.jsonl.
        arms: competing ways, in the order of cost.
        examples: test rows, in order.
        confidence: of intervals.
    """
    levels = [line for line in lines if line["what"] == "level"]
    if not levels:
        return None
    table, ways = _table(levels, arms, examples, confidence)
    again, pairs = _again(levels), [line for line in lines if line["what"] == "pair"]
    within, between, share = noise(again)
    places = [line for line in pairs if line["asked"] and line["place"]]
    first = sum(line["place"] == "first" for line in places)
    ends = stats.wilson(first, len(places), confidence) if places else None
    common = Counter(line["score"] for line in levels if line["score"] is not None).most_common(1)
    both = consistent(pairs)
    known = sum(line["score"] is not None for line in levels)
    commonest = common[0][1] / known if common else None
    standing = not_shown_worse(table) if len(ways) > 1 and table.clusters > 1 else frozenset(range(len(ways)))
    return Judgement(
        answers=len(again),
        repeats=max(len(scores) for scores in again) if again else 0,
        unread=clean(1 - known / len(levels)) or 0.0,
        commonest=clean(commonest),
        same_again=clean(same_again(again)),
        noise_sd=clean(within),
        answers_sd=clean(between),
        reliability=clean(share),
        comparisons=len(places),
        first_place=clean(first / len(places)) if places else None,
        first_low=clean(ends[0]) if ends else None,
        first_high=clean(ends[1]) if ends else None,
        consistent=clean(both),
        useful=(share or 0.0) >= RELIABLE and (commonest or 1.0) < SAME and (both is None or both >= CONSISTENT),
        scores=tuple(_score(table, k, way, k in standing) for k, way in enumerate(ways)),
        duels=pairwise(pairs, confidence),
    )


def _table(
    levels: Sequence[Line], arms: Sequence[Arm], examples: Sequence[str], confidence: float
) -> tuple[Table, list[str]]:
    """The judge's scores of the ways that it judged on every input."""
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line in levels:
        scores[line["way"], line["example"]].append(line["score"] or 0.0)
    judged = [arm for arm in arms if all((arm.way, e) in scores for e in examples)]
    rows = [np.array([[float(np.mean(scores[arm.way, e])) for e in examples]]) for arm in judged]
    arms_of_judge = [Arm(way=a.way, kind=a.kind, scores=x, groups=a.groups) for a, x in zip(judged, rows, strict=True)]
    return Table(arms_of_judge, confidence), [arm.way for arm in judged]


def _score(table: Table, k: int, way: str, standing: bool) -> JudgeScore:
    ends = table.interval(k)
    low, high = ends or (None, None)
    return JudgeScore(way, clean(table.value(k)) or 0.0, clean(low), clean(high), standing)


def _again(levels: Sequence[Line]) -> list[list[float]]:
    """The judgements of each different answer to an input."""
    judged: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for line in levels:
        if line["score"] is not None:
            judged[line["example"], line["text"]][line["again"]] = line["score"]
    return [list(scores.values()) for _, scores in sorted(judged.items())]


def noise(again: Sequence[Sequence[float]]) -> tuple[float | None, float | None, float | None]:
    """Sd of one judgement of an answer, sd between answers (noise taken off), and ICC(1); None where not known."""
    many = max((len(scores) for scores in again), default=0)
    full = np.array([scores for scores in again if len(scores) == many], dtype=float)
    if many < 2 or len(full) < 2:
        return None, None, None
    within = float(full.var(axis=1, ddof=1).mean())
    means: FloatArray = full.mean(axis=1)
    between = float(means.var(ddof=1)) - within / many
    if within + between <= 0:
        return 0.0, 0.0, None  # one level for everything: nothing to be reliable about
    return math.sqrt(within), math.sqrt(max(0.0, between)), max(0.0, between) / (within + max(0.0, between))


def same_again(again: Sequence[Sequence[float]]) -> float | None:
    """Chance that two judgements of one answer give the same level."""
    shares = [np.mean([a == b for a, b in combinations(scores, 2)]) for scores in again if len(scores) > 1]
    return float(np.mean(shares)) if shares else None


def _rounds(pairs: Sequence[Line]) -> dict[tuple[str, str, str, int], list[str | None]]:
    """(first, second, example, again) -> the better way, in each order."""
    rounds: dict[tuple[str, str, str, int], list[str | None]] = defaultdict(list)
    for line in pairs:
        rounds[line["first"], line["second"], line["example"], line["again"]].append(line["better"])
    return rounds


def consistent(pairs: Sequence[Line]) -> float | None:
    """Share of pairs that were asked about on which both orders prefer the same answer."""
    rounds = _rounds([line for line in pairs if line["asked"]])
    both = [words for words in rounds.values() if len(words) == 2 and None not in words]
    return sum(words[0] == words[1] for words in both) / len(both) if both else None


def pairwise(pairs: Sequence[Line], confidence: float) -> tuple[PairwiseJudgement, ...]:
    """For each two ways: inputs on which the judge prefers one both ways round, and the others, which are ties."""
    values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (one, two, example, _), words in _rounds(pairs).items():
        value = (1.0 if words[0] == one else -1.0) if len(set(words)) == 1 and words[0] is not None else 0.0
        values[one, two][example].append(value)
    return tuple(_pairwise(one, two, by_input, confidence) for (one, two), by_input in values.items())


def _pairwise(one: str, two: str, by_input: Mapping[str, Sequence[float]], confidence: float) -> PairwiseJudgement:
    values = [float(np.mean(v)) for _, v in sorted(by_input.items())]
    wins, losses = sum(v > 0 for v in values), sum(v < 0 for v in values)
    return PairwiseJudgement(
        one, two, len(values), wins, losses, len(values) - wins - losses, clean(stats.mcnemar(wins, losses))
    )
