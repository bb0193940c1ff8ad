"""Rows without a wanted answer, which a teacher may label: read as the task's rows are, and kept apart from them.

A row that is nearly a copy of a labelled one, or of its group, is left out: with folds every labelled row is test once,
and a student that has seen its text would be measured too well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from whichway.errors import DataError
from whichway.nouns import Example, Split, Task
from whichway.tasks import near_duplicates
from whichway.tasks.columns import Columns
from whichway.tasks.new_rows import read_inputs
from whichway.tasks.spec import Spec
from whichway.tasks.table import DataTable, Row
from whichway.tasks.unusable import without_value

MOSTLY = 0.5  # share of rows left out from which on it is a warning


@dataclass(frozen=True, slots=True)
class UnlabelledRows:
    """The rows, and what a reader must know of them."""

    rows: tuple[Example, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def own_file(spec: Spec) -> bool:
    """Whether the rows without a wanted answer stand in the data file itself."""
    return spec.unlabelled is not None and spec.data is not None and spec.unlabelled.resolve() == spec.data.resolve()


def answered(spec: Spec, table: DataTable, parts: Columns) -> DataTable:
    """The table without the rows that are there to be labelled.

    Raises:
        DataError: no row has an answer.
    """
    if not own_file(spec):
        return table
    bare = without_value(table, parts.target, spec)
    rows = tuple(row for row in table.rows if id(row) not in bare)
    if not rows:
        raise DataError(f"{table.path}: no row has a value in column '{parts.target}'. A teacher learns from some.")
    return replace(table, rows=rows)


def read_unlabelled(spec: Spec, task: Task, parts: Columns) -> UnlabelledRows:
    """The rows of `unlabelled:` that are new, in the order of their file.

    Args:
        spec: what is said about the task.
        task: its labelled rows.
        parts: the columns of these.

    Raises:
        DataError: the file cannot be read, lacks a column, or holds no row.
    """
    if spec.unlabelled is None:
        return UnlabelledRows(())
    first = task.train[0]

    def bare(table: DataTable) -> Sequence[Row]:
        without = without_value(table, parts.target, spec)
        return [row for row in table.rows if id(row) in without]

    rows = read_inputs(
        spec.unlabelled, tuple(first.input), bool(first.turns), spec.reading, parts.group,
        bare if own_file(spec) else None,
    )  # fmt: skip
    rows = [row for row in rows if row.text.strip()]
    if not rows:
        what = f"no row without a value in column '{parts.target}'" if own_file(spec) else "no row"
        raise DataError(f"{spec.unlabelled}: {what}, so there is nothing to label. Leave unlabelled: out.")
    new, left_out = new_rows(rows, {"test": task.test, "dev": task.dev, "train": task.train})
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
    note = f"unlabelled: {len(new)} rows of {spec.unlabelled.name}" + (f"; left out: {reasons}." if reasons else ".")
    few = len(new) < (1 - MOSTLY) * len(rows)
    more = " They are mostly labelled rows, or written from one template." if few else ""
    return UnlabelledRows(tuple(new), (note,), (f"{len(rows) - len(new)} of {len(rows)} unlabelled rows are left out "
                          f"as copies.{more}",) if few else ())  # fmt: skip


def new_rows(
    rows: Sequence[Example], labelled: Mapping[Split, Sequence[Example]]
) -> tuple[list[Example], dict[str, int]]:
    """The rows that are no near-copies of labelled ones, and how many are left out for which reason.

    Args:
        rows: without a wanted answer.
        labelled: rows of each split; a row near to rows of several is counted for the first.
    """
    sides: dict[str, Split] = {}
    groups: set[str] = set()
    for split, examples in labelled.items():
        for example in examples:
            sides.setdefault(near_duplicates.skeleton(example.text), split)
            groups |= {example.group} if example.group else set()
    near = near_labelled([near_duplicates.skeleton(row.text) for row in rows], sides)
    counts: Counter[str] = Counter()
    new: list[Example] = []
    seen: set[str] = set()
    for row in rows:
        text = near_duplicates.skeleton(row.text)
        if text in near:
            counts[f"nearly copies of {near[text]} rows"] += 1
        elif row.group in groups:
            counts["in groups of labelled rows"] += 1
        elif text in seen:
            counts["copies of each other"] += 1
        else:
            seen.add(text)
            new.append(row)
    return new, dict(counts)


def near_labelled(skeletons: Sequence[str], sides: Mapping[str, Split]) -> dict[str, Split]:
    """Those of some skeletons that are near to labelled rows -> the split of these, the first of several.

    Args:
        skeletons: of new texts.
        sides: skeleton of a labelled row -> its split, those that count first in front.
    """
    every = list(dict.fromkeys([*sides, *skeletons]))
    near: dict[str, Split] = {text: sides[text] for text in skeletons if text in sides}
    for place, earlier in enumerate(near_duplicates.earlier(every)):
        hits = [other for other in earlier if other < len(sides)]
        if place >= len(sides) and hits:
            near[every[place]] = sides[every[min(hits)]]
    return near
