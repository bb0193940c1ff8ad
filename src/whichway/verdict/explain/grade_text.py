"""Grades by hand in sentences: what they say, how far the judge agrees with them, and how many more would decide."""

from __future__ import annotations

from collections.abc import Iterator

from whichway.findings import Grading, Sentence
from whichway.verdict.explain.inputs import ExplanationInputs
from whichway.verdict.explain.number_format import CitedSentence, bare, chance, count, listed, percent, plain, signed
from whichway.verdict.explain.number_format import whole as number
from whichway.verdict.hand_grades import ENOUGH, GradedTable
from whichway.verdict.more_grades import GradesPredictive
from whichway.verdict.rule import Ruling

USELESS = 0.05  # λ below which a judge adds nothing


def by_grades(facts: ExplanationInputs) -> Iterator[Sentence]:
    """What was graded, how far the judge agrees, and what it gets wrong for each way."""
    grading = facts.grading
    if grading is None:
        return
    cite = CitedSentence()
    inputs, rows = cite("inputs", grading.inputs, number), cite("rows", grading.rows, number)
    answers = cite("answers", grading.answers, number)
    yield cite.sentence(
        f"Scores are people's grades, from the worst level to the best: {inputs} of {rows} test inputs, drawn at "
        f"random, were graded by hand ({answers} answers), and the judge's levels of all are corrected by them."
    )
    if grading.look > 1:
        yield _look(grading, facts.table.confidence)
    yield _agreement(grading)
    yield _excess(grading)


def _look(grading: Grading, confidence: float) -> Sentence:
    """That grades were looked at before, and what it costs."""
    cite = CitedSentence()
    look, level = cite("look", grading.look, number), cite("confidence", confidence, percent)
    return cite.sentence(
        f"Look {look} at grades of this run: tests and intervals are at {level}, so that looking again and again does "
        "not end in a decision by chance."
    )


def _agreement(grading: Grading) -> Sentence:
    """How often the judge gives the level that people give, and what its levels add."""
    cite = CitedSentence()
    text = f"The judge gives the level that people give to {cite('same', grading.same_level, percent)}"
    if grading.same_low is not None and grading.same_high is not None:
        low, high = cite("same_low", grading.same_low, bare), cite("same_high", grading.same_high, bare)
        text += f" ({low}–{high})"
    text += " of the graded answers"
    if grading.correlation is not None:
        text += f"; its levels correlate with the grades by {cite('correlation', grading.correlation, plain)}"
    if grading.weight < USELESS:
        return cite.sentence(f"{text}. They add next to nothing to the grades.")
    if grading.worth is None:
        return cite.sentence(f"{text}.")
    worth, inputs = cite("worth", grading.worth, number), cite("inputs", grading.inputs, number)
    return cite.sentence(
        f"{text}. With it, differences between ways are as sure as {worth} graded inputs without a judge would make "
        f"them, instead of {inputs}."
    )


def _excess(grading: Grading) -> Sentence:
    """By how much the judge is too kind to each way."""
    cite = CitedSentence()
    parts = [f"{s.way} {cite(f'{s.way}.excess', s.excess, signed)}" for s in grading.scores]
    return cite.sentence(
        f"The judge's level less the grade, on the same answers: {listed(parts)} points. This is taken off; a judge "
        "alone would have counted it as quality."
    )


def grades_would_decide(facts: ExplanationInputs, ruling: Ruling, others: list[int]) -> Iterator[Sentence]:
    """How many more graded inputs would decide, or why none would."""
    table = facts.table
    assert isinstance(table, GradedTable)
    names = listed([facts.way(k) for k in (ruling.choice, *others)])
    missing, left = ENOUGH - table.graded_clusters, table.n - len(table.grades.places)
    if missing > 0:
        cite = CitedSentence()
        least, more = cite("enough", ENOUGH, number), cite("missing", missing, number)
        where = f"{more} more" if missing <= left else f"{more} more, which is more than there are test inputs"
        yield cite.sentence(f"At least {least} graded inputs, before which grades decide nothing: {where}.")
        if missing > left:
            return
    prospect = GradesPredictive(table, facts.margin).prospect()
    cite = CitedSentence()
    if prospect.inputs is not None:
        inputs, sure = cite("inputs", prospect.inputs, count), cite("chance", prospect.chance, chance)
        yield cite.sentence(
            f"About {inputs} more graded inputs would decide between {names}, with a probability of {sure} "
            "(`whichway grade` draws them)."
        )
    elif prospect.most:
        most, sure = cite("most", prospect.most, number), cite("chance", prospect.chance, chance)
        yield cite.sentence(
            f"Grading all of the other {most} test inputs decides between {names} with a probability of {sure}: more "
            "test inputs are needed, or a larger margin."
        )
    else:
        yield Sentence(f"All test inputs are graded: more of them are needed to decide between {names}.")
