"""Rows of a table that cannot be used for a task: without a target or an input, or with an id that stands twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from whichway.errors import DataError
from whichway.tasks.chat_formats import INPUT, TARGET, Conversation
from whichway.tasks.columns import Columns
from whichway.tasks.metrics._text import plain
from whichway.tasks.spec import Spec
from whichway.tasks.table import BadRows, DataTable, Row

# What spreadsheets, data libraries and databases write for a missing value.
ERRORS = frozenset(("#n/a", "#na", "#ref!", "#value!", "#div/0!", "#name?", "#null!", "#num!", "#spill!", "#calc!"))
MISSING = ERRORS | {"nan", "<na>", "nat", "\\n"}


def usable(table: DataTable, parts: Columns, spec: Spec, bad: BadRows) -> Iterable[Row]:
    """Rows with an input and a target; others are refused, or left out where the user allows it."""
    _refuse_hidden(table, parts)
    needed = {"the target": parts.target, "the rejected answer": parts.rejected}
    empty = {part: without_value(table, column, spec) for part, column in needed.items() if column}
    ids: dict[tuple[Path, str], Row] = {}
    for row in table.rows:
        alone = bool(spec.skip_bad)
        message = next((m for part, rows in empty.items() if (m := _empty_message(row, part, rows, parts, alone))), "")
        message = message or _unusable(row, parts) or _double(row, parts, ids)
        if message:
            bad.refuse(row.origin, f"{row.where}: {message}")
        else:
            yield row


def _refuse_hidden(table: DataTable, parts: Columns) -> None:
    """Refuse a test split without answers by its name, rather than by its first row."""
    sides = {row.split for row in table.rows} - {None}
    for side in sorted(side for side in sides if side):
        rows = [row for row in table.rows if row.split == side]
        if not any(row.fields.get(parts.target) for row in rows):
            raise DataError(
                f"{rows[0].path}: the {side} split has no answers (column '{parts.target}'). Leave this file out: name "
                "the others by split: {train: FILE, test: FILE}, or the train file alone."
            )


def without_value(table: DataTable, column: str, spec: Spec) -> dict[int, Row]:
    """Rows without a value in a column, by identity; a label that looks like a missing value is a value."""
    labels = {plain(label) for label in spec.labels or ()}

    def missing(value: str) -> bool:
        return not value or (value.casefold() in MISSING and plain(value) not in labels)

    return {id(row): row for row in table.rows if missing(row.fields.get(column, ""))}


def _empty_message(row: Row, part: str, empty: Mapping[int, Row], parts: Columns, alone: bool) -> str:
    """What is wrong with a row without a value; unless it is to be told alone, the first tells of the others."""
    if id(row) not in empty:
        return ""
    column = parts.target if part == "the target" else parts.rejected
    rows = list(empty.values())
    first = not alone and row is rows[0] and len(rows) > 1
    more = f" So are {len(rows) - 1} more, the next on line {rows[1].line}." if first else ""
    value = row.fields.get(column or "", "")
    if column == TARGET and isinstance(row.fields.get(INPUT), Conversation) and not value:
        return (
            "a conversation ('messages') must end with the assistant's answer to be learned from, and this one ends "
            "with the user, or its answer is empty. Complete it or delete the row."
        )
    what = f"is '{value}', which stands for a missing value" if value else "is empty"
    return f"{part} (column '{column}') {what}.{more} Fill it or delete the row."


def _unusable(row: Row, parts: Columns) -> str:
    if not any(row.fields.get(name) for name in parts.input):
        return f"the input ({', '.join(parts.input)}) is empty. Fill it or delete the row."
    values = [row.fields.get(name, "") for name in parts.input]
    if all(value.casefold() in ERRORS for value in values if value):
        shown = next(filter(None, values))
        return f"the input ({', '.join(parts.input)}) is '{shown}', an error of a spreadsheet. Mend or delete the row."
    if parts.rejected and row.fields[parts.target] == row.fields[parts.rejected]:
        return "the chosen and the rejected answer are the same. Delete the row."
    return ""


def _double(row: Row, parts: Columns, ids: dict[tuple[Path, str], Row]) -> str:
    value = row.fields.get(parts.id, "") if parts.id else ""
    if not value:
        return ""
    first = ids.setdefault((row.path, value), row)
    if first is row:
        return ""
    return (
        f"the id '{value[:60]}' (column '{parts.id}') stands on line {first.line} already. Make ids unique; if equal "
        f"ids mean rows that belong together, say group: {parts.id}; if it is no id, say id: none."
    )
