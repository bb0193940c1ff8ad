"""What would decide where nothing is decided: rows that are in the data already, seeds, test rows, labels.

The cheapest comes first. A number is named only where a decision is likely with it (`predictive.py`); otherwise the
sentence says how likely the most that was looked at would decide, and how far apart the ways can be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from whichway.findings import Sentence
from whichway.verdict.explain.explanation import one_seed
from whichway.verdict.explain.grade_text import grades_would_decide
from whichway.verdict.explain.inputs import ExplanationInputs
from whichway.verdict.explain.number_format import CitedSentence, chance, count, listed, whole
from whichway.verdict.folds import BELOW, USUAL
from whichway.verdict.predictive import STATED, Predictive, Prospect
from whichway.verdict.rule import Ruling

EVEN = 0.5


def would_decide(facts: ExplanationInputs) -> tuple[Sentence, ...]:
    """What a user can do about an open question; for a decided one, only which size of training set would tell more."""
    ruling = facts.ruling
    if ruling is None:
        return (Sentence("At least one way that does not fail; see the reasons above."),)
    if len(facts.table.arms) == 1:
        return (Sentence("A second way to compare with."),)
    if facts.table.clusters < 2:
        return (Sentence("At least 2 independent test rows; differences of about 10 points need 100 to 200."),)
    if ruling.decided or facts.rows_decide:
        return tuple(next_size(facts))
    if facts.grading is not None:
        return tuple(grades_would_decide(facts, ruling, in_question(facts, ruling)))
    return (*open_question(facts, ruling), *unknown_seeds(facts, ruling), *rising(facts, ruling), *next_size(facts))


def in_question(facts: ExplanationInputs, ruling: Ruling) -> list[int]:
    """The arms that keep the choice from being decided."""
    others = [k for k in range(len(facts.table.arms)) if k != ruling.choice]
    return list(ruling.open or ruling.siblings or others)


def open_question(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """Folds, seeds and rows, each where it makes a decision likely; else what is true instead."""
    predictive = Predictive(facts.table, facts.margin)
    others = in_question(facts, ruling)
    names = [facts.way(k) for k in (ruling.choice, *others)]
    between = f"between {listed(names)}"
    yield from folds(facts, predictive)
    prospect = predictive.prospect()
    if prospect.seeds is not None:
        yield more_seeds(facts, ruling, others, prospect, between)
    if prospect.rows is not None:
        cite = CitedSentence()
        rows, sure = cite("rows", prospect.rows, count), cite("chance", prospect.rows_chance, chance)
        yield cite.sentence(f"About {rows} more test rows would decide {between}, with a probability of {sure}.")
    elif prospect.both is not None:
        cite = CitedSentence()
        rows, many = cite("rows", prospect.both[0], count), cite("seeds_wanted", seeds_wanted(facts, prospect), whole)
        now, sure = cite("seeds", most_seeds(facts), whole), cite("chance", prospect.both_chance, chance)
        yield cite.sentence(
            f"About {rows} more test rows together with {many} seeds instead of {now} would decide {between}, with a "
            f"probability of {sure}."
        )
    elif prospect.seeds is None:
        yield unlikely(facts, ruling, predictive, prospect, others)


def folds(facts: ExplanationInputs, predictive: Predictive) -> Iterator[Sentence]:
    """The rows that are in the data already but did not test; only for a run that was not cross-fitted."""
    if not facts.table.n < facts.data_rows < BELOW:
        return
    cite = CitedSentence()
    rows, many = cite("data_rows", facts.data_rows, whole), cite("folds", USUAL, whole)
    sure = cite("chance", round(predictive.chance(facts.data_rows / facts.table.n), 2), chance)
    yield cite.sentence(
        f"No new labels: with --folds {many} each of the {rows} rows of the data tests once; so many test rows decide "
        f"with a probability of {sure}."
    )


def most_seeds(facts: ExplanationInputs) -> int:
    """Seeds of the way that has most."""
    return max(len(arm.scores) for arm in facts.table.arms)


def seeds_wanted(facts: ExplanationInputs, prospect: Prospect) -> int:
    """Seeds that the prospect asks for."""
    return most_seeds(facts) * (prospect.both[1] if prospect.both else prospect.seeds or 1)


def more_seeds(
    facts: ExplanationInputs, ruling: Ruling, others: list[int], prospect: Prospect, between: str
) -> Sentence:
    """Seeds that decide on the rows there are, and what blurs the gap."""
    cite = CitedSentence()
    noisiest = max((facts.ahead(j, ruling.choice) for j in others), key=lambda c: c.seed_variance)
    many, now = cite("seeds_wanted", seeds_wanted(facts, prospect), count), cite("seeds", most_seeds(facts), whole)
    blur = cite("seed_error", math.sqrt(noisiest.seed_variance), facts.format.size)
    rows = cite("row_error", math.sqrt(noisiest.row_variance or 0.0), facts.format.size)
    sure = cite("chance", prospect.seeds_chance, chance)
    return cite.sentence(
        f"No new labels: {many} seeds instead of {now} would decide {between} on the same test rows, with a "
        f"probability of {sure}; seeds blur a gap by ±{blur}, test rows by ±{rows}."
    )


def unlikely(
    facts: ExplanationInputs, ruling: Ruling, predictive: Predictive, prospect: Prospect, others: list[int]
) -> Sentence:
    """No sensible number of rows makes a decision likely: how likely the most would, and how far apart the ways are."""
    cite, names = CitedSentence(), [facts.way(k) for k in (ruling.choice, *others)]
    most, sure = cite("most", prospect.most, whole), cite("chance", prospect.rows_chance, chance)
    if prospect.rows_chance >= EVEN:
        return cite.sentence(
            f"No number of test rows is sure enough to be named: {most} more decide between {listed(names)} with a "
            f"probability of {sure}."
        )
    gap = cite("apart", predictive.apart(ruling.choice, others), facts.format.size)
    return cite.sentence(
        f"More test rows are unlikely to decide between {listed(names)}: {most} more do with a probability of {sure}. "
        f"With a probability of {cite('within', STATED, chance)} they are within {gap} of {names[0]}"
        f"{cheaper(facts, ruling, cite, others)}."
    )


def cheaper(facts: ExplanationInputs, ruling: Ruling, cite: CitedSentence, others: list[int]) -> str:
    """The advice to take the cheapest way, where it loses little and the rows are unlikely to decide."""
    first = min(ruling.choice, *others)  # arms are in the order of cost
    if first == ruling.choice:
        return f", the cheapest of them: take {facts.way(first)}"
    if ruling.outlook is None:
        return ""
    more = ruling.outlook.regret[first] - ruling.outlook.regret[ruling.choice]
    if more > facts.margin:
        return ""
    return (
        f"; the cheaper {facts.way(first)} is expected to lose only {cite('more_loss', more, facts.format.size)} more"
    )


def unknown_seeds(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """Random ways in question whose seed noise was not measured."""
    if any(one.what == "fold" for one in facts.missing):
        return  # folds take the place of seeds, and those that are missing are named
    unknown = [facts.way(k) for k in one_seed(facts) if k in {ruling.choice, *ruling.open}]
    if unknown:
        yield Sentence(f"At least 3 seeds for {listed(unknown)}: the noise between seeds is not measured.")


def rising(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """Trained ways in question that are shown to gain by more training rows: labels serve them twice."""
    for k in sorted({ruling.choice, *in_question(facts, ruling)}):
        curve = next((c for c in facts.curves if c.way == facts.way(k)), None)
        if curve is None or facts.table.arms[k].kind not in ("fine-tune", "both"):
            continue
        if curve.plateau or curve.gain is None or not (curve.gain_low or 0.0) > 0:
            continue
        cite = CitedSentence()
        gain = cite("gain", curve.gain, facts.format.signed)
        size = cite("largest", curve.points[-1].n, whole)
        yield cite.sentence(
            f"More labelled rows: {curve.way} still rises at {size} training rows, {gain}{facts.format.unit} over its "
            "last two doublings, so that they help it as well as the comparison."
        )


def next_size(facts: ExplanationInputs) -> Iterator[Sentence]:
    """The size of training set that would tell more about a crossover that is open."""
    for cross in facts.crossovers:
        if cross.next_n is not None:
            cite = CitedSentence()
            size = cite("next_n", cross.next_n, whole)
            pair = f"{cross.second} and {cross.first}"
            yield cite.sentence(f"A run with {size} training rows would tell more about {pair}.")
