"""JSON documents: arrays of rows, rows under a key, splits, and the layouts of pandas' `to_json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from whichway.errors import DataError
from whichway.nouns import Split
from whichway.tasks.encodings import text_of
from whichway.tasks.readers import _json_objects
from whichway.tasks.readers._contents import Contents, RawRow
from whichway.tasks.readers._values import DECODER, loads, row_object
from whichway.tasks.table import SPLIT_WORDS, BadRows, ReadOptions

EXTENSIONS = (".json",)
ROW_KEYS = ("data", "rows", "examples", "instances", "items", "records")
_SPACE = re.compile(r"[\s,]*")
_SHAPES = (
    'expected an array of rows, or an object with the rows under "data", with splits ({"train": [...]}), '
    "or as pandas' to_json() writes it."
)


def read(path: Path, options: ReadOptions, bad: BadRows) -> Contents:
    """The rows of a JSON document; JSON lines under this name are read as well.

    Raises:
        DataError: it is empty or broken, or holds no rows; names the line.
    """
    decoded = text_of(path, options.encoding)
    if not decoded.text.strip():
        raise DataError(f"{path}: the file is empty.")
    return replace(rows_of(decoded.text, path, decoded.notes, bad), warnings=decoded.warnings)


def rows_of(text: str, path: Path, notes: tuple[str, ...], bad: BadRows) -> Contents:
    """The rows of the text of a JSON document."""
    if text.lstrip().startswith("{") and _several(text):
        return _json_objects.rows_of(text, path, notes, bad)
    whole = loads(text, path, 1)
    if isinstance(whole, list):
        if whole and all(isinstance(row, list) for row in whole):
            raise DataError(
                f"{path}:1: rows as lists, without their columns' names. Write objects (pandas: orient='records')."
            )
        return Contents(list(_array(text, text.index("[") + 1, path, bad)), notes)
    if not isinstance(whole, dict):
        raise DataError(f"{path}:1: {_SHAPES}")
    layout = _splits(whole, text, path, bad) or _under_a_key(whole, text, path, bad) or _columns(whole)
    if layout is None:
        if len(whole) > 1 and all(isinstance(v, str | int | float | bool) for v in whole.values()):
            raise DataError(f"{path}: one row only. A data file needs at least a dozen.")
        raise DataError(f"{path}:1: {_SHAPES}")
    rows, more = layout
    return Contents(rows, (*notes, *more))


Rows = tuple[list[RawRow], tuple[str, ...]]


def _several(text: str) -> bool:
    """Whether more than one object stands in a text."""
    try:
        _, end = DECODER.raw_decode(text, _skip(text, 0))
    except (ValueError, RecursionError):
        return _line_is_object(text)
    return bool(text[end:].strip())


def _line_is_object(text: str) -> bool:
    first = text.strip().split("\n", 1)[0]
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _splits(whole: Mapping[str, Any], text: str, path: Path, bad: BadRows) -> Rows | None:
    """`{"train": [...], "validation": [...]}`, each an array of rows or columns."""
    sides: dict[str, Split] = {key: SPLIT_WORDS[key.casefold()] for key in whole if key.casefold() in SPLIT_WORDS}
    if "train" not in sides.values() or not all(_rows_or_columns(whole[key]) for key in sides):
        return None
    rows: list[RawRow] = []
    for key, start, value in _members(text):
        if key not in sides:
            continue
        if isinstance(value, list):
            at = text.count("\n", 0, start) + 1
            some = list(_array(text, start + 1, path, bad, at, start))
        else:
            some = (_columns(value) or ([], ()))[0]
        rows += [RawRow(row.line, row.fields, sides[key]) for row in some]
    others = [key for key in whole if key not in sides]
    note = (f"splits: {', '.join(f'{key} ({side})' if key != side else key for key, side in sides.items())}.",)
    return rows, note + ((f"not read, as these are no splits: {', '.join(others)}.",) if others else ())


def _rows_or_columns(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(row, dict) for row in value)
    return isinstance(value, dict) and _columns(value) is not None


def _under_a_key(whole: Mapping[str, Any], text: str, path: Path, bad: BadRows) -> Rows | None:
    """Rows under "data" and the like; with "columns" beside them (pandas' orient "split"), rows are lists."""
    for key, start, value in _members(text):
        if key not in ROW_KEYS or not isinstance(value, list):
            continue
        names = whole.get("columns")
        if isinstance(names, list) and value and all(isinstance(row, list) and len(row) == len(names) for row in value):
            return [RawRow(n, dict(zip(map(str, names), row, strict=True))) for n, row in enumerate(value, 1)], ()
        rows = list(_array(text, start + 1, path, bad, text.count("\n", 0, start) + 1, start))
        if rows and all(isinstance(row.fields.get("row"), dict) for row in rows):  # the Hugging Face dataset viewer
            return _viewed(rows, whole)
        other_keys = [name for name in whole if name != key and isinstance(whole[name], list | dict) and whole[name]]
        kinds = ("schema", "features")  # what describes the rows
        others = [name for name in other_keys if name not in kinds]
        return rows, (f"rows under '{key}'; not read: {', '.join(others)}.",) if others else ()
    return None


def _viewed(rows: Sequence[RawRow], whole: Mapping[str, Any]) -> Rows:
    """Rows of the Hugging Face dataset viewer, with the names of labels that its features give."""
    features = whole.get("features")
    names: dict[str, list[Any]] = {}
    for feature in features if isinstance(features, list) else ():
        kind = feature.get("type") if isinstance(feature, dict) else None
        if isinstance(kind, dict) and isinstance(kind.get("names"), list):
            names[str(feature.get("name"))] = kind["names"]

    def named(name: str, value: Any) -> Any:
        known = names.get(name, [])
        return known[value] if isinstance(value, int) and 0 <= value < len(known) else value

    raw_rows = [RawRow(r.line, {name: named(name, value) for name, value in r.fields["row"].items()}) for r in rows]
    notes = (f"label names are those of the features: {', '.join(names)}.",) if names else ()
    return raw_rows, ("each row is taken from under 'row'.", *notes)


def _columns(whole: Mapping[str, Any]) -> Rows | None:
    """Columns as lists, or pandas' orients "columns" and "index": objects in an object."""
    values = list(whole.values())
    if values and all(isinstance(v, list) for v in values) and len({len(v) for v in values}) == 1 and values[0]:
        rows = [dict(zip(whole, row, strict=True)) for row in zip(*values, strict=True)]
        return _numbered(rows), ("columns as lists; rows are numbered.",)
    if not values or not all(isinstance(v, dict) and v for v in values):
        return None
    by_column = len({tuple(v) for v in values}) == 1 and _indexed(values[0], len(whole))
    if by_column:
        rows = [{name: column[key] for name, column in whole.items()} for key in values[0]]
        return _numbered(rows), ('pandas\' orient "columns"; rows are numbered.',)
    if _indexed(whole, max(len(v) for v in values)):
        return _numbered(values), ('pandas\' orient "index"; rows are numbered.',)
    return None


def _indexed(keys: Mapping[str, Any], columns: int) -> bool:
    """Whether the keys are row labels rather than column names: they are numbers, or more than the others."""
    return all(key.isdecimal() for key in keys) or (len(keys) > columns and len(keys) >= 12)


def _numbered(rows: Sequence[Mapping[str, Any]]) -> list[RawRow]:
    return [RawRow(number, row) for number, row in enumerate(rows, 1)]


def _array(text: str, position: int, path: Path, bad: BadRows, line: int = 1, seen: int = 0) -> Iterator[RawRow]:
    """The rows of an array of valid JSON whose "[" stands before `position`."""
    while text[position := _skip(text, position)] != "]":
        value, end = DECODER.raw_decode(text, position)
        line += text.count("\n", seen, position)
        seen, position = position, end
        try:
            yield RawRow(line, row_object(value, path, line))
        except DataError as error:
            bad.refuse(f"{path.name}:{line}", str(error))


def _members(text: str) -> Iterator[tuple[str, int, Any]]:
    """Key, start of the value, and value of each member of the top object of valid JSON."""
    position = text.index("{") + 1
    while text[position := _skip(text, position)] != "}":
        key, position = DECODER.raw_decode(text, position)
        start = _skip(text, _skip(text, position) + 1)  # the colon
        value, position = DECODER.raw_decode(text, start)
        yield key, start, value


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
