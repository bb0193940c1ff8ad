"""A judge's levels of written answers, and how reliable the judge is, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from whichway.findings import Judgement, Sentence
from whichway.verdict.explain.inputs import Facts
from whichway.verdict.explain.numbers import Said, bare, listed, percent, whole
from whichway.verdict.judging import CONSISTENT, RELIABLE, SAME

HALF = 0.5


def judged(facts: Facts) -> Iterator[Sentence]:
    """The judge's mean level of each way, and how reliable the judge is."""
    found = facts.judgement
    if found is None or not found.scores:
        return
    said, parts = Said(), []
    for line in sorted(found.scores, key=lambda j: -j.score):
        ends = ""
        if line.low is not None and line.high is not None:
            low, high = said(f"{line.way}.judge_low", line.low, bare), said(f"{line.way}.judge_high", line.high, bare)
            ends = f" ({low}–{high})"
        parts.append(f"{line.way} {said(f'{line.way}.judge', line.score, percent)}{ends}")
    yield said.sentence(f"The judge's mean level, as a share of its best level: {listed(parts)}. It decides nothing.")
    yield from _worth(found)
    yield from _places(found)


def _worth(found: Judgement) -> Iterator[Sentence]:
    """How far the judge agrees with itself when asked again."""
    said = Said()
    if found.same_again is None:
        yield Sentence("Every answer was judged once, so how noisy the judge is was not measured.")
        return
    same, repeats = said("same_again", found.same_again, percent), said("repeats", found.repeats, whole)
    told = f"Asked {repeats} times about the same answer, the judge gives the same level in {same} of pairs"
    if found.commonest is not None and (found.reliability is None or found.commonest >= SAME):
        common = said("commonest", found.commonest, percent)
        yield said.sentence(f"{told}, and one level in {common} of all: it does not tell answers apart.")
    elif found.reliability is not None:
        share = said("reliability", found.reliability, percent)
        noisy = found.reliability < RELIABLE
        end = ". It is mostly noise: do not read an order of ways from it" if noisy else ""
        yield said.sentence(f"{told}; {share} of the variance of its levels is due to the answers{end}.")


def _places(found: Judgement) -> Iterator[Sentence]:
    """Whether the judge prefers an answer for its position."""
    if found.first_place is None or found.first_low is None or found.first_high is None:
        return
    said = Said()
    first, low = said("first", found.first_place, percent), said("first_low", found.first_low, bare)
    high = said("first_high", found.first_high, bare)
    tilted = not found.first_low <= HALF <= found.first_high
    liking = "it has a position bias, which asking in both orders cancels" if tilted else "no position bias is shown"
    both = ""
    if found.consistent is not None:
        same = said("consistent", found.consistent, percent)
        both = f" In {same} of pairs it prefers the same answer in both orders"
        both += (
            "."
            if found.consistent >= CONSISTENT
            else ": it follows the position more often than the answer, so do not rely on it."
        )
    yield said.sentence(
        f"Of two answers the judge prefers the one shown first in {first} ({low}–{high}): {liking}.{both}"
    )
