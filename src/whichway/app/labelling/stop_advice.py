"""Whether more labels can still change the verdict of the cheap ways, in numbers and in words.

It is advised to stop when three looks in a row chose the same way, more rows would hardly change what the rule says of
the choice (`verdict.predictive`), and the last third of the labels moved the accuracy of the choice by less than the
margin. None of this is about language models: these are not fitted here, and may gain from more labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whichway.app.labelling.cheap_ways import (
    LEAST,
    CheapVerdict,
    LabelledRow,
    cheap_verdict,
    cheap_ways,
    cross_fitted,
)
from whichway.app.labelling.row_vectors import RowVectors

MARGIN = 0.01
LOOKS = 3  # in a row that must agree
EARLIER = 2 / 3  # of the labels, with which all of them are compared
FIRST = 60  # rows drawn at random, before which nobody is told to stop: with so many a run tests in folds
UNLIKELY = 0.2  # chance of a decision, below which more rows are not worth it


@dataclass(frozen=True, slots=True)
class LabelLook:
    """What the labels said when there were so many."""

    labels: int
    tested: int  # rows drawn at random
    choice: str
    score: float
    low: float | None
    high: float | None
    decided: bool
    chance: float | None  # that the rows left decide it; None: decided already, or nothing is left
    gain: float  # of the last third of the labels, in accuracy
    gain_error: float  # its standard error


@dataclass(frozen=True, slots=True)
class StopAdvice:
    """What is said to who labels."""

    stop: bool
    lines: tuple[str, ...]


def look(
    vectors: RowVectors, labelled: Sequence[LabelledRow], left: int, verdict: CheapVerdict | None = None
) -> LabelLook | None:
    """What the labels say now; None while too few rows drawn at random have one.

    Args:
        vectors: of all rows.
        labelled: in the order in which they were labelled.
        left: rows drawn at random that have no label yet.
        verdict: of these labels, where it is known.
    """
    import numpy as np

    verdict = verdict or cheap_verdict(vectors, labelled, MARGIN)
    if verdict is None:
        return None
    place = verdict.ruling.choice
    ends = verdict.table.interval(place)
    now = verdict.table.arms[place].scores[0]
    before = cross_fitted(cheap_ways(vectors)[verdict.choice], labelled, EARLIER)
    gains = now - before
    return LabelLook(
        labels=len(labelled),
        tested=verdict.table.n,
        choice=verdict.choice,
        score=verdict.score,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        decided=verdict.ruling.decided,
        chance=_chance(verdict, left),
        gain=float(gains.mean()),
        gain_error=float(np.std(gains, ddof=1) / len(gains) ** 0.5),
    )


def _chance(verdict: CheapVerdict, left: int) -> float | None:
    from whichway.verdict.predictive import Predictive

    if verdict.ruling.decided or not left:
        return None
    return Predictive(verdict.table, MARGIN).chance(1 + left / verdict.table.n)


def advise_stop(looks: Sequence[LabelLook], tested: int) -> StopAdvice:
    """The advice after some looks.

    Args:
        looks: the latest last.
        tested: rows drawn at random that have a label by now.
    """
    if not looks:
        line = f"A first estimate comes with {LEAST} labels on rows drawn at random; {tested} so far."
        return StopAdvice(False, (line,))
    last = looks[-1]
    form = f"{100 * last.score:.1f} %"
    if last.low is not None and last.high is not None:
        form += f" ({100 * last.low:.0f} to {100 * last.high:.0f})"
    lines = [f"Of the cheap ways {last.choice} leads, with {form} right on {last.tested} rows drawn at random."]
    lines.append(
        f"The last third of the labels changed that by {100 * last.gain:+.1f} points (± {196 * last.gain_error:.1f})."
    )
    if not last.decided and last.chance is not None:
        chance = f"{100 * last.chance:.0f} %"
        lines.append(f"Labelling all rows of this file would decide between them with a chance of {chance}.")
    agree = len(looks) >= LOOKS and len({one.choice for one in looks[-LOOKS:]}) == 1
    settled = last.decided or last.chance is None or last.chance < UNLIKELY
    if not (agree and settled and last.gain < MARGIN and last.tested >= FIRST):
        return StopAdvice(False, tuple(lines))
    why = "its lead is shown" if last.decided else "the ways are too close for this file to tell them apart"
    lines.append(
        f"You may stop: {why}, {LOOKS} looks in a row agree, and as far as {last.tested} rows show, labels add less "
        "than a point now. That is about the cheap ways; a fine-tuned model may gain from more."
    )
    return StopAdvice(True, tuple(lines))
