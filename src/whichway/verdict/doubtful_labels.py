"""Test rows whose label is doubtful, and the verdict without them.

No way saw a test row before it answered, so the ways are what confident learning asks for: models from which the row
was held out. Each way's answers over its seeds are a vote, weighted by how far it is above always giving the most
frequent label; ways of one kind share one vote, for they err alike. At least two kinds of way must vote. As ways err
together on hard rows, their agreement is worth only what it is worth elsewhere: nearly all rows on which they agree on
that label must have it.

Rows without which the verdict is taken are no better rows: a hard row that all ways get wrong looks like a wrong label.
So nothing is dropped; the second verdict says only whether the first hangs on these rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from whichway.findings import DoubtfulLabel, DoubtfulLabels
from whichway.verdict.compare import Arm, Table
from whichway.verdict.confident_learning import suspects
from whichway.verdict.explain.number_format import clean
from whichway.verdict.folds import folds_on
from whichway.verdict.rule import MonthlyWorth, rule
from whichway.verdict.stats import FloatArray, IntArray

SURE = 0.7  # share of the votes that the believed label needs
LEAST_ROWS = 40
FEWEST = 5  # rows of a label; rarer labels are not judged
VOTERS = 2  # kinds of way that must vote
RELIABLE = 0.85  # share of the rows with such a vote for a label that must have this label


@dataclass(frozen=True, slots=True)
class LabelVotes:
    """What the ways answered to rows with one label each."""

    labels: tuple[str, ...] = ()
    targets: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # (n,) codes
    answers: Mapping[str, IntArray] = field(default_factory=dict)  # way -> (S, n) codes; below 0: none of the labels


def doubtful_labels(
    table: Table, votes: LabelVotes, ids: Sequence[str], margin: float, worth: MonthlyWorth | None = None
) -> DoubtfulLabels | None:
    """The doubtful rows, and what is decided without them; None where there are none, or nobody can say.

    Args:
        table: the ways that compete.
        votes: their answers as codes.
        ids: of the rows.
        margin: a difference that does not matter.
        worth: of a true score in a month, where a wrong answer has a price.
    """
    if len(ids) != table.n or len(votes.targets) != table.n:
        return None
    rows = doubtful_rows(table.arms, votes)
    keep = np.ones(table.n, dtype=bool)
    keep[[row for row, _, _ in rows]] = False
    if not rows or keep.sum() < LEAST_ROWS // 2:
        return None
    rest = Table([_on(arm, keep) for arm in table.arms], table.confidence, table.paired, table.spread)
    ruling = rule(rest, margin, worth)
    return DoubtfulLabels(
        rows=tuple(
            DoubtfulLabel(ids[row], votes.labels[votes.targets[row]], votes.labels[k], round(share, 4))
            for row, k, share in sorted(rows, key=lambda r: (-r[2], ids[r[0]]))
        ),
        choice=rest.arms[ruling.choice].way,
        sureness=ruling.sureness,
        scores=tuple(
            (arm.way, clean(table.value(k)) or 0.0, clean(rest.value(k)) or 0.0) for k, arm in enumerate(rest.arms)
        ),
    )


def doubtful_rows(arms: Sequence[Arm], votes: LabelVotes) -> list[tuple[int, int, float]]:
    """(row, believed label, its share of the votes) of each row whose label is doubtful."""
    targets, count = votes.targets, len(votes.labels)
    often = np.bincount(targets, minlength=count)
    judged = np.flatnonzero(often[targets] >= FEWEST) if count else np.zeros(0, dtype=int)
    labels = np.flatnonzero(often >= FEWEST)
    if len(judged) < LEAST_ROWS or len(labels) < 2:
        return []
    chance = _shares(arms, votes, float(often.max() / len(targets)))
    if chance is None:
        return []
    place = {int(label): k for k, label in enumerate(labels)}
    codes = np.array([place[int(targets[row])] for row in judged])
    on = chance[np.ix_(judged, labels)]
    return [
        (int(judged[row]), int(labels[k]), float(on[row, k]))
        for row, k in suspects(on, codes, SURE)
        if (codes == k)[on[:, k] >= SURE].mean() >= RELIABLE
    ]


def _shares(arms: Sequence[Arm], votes: LabelVotes, floor: float) -> FloatArray | None:
    """(n, L) each label's share of the votes; None where fewer than `VOTERS` kinds can vote."""
    by_kind: dict[str, list[tuple[float, FloatArray]]] = {}
    for arm in arms:
        answers = votes.answers.get(arm.way)
        if answers is None or not len(answers):
            continue
        right = float((answers == votes.targets).mean())
        weight = (right - floor) / max(1e-9, 1 - floor)
        if weight > 0:
            # two baselines learn from other things (words, an encoder); two prompts ask one model
            kind = arm.way if arm.kind == "baseline" else arm.kind
            share = np.stack([(answers == k).mean(axis=0) for k in range(len(votes.labels))], axis=1)
            by_kind.setdefault(kind, []).append((weight, share))
    if len(by_kind) < VOTERS:
        return None
    total, weights = np.zeros((len(votes.targets), len(votes.labels))), 0.0
    for voters in by_kind.values():
        best = max(weight for weight, _ in voters)
        total += best * sum(w * share for w, share in voters) / sum(w for w, _ in voters)
        weights += best
    return np.asarray(total / weights)


def _on(arm: Arm, keep: Any) -> Arm:
    """The same arm on some of the rows, by its own metric."""
    targets = None if arm.targets is None else arm.targets[..., keep]
    return replace(
        arm,
        scores=arm.scores[:, keep],
        groups=None if arm.groups is None else tuple(np.asarray(arm.groups, dtype=object)[keep]),
        folds=folds_on(arm.folds, keep),
        targets=targets,
        answers=None if arm.answers is None else arm.answers[:, keep],
        repeats=None,
        row_usd=None,
        row_tokens=None,
        texts=(),
    )
