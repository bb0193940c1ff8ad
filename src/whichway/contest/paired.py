"""Two candidates on the same rows: the paired difference from their records, by the verdict's own machinery."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whichway.contracts import Metric
from whichway.nouns import Example, Record
from whichway.verdict.compare import Arm, Comparison, Table


def arm(name: str, examples: Sequence[Example], records: Sequence[Record], metric: Metric) -> Arm:
    """One candidate's answers as an arm with one seed; an answer that could not be read counts 0."""
    gold = said = None
    if metric.aggregate == "macro_f1":
        targets = [metric.normal(e.target) for e in examples]
        code = {label: i for i, label in enumerate(sorted(set(targets)))}
        gold = np.array([code[t] for t in targets])
        said = np.array([[code.get(metric.normal(r.text), -1) if r.outcome == "ok" else -1 for r in records]])
    return Arm(
        way=name,
        kind="prompt",
        scores=np.array([[r.score or 0.0 for r in records]], dtype=float),
        targets=gold,
        answers=said,
        groups=tuple(e.group or e.id for e in examples) if any(e.group for e in examples) else None,
        aggregate=metric.aggregate,
    )


def paired(
    examples: Sequence[Example],
    first: Sequence[Record],
    second: Sequence[Record],
    metric: Metric,
    confidence: float = 0.95,
) -> tuple[Table, Comparison]:
    """The table of both, and second minus first."""
    table = Table([arm("first", examples, first, metric), arm("second", examples, second, metric)], confidence)
    return table, table.compare(0, 1)
