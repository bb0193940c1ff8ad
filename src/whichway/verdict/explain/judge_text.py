"""A judge's levels of written answers, and how reliable the judge is, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from whichway.findings import Judgement, Sentence
from whichway.verdict.explain.inputs import ExplanationInputs
from whichway.verdict.explain.number_format import CitedSentence, bare, listed, percent, whole
from whichway.verdict.judging import CONSISTENT, RELIABLE, SAME

HALF = 0.5


def judged(facts: ExplanationInputs) -> Iterator[Sentence]:
    """The judge's mean level of each way, and how reliable the judge is."""
    judgement = facts.judgement
    if judgement is None or not judgement.scores:
        return
    cite, parts = CitedSentence(), []
    for line in sorted(judgement.scores, key=lambda j: -j.score):
        ends = ""
        if line.low is not None and line.high is not None:
            low, high = cite(f"{line.way}.judge_low", line.low, bare), cite(f"{line.way}.judge_high", line.high, bare)
            ends = f" ({low}–{high})"
        parts.append(f"{line.way} {cite(f'{line.way}.judge', line.score, percent)}{ends}")
    alone = "It decides nothing by itself; with grades by hand it does (`whichway grade`)"
    decides = alone if facts.grading is None else "By itself it decides nothing; the grades correct it"
    yield cite.sentence(f"The judge's mean level, as a share of its best level: {listed(parts)}. {decides}.")
    yield from _reliability(judgement)
    yield from _position_bias(judgement)


def _reliability(judgement: Judgement) -> Iterator[Sentence]:
    """How far the judge agrees with itself when asked again."""
    cite = CitedSentence()
    if judgement.same_again is None:
        yield Sentence("Every answer was judged once, so how noisy the judge is was not measured.")
        return
    same, repeats = cite("same_again", judgement.same_again, percent), cite("repeats", judgement.repeats, whole)
    repeated = f"Asked {repeats} times about the same answer, the judge gives the same level in {same} of pairs"
    if judgement.commonest is not None and (judgement.reliability is None or judgement.commonest >= SAME):
        common = cite("commonest", judgement.commonest, percent)
        yield cite.sentence(f"{repeated}, and one level in {common} of all: it does not tell answers apart.")
    elif judgement.reliability is not None:
        share = cite("reliability", judgement.reliability, percent)
        noisy = judgement.reliability < RELIABLE
        end = ". It is mostly noise: do not read an order of ways from it" if noisy else ""
        yield cite.sentence(f"{repeated}; {share} of the variance of its levels is due to the answers{end}.")


def _position_bias(judgement: Judgement) -> Iterator[Sentence]:
    """Whether the judge prefers an answer for its position."""
    if judgement.first_place is None or judgement.first_low is None or judgement.first_high is None:
        return
    cite = CitedSentence()
    first, low = cite("first", judgement.first_place, percent), cite("first_low", judgement.first_low, bare)
    high = cite("first_high", judgement.first_high, bare)
    tilted = not judgement.first_low <= HALF <= judgement.first_high
    bias = "it has a position bias, which asking in both orders cancels" if tilted else "no position bias is shown"
    both = ""
    if judgement.consistent is not None:
        same = cite("consistent", judgement.consistent, percent)
        both = f" In {same} of pairs it prefers the same answer in both orders"
        both += (
            "."
            if judgement.consistent >= CONSISTENT
            else ": it follows the position more often than the answer, so do not rely on it."
        )
    yield cite.sentence(
        f"Of two answers the judge prefers the one shown first in {first} ({low}–{high}): {bias}.{both}"
    )
