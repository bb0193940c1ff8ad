"""For written answers: the way to take for variety, and the way to take for sameness.

Only ways whose quality is not shown worse than the best come into question, by the metric and, where a judge was found
to tell answers apart, by the judge too. Variety is one minus the similarity of two
answers to one input; of ways that are as varied, the one that the rule would prefer comes first (score, then cost).
"""

from __future__ import annotations

from collections.abc import Iterator

from whichway.findings import Sentence, Variety
from whichway.nouns import Standing
from whichway.verdict import variety
from whichway.verdict.explain.inputs import Facts, scored
from whichway.verdict.explain.numbers import Said, bare, listed, percent, whole

TOO_FEW = 20  # inputs under which a sentence reminds of their number


def wishes(facts: Facts) -> tuple[Sentence, ...]:
    """One sentence for variety, one for sameness, and their evidence; none where no text was written several times."""
    ruling = facts.ruling
    if ruling is None or not facts.varieties:
        return ()
    standing = {facts.way(k) for k in ruling.standing}
    if facts.judgement is not None and facts.judgement.useful:
        standing &= {j.way for j in facts.judgement.scores if j.standing}
    able = [v for v in facts.varieties if v.way in standing]
    if not able:
        return ()
    return (*most_varied(facts, able), *most_alike(facts, able), *few_inputs(facts))


def most_varied(facts: Facts, able: list[Variety]) -> Iterator[Sentence]:
    """The way whose answers to one input differ most."""
    drawn = [v for v in able if v.drawn]
    if not drawn:
        yield _dear(facts)
        return
    said, best = Said(), min(drawn, key=lambda v: (v.similarity.value, -_score(facts, v), _place(facts, v)))
    rest = [v for v in drawn if v.way != best.way]
    more = f" {_against(facts, best, min(rest, key=lambda v: v.similarity.value))}" if rest else ""
    yield said.sentence(f"If you want variety, take {best.way}: {_told(said, facts, best)}.{more}")


def _dear(facts: Facts) -> Sentence:
    """What variety costs, or how to get it, where no good way samples its answers."""
    drawn = [v for v in facts.varieties if v.drawn]
    if not drawn:
        return Sentence(
            "If you want variety: no way samples its answers, so an input always gets the same answer. Give a way a "
            "temperature above zero to see what that does to quality."
        )
    said, best = Said(), max(drawn, key=lambda v: (_score(facts, v), -v.similarity.value))
    return said.sentence(
        f"If you want variety, it costs quality: every way that samples its answers is shown worse. {best.way} "
        "loses least: "
        f"{_told(said, facts, best)}."
    )


def most_alike(facts: Facts, able: list[Variety]) -> Iterator[Sentence]:
    """The way whose answers to one input differ least."""
    fixed = sorted((v for v in able if not v.drawn), key=lambda v: (-_score(facts, v), _place(facts, v)))
    said = Said()
    if fixed:
        best, others = fixed[0], [v.way for v in fixed[1:]]
        quality = _quality(said, facts, best)
        same = f" So {'do' if len(others) > 1 else 'does'} {listed(others)}." if others else ""
        yield said.sentence(
            f"If you want sameness, take {best.way}: it does not sample, so an input always gets the same answer; "
            f"quality {quality}.{same}"
        )
        return
    best = max(able, key=lambda v: (v.similarity.value, _score(facts, v), -_place(facts, v)))
    yield said.sentence(f"If you want sameness, take {best.way}: {_told(said, facts, best)}.")


def few_inputs(facts: Facts) -> Iterator[Sentence]:
    """A reminder of how few inputs the advice rests on, where they are few."""
    said, first = Said(), facts.varieties[0]
    if first.inputs < TOO_FEW:
        inputs, answers = said("inputs", first.inputs, whole), said("answers", first.answers, whole)
        yield said.sentence(
            f"This rests on {inputs} inputs with {answers} answers each: the intervals say how far other inputs of the "
            "same kind may differ."
        )


def _told(said: Said, facts: Facts, found: Variety) -> str:
    """Similarity and agreement of a way's answers, and its quality."""
    alike = said("similarity", found.similarity.value, percent)
    if found.similarity.low is not None and found.similarity.high is not None:
        low = said("similarity.low", found.similarity.low, bare)
        alike += f" ({low}–{said('similarity.high', found.similarity.high, bare)})"
    equal = said("agreement", found.agreement.value, percent)
    fresh = ""
    if found.distinct_2 is not None:
        fresh = f"; {said('distinct_2', found.distinct_2.value, percent)} of its word pairs are distinct"
    quality = _quality(said, facts, found)
    same = f"{alike} similar on average and identical in {equal} of pairs"
    return f"two of its answers to one input are {same}{fresh}; quality {quality}"


def _quality(said: Said, facts: Facts, found: Variety) -> str:
    """The score by the metric, and by the judge where the judge is useful."""
    told = scored(said, _line(facts, found), facts.format)
    if facts.judgement is None or not facts.judgement.useful:
        return told
    own = [j for j in facts.judgement.scores if j.way == found.way]
    return f"{told}, by the judge {said('judge', own[0].score, percent)}" if own else told


def _against(facts: Facts, best: Variety, other: Variety) -> str:
    """Whether a way is shown to be more varied than the next."""
    one, two = (next(a for a in facts.answers if a.way == v.way) for v in (best, other))
    _, ends = variety.gap(one, two, facts.table.confidence)
    shown = ends is not None and ends[0] > 0
    return f"It is {'' if shown else 'not '}shown to be more varied than {other.way}."


def _line(facts: Facts, found: Variety) -> Standing:
    return next(line for line in facts.standings if line.way == found.way)


def _score(facts: Facts, found: Variety) -> float:
    return _line(facts, found).score or 0.0


def _place(facts: Facts, found: Variety) -> int:
    return next(k for k, arm in enumerate(facts.table.arms) if arm.way == found.way)
