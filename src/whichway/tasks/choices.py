"""Targets that point elsewhere: the place of the answer in a list of choices, or the number or letter of a column.

Choices that are the same in every row are labels, and the target becomes the choice itself. Where each row has choices
of its own they are listed in the row's input with letters, and the letters are the labels.
"""

from __future__ import annotations

import ast
import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whichway.errors import DataError
from whichway.tasks.columns import Columns
from whichway.tasks.readers import Contents, RawRow
from whichway.tasks.table import BadRows, DataTable, Row
from whichway.tasks.text_rows import table_of

NAMES = ("choices", "options", "endings", "candidates", "answers", "answer_choices", "alternatives")
LISTED = "lettered_choices"  # the input field that lists a row's choices
LETTERS = string.ascii_uppercase
_FAMILY = re.compile(r"(.*?[a-z_ ]?)[ _]?([a-dA-D]|[0-9]{1,2})")
_STEMS = ("op", "option", "choice", "sol", "ending", "answer", "alt")


@dataclass(frozen=True, slots=True)
class Resolved:
    """The table and its columns with targets that say the answer themselves."""

    table: DataTable
    parts: Columns
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Choices:
    """The choices of each row, and where they come from."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marks: tuple[tuple[str, ...], ...]  # what points at a choice, where the data name it


def resolve(table: DataTable, parts: Columns, named_input: bool) -> Resolved:
    """Targets that are places in a list of choices, spelled out.

    Args:
        table: as read.
        parts: its columns.
        named_input: whether the user named the input columns.

    Raises:
        DataError: the targets point into a column that the user left out of the input.
    """
    choices = _choices(table, parts)
    places = choices and _places([row.fields.get(parts.target, "") for row in table.rows], choices)
    if not choices or not places:
        return Resolved(table, parts)
    shown = f"'{choices.columns[0]}'" if len(choices.columns) == 1 else f"{choices.columns[0]} to {choices.columns[-1]}"
    if len(set(choices.rows)) == 1:
        rows = [_put(row, parts.target, choices.rows[0][k]) for row, k in zip(table.rows, places, strict=True)]
        spare = tuple(name for name in parts.spare if name not in choices.columns)
        note = f"the targets are places in {shown}, the same in every row: each is read as the choice itself."
        return Resolved(replace(table, rows=tuple(rows)), replace(parts, spare=spare), (note,))
    inside = set(choices.columns) <= set(parts.input)
    if named_input and not inside:
        raise DataError(
            f"{table.path}: the target '{parts.target}' is a place in {shown}, which is no input: nobody could answer. "
            f"Add it: {' '.join(f'--input {name}' for name in choices.columns)}."
        )
    return _listed(table, parts, choices, places, shown)


def _listed(table: DataTable, parts: Columns, choices: _Choices, places: Sequence[int], shown: str) -> Resolved:
    rows = []
    for row, some, place in zip(table.rows, choices.rows, places, strict=True):
        fields = {key: value for key, value in row.fields.items() if key not in choices.columns}
        rows.append(replace(row, fields={**fields, LISTED: _with_letters(some), parts.target: LETTERS[place]}))
    inputs = (*(column for column in parts.input if column not in choices.columns), LISTED)
    spare = tuple(column for column in parts.spare if column not in choices.columns)
    note = f"the targets are places in {shown}: the choices are listed in the input, and their letters are the labels."
    return Resolved(replace(table, rows=tuple(rows)), replace(parts, input=inputs, spare=spare), (note,))


def with_listed(table: DataTable) -> DataTable:
    """A table whose rows list their choices in a field of their own, as the rows of a task do.

    Args:
        table: new rows without targets.

    Raises:
        DataError: no column holds choices.
    """
    choices = _find(table, table.columns)
    if choices is None:
        raise DataError(f"{table.path}: the rows need choices, as those of the task have: a column such as 'choices'.")
    rows = (replace(row, fields={**row.fields, LISTED: _with_letters(some)}) for row, some in
            zip(table.rows, choices.rows, strict=True))  # fmt: skip
    return replace(table, columns=(*table.columns, LISTED), rows=tuple(rows))


def with_choices(rows: Sequence[Mapping[str, Any]], fields: Sequence[str], path: Path) -> list[Mapping[str, Any]]:
    """Rows as mappings, with their choices listed as the rows of the task have them, where the task lists any.

    Args:
        rows: as JSON or Python gives them.
        fields: the input fields of the task.
        path: for messages.

    Raises:
        DataError: the task lists choices, and the rows hold none.
    """
    if LISTED not in fields or any(LISTED in row for row in rows):
        return list(rows)
    table = table_of(Contents([RawRow(n, dict(row)) for n, row in enumerate(rows)]), path, BadRows())
    listed = with_listed(table).rows
    return [{**row, LISTED: one.fields[LISTED]} for row, one in zip(rows, listed, strict=True)]


def _with_letters(some: Sequence[str]) -> str:
    return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, some, strict=False))


def _put(row: Row, column: str, text: str) -> Row:
    return replace(row, fields={**row.fields, column: text}, raw={k: v for k, v in row.raw.items() if k != column})


def _choices(table: DataTable, parts: Columns) -> _Choices | None:
    return _find(table, [name for name in (*parts.spare, *parts.input) if name != parts.target])


def _find(table: DataTable, usable: Sequence[str]) -> _Choices | None:
    """A column of lists, or several columns that are numbered or lettered."""
    for name in (name for name in usable if name.casefold() in NAMES):
        lists = [_list(row.fields.get(name, "")) for row in table.rows]
        if all(lists):
            marks = tuple(one[1] for one in lists if one)
            return _Choices((name,), tuple(one[0] for one in lists if one), marks)
    family = _family(usable)
    if family is None:
        return None
    columns = tuple(family.values())
    texts = tuple(tuple(row.fields.get(name, "") for name in columns) for row in table.rows)
    return _Choices(columns, texts, (tuple(family),) * len(texts))


def _list(text: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Choices of one row, with what points at them where the data name it (ARC: {"text": [...], "label": [...]})."""
    value = _value(text)
    marks: tuple[str, ...] = ()
    if isinstance(value, Mapping):
        marks = tuple(str(mark) for mark in value.get("label") or ())
        value = value.get("text")
    if not isinstance(value, list) or not 2 <= len(value) <= len(LETTERS):
        return None
    if not all(isinstance(part, str | int | float) for part in value):
        return None
    texts = tuple(str(part).strip() for part in value)
    return (texts, marks if len(marks) == len(texts) else ()) if all(texts) else None


def _value(text: str) -> Any:
    if not text.startswith(("[", "{")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _family(names: Sequence[str]) -> dict[str, str] | None:
    """Columns like option_a, option_b or sol1, sol2: what points at each, and its name."""
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        match = _FAMILY.fullmatch(name.casefold())
        if match and match[1].strip("_ ") in _STEMS:
            groups.setdefault(match[1].strip("_ "), {})[match[2]] = name
    for group in groups.values():
        marks = sorted(group)
        letters, ones = list("abcd")[: len(marks)], [str(n) for n in range(1, len(marks) + 1)]
        if len(marks) >= 2 and marks in (letters, ones, [str(n) for n in range(len(marks))]):
            return {mark: group[mark] for mark in marks}
    return None


def _places(targets: Sequence[str], choices: _Choices) -> list[int] | None:
    """The place that each target points at; None where one points nowhere, or says the choice itself."""
    if all(target in row for target, row in zip(targets, choices.rows, strict=True)):
        return None  # the answers are the choices' own texts
    if any(choices.marks) and all(_in(t, m) is not None for t, m in zip(targets, choices.marks, strict=True)):
        return [_in(t, m) or 0 for t, m in zip(targets, choices.marks, strict=True)]
    sizes = [len(row) for row in choices.rows]
    if all(len(t) == 1 and t.upper() in LETTERS[:size] for t, size in zip(targets, sizes, strict=True)):
        return [LETTERS.index(t.upper()) for t in targets]
    if not all(t.isdecimal() for t in targets):
        return None
    numbers = [int(t) for t in targets]
    starts = [s for s in (0, 1) if all(0 <= n - s < size for n, size in zip(numbers, sizes, strict=True))]
    if len(starts) == 2:
        raise DataError(
            f"the targets are places in '{choices.columns[0]}', and it is not clear whether they count from 0 or 1. "
            "Write letters, or the choices themselves."
        )
    return [n - starts[0] for n in numbers] if starts else None


def _in(target: str, marks: Sequence[str]) -> int | None:
    folded = [mark.casefold() for mark in marks]
    return folded.index(target.casefold()) if target.casefold() in folded else None
