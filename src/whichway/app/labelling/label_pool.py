"""The rows that are to be labelled: read, copies joined, and the part that is drawn at random set apart.

Which rows are drawn at random is fixed before the first label, by a hash of each row's content: a share of the rows is
set apart, and is asked in an order that is random too. What a head doubts is looked for among the others alone. So the
rows drawn at random are a simple random sample of all rows, however many of them are labelled, and whatever was chosen
beside them. Rows that are nearly copies, and rows of one group, are on one side.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.errors import DataError

if TYPE_CHECKING:
    from whichway.tasks.table import DataTable, ReadOptions

SHARE = 1 / 3  # of the labels, on rows drawn at random
SELECTION, SPLIT = "selection", "split"
PROVENANCE = (SPLIT, SELECTION, "annotator", "annotated_at", "suggestion", "suggestion_probability")
LEAST = 20  # rows
LONGEST = 200  # characters of a label


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A row to label; rows with the same input are one."""

    key: str  # digest of its input
    input: Mapping[str, str]
    text: str  # the input as one text
    places: tuple[int, ...]  # of the rows in their file
    drawn: bool  # at random
    rank: float  # in the random order
    label: str = ""  # that the file had already


@dataclass(frozen=True, slots=True)
class LabelPool:
    """All rows of a file, and what is known of them."""

    path: Path
    columns: tuple[str, ...]
    values: tuple[Mapping[str, Any], ...]  # each row of the file as its format has it
    input: tuple[str, ...]
    target: str  # the column of labels; it may be new
    rows: tuple[PoolRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def given_labels(self) -> tuple[str, ...]:
        """The labels that the file has already, the most frequent first."""
        return tuple(label for label, _ in Counter(row.label for row in self.rows if row.label).most_common())


@dataclass(frozen=True, slots=True)
class PoolColumns:
    """What the user says about the columns."""

    input: tuple[str, ...] = ()  # empty: found by its name
    target: str = "label"


def read_pool(path: Path, wanted: PoolColumns, share: float = SHARE, reading: ReadOptions | None = None) -> LabelPool:
    """The rows of a data file.

    Args:
        path: any data file that `run` reads, of one table.
        wanted: its columns.
        share: of the rows to be drawn at random.
        reading: what the user says about the file.

    Raises:
        DataError: it cannot be read, is empty, has no column of texts, or a column of labels that holds none.
    """
    from whichway.tasks import readers
    from whichway.tasks.table import DEFAULT, BadRows
    from whichway.tasks.text_rows import read_file, table_of

    options = reading or DEFAULT
    if not path.is_file():
        table = read_file(path, options)  # says what is missing
        raise DataError(f"{path}: a folder. Name the one file whose rows are to be labelled.")
    contents, bad = readers.reader_of(path).read(path, options, BadRows()), BadRows()
    table = table_of(contents, path, bad)
    inputs = _input_of(table, wanted)
    whole = len(contents.rows) == len(table.rows)
    values = tuple(raw.fields for raw in contents.rows) if whole else tuple(row.fields for row in table.rows)
    columns = tuple(dict.fromkeys(str(name) for value in values for name in value))
    taken = [name for name in PROVENANCE if name in columns]
    if taken:
        raise DataError(
            f"{path}: it has a column '{taken[0]}', which the labelled file uses to say how a row was chosen. Rename "
            "it first, or, if this is a labelled file already, give the file that it was made of."
        )
    rows = _rows(table, inputs, wanted.target, share)
    if len(rows) < LEAST:
        raise DataError(f"{path}: {len(rows)} different rows with a text. Labelling by turns wants {LEAST} or more.")
    _refuse_odd(path, wanted.target, [row.label for row in rows if row.label])
    return LabelPool(path, columns, values, inputs, wanted.target, rows, (*table.notes, *table.warnings))


def _input_of(table: DataTable, wanted: PoolColumns) -> tuple[str, ...]:
    """The columns with the text: as the user says, by their names, or the only one there is."""
    from whichway.errors import did_you_mean
    from whichway.tasks.columns import INPUTS

    columns = [name for name in table.columns if name != wanted.target]
    for name in wanted.input:
        if name not in columns:
            what = "is the column of labels" if name == wanted.target else "is not there"
            raise DataError(f"{table.path}: input column '{name}' {what}.{did_you_mean(name, columns)}")
    known = [name for name in columns if name.casefold() in INPUTS]
    inputs = wanted.input or tuple(known[:1] if len(known) == 1 else columns if len(columns) == 1 else ())
    if not inputs:
        raise DataError(
            f"{table.path}: it is not clear which column is the text. Columns: {', '.join(table.columns)[:400]}. Say "
            "it: --input COLUMN; repeat it for several."
        )
    if not any(re.search(r"[^\W\d_]", row.fields.get(name, "")) for row in table.rows for name in inputs):
        raise DataError(f"{table.path}: column '{inputs[0]}' holds no text to read. Say another one: --input COLUMN.")
    return inputs


def _rows(table: DataTable, inputs: Sequence[str], target: str, share: float) -> tuple[PoolRow, ...]:
    from whichway.nouns import Example, digest
    from whichway.tasks.columns import GROUPS
    from whichway.tasks.conversation_rows import example_of, with_conversations
    from whichway.tasks.metrics._text import plain
    from whichway.tasks.split import family_points, point
    from whichway.tasks.unusable import MISSING

    group = next((name for name in table.columns if name.casefold() in GROUPS and name not in inputs), None)
    places: dict[str, list[int]] = {}
    examples: dict[str, Example] = {}
    for place, (row, fields) in enumerate(zip(table.rows, with_conversations(table, inputs), strict=True)):
        example = example_of(fields, "", (row.fields.get(group) or None) if group else None, row.origin)
        if example.text.strip():
            key = digest(list(example.input.items()), 16)
            places.setdefault(key, []).append(place)
            examples.setdefault(key, example)

    def label(key: str) -> str:
        values = (table.rows[place].fields.get(target, "") for place in places[key])
        value = next((value for value in values if value and value.casefold() not in MISSING), "")
        return usual[plain(value)] if value else ""

    spelled = Counter(row.fields.get(target, "") for row in table.rows)
    usual = {plain(text): text for text, _ in reversed(spelled.most_common())}  # one label, one spelling: the usual one

    points = family_points(list(examples.values()))
    return tuple(
        PoolRow(
            key, dict(example.input), example.text, tuple(places[key]), point(f"drawn {at!r}") < share,
            point(f"order {key}"), label(key),
        )
        for (key, example), at in zip(examples.items(), points, strict=True)
    )  # fmt: skip


def _refuse_odd(path: Path, target: str, labels: Sequence[str]) -> None:
    """Refuse a column of labels that holds something else."""
    from whichway.tasks.labels import LONGEST_LABEL, ROWS_PER_LABEL

    different = set(labels)
    long = next((label for label in labels if "\n" in label or len(label) > LONGEST_LABEL), None)
    many = len(different) > LEAST and len(labels) < ROWS_PER_LABEL * len(different)
    if long is None and not many:
        return
    what = f"a text ('{long[:40]}...')" if long else f"{len(different)} different values in {len(labels)} rows"
    raise DataError(
        f"{path}: the column '{target}' holds {what}, which are no labels. Name another column for the labels: "
        "--target NAME; it need not exist."
    )
