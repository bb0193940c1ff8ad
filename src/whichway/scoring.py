"""From records to numbers, once for the whole house: clusters of rows, label codes, totals, paired comparisons.

The decision's own arithmetic is in `verdict`; what stands here makes its inputs, the same for a way's dev scores, a
race, the playground, the JSON of a run and the verdict. What an unread answer counts is `Record.points`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from whichway.contracts import Metric
from whichway.nouns import Record, Reply
from whichway.verdict.compare import Arm, Comparison, Table
from whichway.verdict.stats import FloatArray, macro_f1

LEAST_CHANCE = 1e-6  # of a label that a reply gives no score
UNREAD = -1  # the code of an answer that could not be read, or is no target


class Scored(Protocol):
    """A row as scoring sees it; `Example` and `runs.Row` are such."""

    @property
    def id(self) -> str:
        """Digest of its content."""
        ...

    @property
    def target(self) -> str:
        """The wanted answer."""
        ...

    @property
    def group(self) -> str | None:
        """What it must not be split from; None where it stands alone."""
        ...


def scores_of(records: Sequence[Record]) -> FloatArray:
    """The points of each record, shape (n,)."""
    return np.array([record.points for record in records], dtype=float)


def clusters(rows: Sequence[Scored]) -> tuple[str, ...] | None:
    """The cluster of each row, for intervals; None where every row stands alone."""
    return tuple(row.group or row.id for row in rows) if any(row.group for row in rows) else None


@dataclass(frozen=True, slots=True)
class LabelCodes:
    """Labels as integers, sorted by their normal form: what macro-F1 is computed from."""

    targets: Any  # (n,) int
    places: dict[str, int]
    metric: Metric

    def answers(self, records: Sequence[Record]) -> list[int]:
        """The code of each answer; `UNREAD` for one that could not be read or is no target."""
        return [
            self.places.get(self.metric.normal(record.text), UNREAD) if record.outcome == "ok" else UNREAD
            for record in records
        ]


def label_codes(rows: Sequence[Scored], metric: Metric) -> LabelCodes:
    """The codes of the rows' targets, and of the answers to come."""
    gold = [metric.normal(row.target) for row in rows]
    places = {label: place for place, label in enumerate(sorted(set(gold)))}
    return LabelCodes(np.array([places[label] for label in gold], dtype=int), places, metric)


def needs_labels(metric: Metric) -> bool:
    """Whether a metric is computed from labels over all rows, and is no mean of the rows' scores."""
    return metric.aggregate == "macro_f1"


def total(metric: Metric, rows: Sequence[Scored], records: Sequence[Record]) -> float:
    """The metric over rows, by the task's own aggregate; `records` are in the order of `rows`."""
    if needs_labels(metric):
        codes = label_codes(rows, metric)
        return float(macro_f1(codes.targets, codes.answers(records)))
    return sum(record.points for record in records) / max(1, len(records))


def loss_of(reply: Reply, target: str) -> float:
    """Nats of the wanted label among the labels; of one chance in a million where the reply has no scores."""
    if target not in reply.scores:
        return -math.log(LEAST_CHANCE)
    top = max(reply.scores.values())
    whole = top + math.log(sum(math.exp(s - top) for s in reply.scores.values()))
    return min(whole - reply.scores[target], -math.log(LEAST_CHANCE))


def arm(name: str, rows: Sequence[Scored], records: Sequence[Record], metric: Metric) -> Arm:
    """One candidate's answers to rows as an arm with one seed."""
    codes = label_codes(rows, metric) if needs_labels(metric) else None
    return Arm(
        way=name,
        kind="prompt",
        scores=scores_of(records)[None, :],
        targets=codes.targets if codes else None,
        answers=np.array([codes.answers(records)]) if codes else None,
        groups=clusters(rows),
        aggregate=metric.aggregate,
    )


def measured(
    rows: Sequence[Scored], records: Sequence[Record], metric: Metric, confidence: float
) -> tuple[float, float | None, float | None]:
    """One candidate's score on rows with its interval; None where there are too few rows for one."""
    table = Table([arm("", rows, records, metric)], confidence)
    value, ends = table.value(0), table.interval(0)
    return (value, None, None) if ends is None else (value, min(ends[0], value), max(ends[1], value))


def paired(
    rows: Sequence[Scored],
    first: Sequence[Record],
    second: Sequence[Record],
    metric: Metric,
    confidence: float = 0.95,
) -> tuple[Table, Comparison]:
    """Two candidates on the same rows: the table of both, and second minus first."""
    table = Table([arm("first", rows, first, metric), arm("second", rows, second, metric)], confidence)
    return table, table.compare(0, 1)
