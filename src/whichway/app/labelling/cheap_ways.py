"""What the cheap ways make of the labels so far: each row that was drawn at random is answered by heads without it.

The ways are those that need no language model: the most frequent label, word counts, a sentence encoder. Rows that were
chosen because a head doubted them are trained on and never scored, as `whichway run` does with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whichway.app.labelling.quick_head import fit_head
from whichway.app.labelling.row_vectors import RowVectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from whichway.verdict.compare import Table
    from whichway.verdict.rule import Ruling

    FloatArray = NDArray[np.float64]

FOLDS = 5
LEAST = 20  # rows drawn at random, below which nothing is said
CONFIDENCE = 0.95
MOST_WORDS = 1000  # rows from which on word counts are not fitted again: that would take many seconds

Predict = Callable[[Sequence[int], Sequence[str], Sequence[int]], list[str]]  # rows, their labels, rows to answer


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A row with its label."""

    place: int  # of the row among all
    label: str
    drawn: bool  # at random; the others were chosen


@dataclass(frozen=True, slots=True)
class CheapVerdict:
    """Which of the cheap ways the labels speak for."""

    table: Table  # one arm for each way, in the order of cost
    ruling: Ruling
    rows: int  # labelled rows, chosen ones too

    @property
    def choice(self) -> str:
        """The way's name."""
        return self.table.arms[self.ruling.choice].way

    @property
    def score(self) -> float:
        """The choice's accuracy on rows drawn at random."""
        return self.table.value(self.ruling.choice)


def cheap_ways(vectors: RowVectors) -> dict[str, Predict]:
    """Name -> what answers rows by others, the cheapest first."""
    ways: dict[str, Predict] = {"base_majority": _majority, "base_tfidf": _head_on(vectors.words)}
    return ways | ({"base_encoder": _head_on(vectors.dense)} if vectors.by_encoder else {})


def cheap_verdict(
    vectors: RowVectors, labelled: Sequence[LabelledRow], margin: float, ways: Mapping[str, Predict] | None = None
) -> CheapVerdict | None:
    """Compare the cheap ways on the rows that were drawn at random; None while these are too few.

    Args:
        vectors: of all rows.
        labelled: in the order in which they were labelled.
        margin: a difference that does not matter.
        ways: the cheapest first; None: `cheap_ways`.
    """
    import numpy as np

    from whichway.verdict.compare import Arm, Table
    from whichway.verdict.rule import rule

    drawn = [row for row in labelled if row.drawn]
    if len(drawn) < LEAST or len({row.label for row in labelled}) < 2:
        return None
    folds = np.arange(len(drawn)) % FOLDS
    ways = dict(ways or cheap_ways(vectors))
    if len(labelled) > MOST_WORDS and len(ways) > 2:
        del ways["base_tfidf"]
    arms = []
    for name, predict in ways.items():
        scores = cross_fitted(predict, labelled)
        fits = tuple(f"{name} {k}" for k in range(1 if name == "base_majority" else FOLDS))
        arms.append(Arm(way=name, kind="baseline", scores=scores[None, :], folds=folds, candidates=fits))
    table = Table(arms, CONFIDENCE)
    return CheapVerdict(table, rule(table, margin), len(labelled))


def cross_fitted(predict: Predict, labelled: Sequence[LabelledRow], share: float = 1.0) -> FloatArray:
    """For each row that was drawn at random 1 where it is answered rightly by heads fitted without its fold, else 0.

    Args:
        predict: a way.
        labelled: all rows with labels.
        share: of the rows to fit on, the first of them; below 1 it says what fewer labels would have given.
    """
    import numpy as np

    drawn = [row for row in labelled if row.drawn]
    fold_of = {row.place: n % FOLDS for n, row in enumerate(drawn)}
    scores = np.zeros(len(drawn))
    for fold in range(FOLDS):
        rest = [row for row in labelled if fold_of.get(row.place) != fold]
        rest = rest[: max(2, round(share * len(rest)))]
        wanted = [n for n in range(len(drawn)) if n % FOLDS == fold]
        replies = predict([r.place for r in rest], [r.label for r in rest], [drawn[n].place for n in wanted])
        scores[wanted] = [float(reply == drawn[n].label) for n, reply in zip(wanted, replies, strict=True)]
    return scores


def _majority(rows: Sequence[int], labels: Sequence[str], wanted: Sequence[int]) -> list[str]:
    counts = Counter(labels)
    return [min(counts, key=lambda label: (-counts[label], label))] * len(wanted)


def _head_on(vectors: Any) -> Predict:
    """A way that fits a head on vectors."""

    def predict(rows: Sequence[int], labels: Sequence[str], wanted: Sequence[int]) -> list[str]:
        head = fit_head(vectors[list(rows)], labels)
        if head is None:
            return [labels[0]] * len(wanted)
        return [head.labels[int(k)] for k in head.probabilities(vectors[list(wanted)]).argmax(axis=1)]

    return predict
