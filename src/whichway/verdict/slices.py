"""Parts of the test rows: by label, by length, by a column. Where does the choice lose, and where do the ways disagree?

Looking at many parts finds something by chance. Each part's test against each rival enters one Holm family; only what
stands after that is called a loss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from whichway.findings import Overlap, Slice
from whichway.verdict import stats
from whichway.verdict.compare import Arm, Comparison, Table
from whichway.verdict.explain.number_format import clean
from whichway.verdict.folds import folds_on
from whichway.verdict.spread import HALF

FEWEST = 8  # rows of a slice; smaller ones say nothing
MOST = 40  # values of one column
CONSTANT = "base_majority"  # right on all rows of its one label, which tells nothing


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What is known about the test rows beside their scores, in the order of the arms' scores."""

    ids: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()  # empty for free text
    lengths: tuple[int, ...] = ()  # characters of the input
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def slices(table: Table, choice: int, rows: RowFacts, best_pair: tuple[int, int] | None) -> tuple[Slice, ...]:
    """The choice on every part that has enough rows, worst first.

    Args:
        table: competing arms.
        choice: place of the choice among them.
        rows: labels, lengths, columns.
        best_pair: the best prompt and the best fine-tune, for the share of rows on which they differ.
    """
    rivals = [k for k, arm in enumerate(table.arms) if k != choice and arm.way != CONSTANT]
    parts = [(by, value, mask) for by, value, mask in masks(rows) if mask.sum() >= FEWEST]
    if not rivals or not parts:
        return ()
    cut = [part_of(table, mask) for _, _, mask in parts]
    differences = {(i, k): small.compare(k, choice) for i, small in enumerate(cut) for k in rivals}
    known = [key for key, c in differences.items() if c.p is not None]
    holm = dict(zip(known, stats.holm([differences[key].p or 0.0 for key in known]), strict=True))
    lines = []
    for i, (by, value, mask) in enumerate(parts):
        rival = max(rivals, key=lambda k: (cut[i].value(k), -k))
        differ = disagreement(table, best_pair, mask)
        lines.append(line(cut[i], choice, rival, by, value, differences[i, rival], holm.get((i, rival)), differ))
    return tuple(sorted(lines, key=lambda s: (not s.worse, s.difference, s.by, s.value)))


def line(
    table: Table,
    choice: int,
    rival: int,
    by: str,
    value: str,
    comparison: Comparison,
    p_holm: float | None,
    differ: float | None,
) -> Slice:
    """One part's line; `comparison` is choice − rival."""
    worse = p_holm is not None and comparison.value < 0 and p_holm <= 1 - table.confidence
    return Slice(
        by=by,
        value=value,
        rows=table.n,
        score=clean(table.value(choice)) or 0.0,
        rival=table.arms[rival].way,
        rival_score=clean(table.value(rival)) or 0.0,
        difference=clean(comparison.value) or 0.0,
        low=clean(comparison.low),
        high=clean(comparison.high),
        p=clean(comparison.p),
        p_holm=clean(p_holm),
        worse=worse,
        disagree=clean(differ),
    )


def part_of(table: Table, mask: np.ndarray) -> Table:
    """The same arms on some rows. Parts are judged by their mean row score, also where the metric is no mean:
    inside one label macro-F1 means little.
    """
    groups = table.groups and tuple(np.asarray(table.groups, dtype=object)[mask])
    arms = [
        replace(
            arm,
            scores=arm.scores[:, mask],
            groups=groups,
            folds=folds_on(arm.folds, mask),
            aggregate="mean",
            lowest=0.0,
            targets=None,
            answers=None,
        )
        for arm in table.arms
    ]
    return Table(arms, table.confidence, table.paired)


def masks(rows: RowFacts) -> Iterator[tuple[str, str, np.ndarray]]:
    """Every part: what it is by, its value, and (n,) which rows are in it."""
    if rows.targets:
        yield from values("label", rows.targets)
    if rows.lengths:
        yield from thirds(np.asarray(rows.lengths))
    for name, cells in sorted(rows.columns.items()):
        yield from values(name, cells)


def values(by: str, cells: Sequence[str]) -> Iterator[tuple[str, str, np.ndarray]]:
    """A part for each value of a column; none where it has one value or too many."""
    counts = Counter(cells)
    if not 2 <= len(counts) <= MOST:
        return
    array = np.asarray(cells, dtype=object)
    for value in sorted(counts):
        yield by, value, array == value


def thirds(lengths: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Short, middle and long inputs; fewer parts where lengths are equal."""
    low, high = (int(q) for q in np.quantile(lengths, (1 / 3, 2 / 3), method="lower"))
    if low < lengths.max():
        yield "length", f"up to {low:,} characters", lengths <= low
    if low < high < lengths.max():
        yield "length", f"{low + 1:,} to {high:,} characters", (lengths > low) & (lengths <= high)
    if low < lengths.max():
        yield "length", f"over {min(high, int(lengths.max()) - 1):,} characters", lengths > high


def right(arm: Arm) -> np.ndarray:
    """(n,) whether an arm is right on each row: by the majority of its seeds."""
    majority: np.ndarray = arm.scores.mean(axis=0) >= HALF
    return majority


def disagreement(table: Table, best_pair: tuple[int, int] | None, mask: np.ndarray) -> float | None:
    """Share of rows on which exactly one of the best prompt and the best fine-tune is right."""
    if best_pair is None:
        return None
    a, b = (right(table.arms[k])[mask] for k in best_pair)
    return float((a != b).mean())


def overlap(table: Table, best_pair: tuple[int, int] | None) -> Overlap | None:
    """Who is right where: the best prompt against the best fine-tune."""
    if best_pair is None:
        return None
    a, b = (right(table.arms[k]) for k in best_pair)
    prompt, tuned = (table.arms[k].way for k in best_pair)
    return Overlap(
        prompt, tuned, int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum())
    )  # fmt: skip
