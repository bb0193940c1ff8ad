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
from whichway.verdict.explain.inputs import ExplanationInputs, scored
from whichway.verdict.explain.number_format import CitedSentence, bare, listed, percent, whole

TOO_FEW = 20  # inputs under which a sentence reminds of their number


def diversity_advice(facts: ExplanationInputs) -> tuple[Sentence, ...]:
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


def most_varied(facts: ExplanationInputs, able: list[Variety]) -> Iterator[Sentence]:
    """The way whose answers to one input differ most."""
    drawn = [v for v in able if v.drawn]
    if not drawn:
        yield _costly_variety(facts)
        return
    cite, best = CitedSentence(), min(drawn, key=lambda v: (v.similarity.value, -_score(facts, v), _place(facts, v)))
    rest = [v for v in drawn if v.way != best.way]
    more = f" {_against(facts, best, min(rest, key=lambda v: v.similarity.value))}" if rest else ""
    yield cite.sentence(f"If you want variety, take {best.way}: {_diversity_text(cite, facts, best)}.{more}")


def _costly_variety(facts: ExplanationInputs) -> Sentence:
    """What variety costs, or how to get it, where no good way samples its answers."""
    drawn = [v for v in facts.varieties if v.drawn]
    if not drawn:
        return Sentence(
            "If you want variety: no way samples its answers, so an input always gets the same answer. Give a way a "
            "temperature above zero to see what that does to quality."
        )
    cite, best = CitedSentence(), max(drawn, key=lambda v: (_score(facts, v), -v.similarity.value))
    return cite.sentence(
        f"If you want variety, it costs quality: every way that samples its answers is shown worse. {best.way} "
        "loses least: "
        f"{_diversity_text(cite, facts, best)}."
    )


def most_alike(facts: ExplanationInputs, able: list[Variety]) -> Iterator[Sentence]:
    """The way whose answers to one input differ least."""
    fixed = sorted((v for v in able if not v.drawn), key=lambda v: (-_score(facts, v), _place(facts, v)))
    cite = CitedSentence()
    if fixed:
        best, others = fixed[0], [v.way for v in fixed[1:]]
        quality = _quality(cite, facts, best)
        same = f" So {'do' if len(others) > 1 else 'does'} {listed(others)}." if others else ""
        yield cite.sentence(
            f"If you want sameness, take {best.way}: it does not sample, so an input always gets the same answer; "
            f"quality {quality}.{same}"
        )
        return
    best = max(able, key=lambda v: (v.similarity.value, _score(facts, v), -_place(facts, v)))
    yield cite.sentence(f"If you want sameness, take {best.way}: {_diversity_text(cite, facts, best)}.")


def few_inputs(facts: ExplanationInputs) -> Iterator[Sentence]:
    """A reminder of how few inputs the advice rests on, where they are few."""
    cite, first = CitedSentence(), facts.varieties[0]
    if first.inputs < TOO_FEW:
        inputs, answers = cite("inputs", first.inputs, whole), cite("answers", first.answers, whole)
        yield cite.sentence(
            f"This rests on {inputs} inputs with {answers} answers each: the intervals say how far other inputs of the "
            "same kind may differ."
        )


def _diversity_text(cite: CitedSentence, facts: ExplanationInputs, measured: Variety) -> str:
    """Similarity and agreement of a way's answers, and its quality."""
    alike = cite("similarity", measured.similarity.value, percent)
    if measured.similarity.low is not None and measured.similarity.high is not None:
        low = cite("similarity.low", measured.similarity.low, bare)
        alike += f" ({low}–{cite('similarity.high', measured.similarity.high, bare)})"
    equal = cite("agreement", measured.agreement.value, percent)
    fresh = ""
    if measured.distinct_2 is not None:
        fresh = f"; {cite('distinct_2', measured.distinct_2.value, percent)} of its word pairs are distinct"
    quality = _quality(cite, facts, measured)
    same = f"{alike} similar on average and identical in {equal} of pairs"
    return f"two of its answers to one input are {same}{fresh}; quality {quality}"


def _quality(cite: CitedSentence, facts: ExplanationInputs, measured: Variety) -> str:
    """The score by the metric, and by the judge where the judge is useful."""
    score = scored(cite, _line(facts, measured), facts.format)
    if facts.judgement is None or not facts.judgement.useful:
        return score
    own = [j for j in facts.judgement.scores if j.way == measured.way]
    return f"{score}, by the judge {cite('judge', own[0].score, percent)}" if own else score


def _against(facts: ExplanationInputs, best: Variety, other: Variety) -> str:
    """Whether a way is shown to be more varied than the next."""
    one, two = (next(a for a in facts.answers if a.way == v.way) for v in (best, other))
    _, ends = variety.gap(one, two, facts.table.confidence)
    shown = ends is not None and ends[0] > 0
    return f"It is {'' if shown else 'not '}shown to be more varied than {other.way}."


def _line(facts: ExplanationInputs, measured: Variety) -> Standing:
    return next(line for line in facts.standings if line.way == measured.way)


def _score(facts: ExplanationInputs, measured: Variety) -> float:
    return _line(facts, measured).score or 0.0


def _place(facts: ExplanationInputs, measured: Variety) -> int:
    return next(k for k, arm in enumerate(facts.table.arms) if arm.way == measured.way)
