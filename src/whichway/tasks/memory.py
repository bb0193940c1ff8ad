"""Rows that lie in memory already: lists, (X, y), data frames and Hugging Face data sets become a `Table`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from whichway.errors import DataError
from whichway.nouns import Example, Split, digest
from whichway.plurals import plural
from whichway.tasks import read
from whichway.tasks.choices import with_choices
from whichway.tasks.readers import Contents, RawRow
from whichway.tasks.table import SPLIT_WORDS, BadRows, DataTable, Row

PLACE = Path("data")  # where such rows come from, in messages: "data:3" is the row with index 3
TEXT, LABEL = "text", "label"  # the columns of (X, y)
ACCEPTED = (
    "a path, a list of dicts, a pair (X, y), a pandas DataFrame, a datasets.Dataset (or one of these for each split), "
    "or a ww.Task"
)


def table_of(data: Any) -> DataTable:
    """The rows as a table.

    Args:
        data: a list of dicts; a pair (X, y); a pandas DataFrame; a datasets.Dataset; or a mapping from the names of
            splits to one of these.

    Raises:
        DataError: none of these, no rows, or X and y of different lengths.
    """
    if isinstance(data, Mapping):
        return _splits(data)
    records = _labelled(*data) if isinstance(data, tuple) and len(data) == 2 else records_of(data)
    rows = [RawRow(number, _plain_row(fields)) for number, fields in enumerate(records)]
    if not rows:
        raise DataError(f"{PLACE}: no rows. Give at least a dozen.")
    return read.table_of(Contents(rows), PLACE, BadRows())


def examples_of(data: Any, fields: Sequence[str], conversation: bool = False) -> list[Example]:
    """Rows without wanted answers, for a winner to answer.

    Args:
        data: a list of texts (where a row has one field) or of dicts, a data frame, a data set, or a 2-D array; of
            conversations also a list of lists of messages.
        fields: the names of a row's input fields.
        conversation: whether rows are conversations.

    Raises:
        DataError: a row lacks a field.
    """
    from whichway.tasks.conversation_rows import conversation_row, example_of

    if conversation and not is_frame(data):
        data = [{"messages": one} if isinstance(one, list) else one for one in data]
    examples = []
    for number, values in enumerate(with_choices(inputs_of(data, fields), fields, PLACE)):
        if conversation:
            examples.append(conversation_row({str(k): v for k, v in values.items()}, fields, f"{PLACE}:{number}"))
            continue
        row = _row(values, number)
        missing = [name for name in fields if name not in row.fields]
        if missing:
            raise DataError(f"{row.where}: the field '{missing[0]}' is missing; there is {', '.join(row.fields)}.")
        examples.append(example_of({name: row.fields[name] for name in fields}, "", origin=row.origin))
    return examples


def records_of(data: Any) -> list[Mapping[str, Any]]:
    """Rows as mappings from column names to values.

    Raises:
        DataError: the data are of no known kind.
    """
    if is_frame(data):
        return [dict(zip(map(str, data.columns), values, strict=True)) for values in _cells(data)]
    if hasattr(data, "column_names") and hasattr(data, "features"):
        return list(_data_set(data))
    if isinstance(data, str | bytes | Mapping) or not isinstance(data, Iterable):
        raise DataError(f"data of type {type(data).__name__} cannot be read. Give {ACCEPTED}.")
    rows = list(data)
    wrong = next((n for n, row in enumerate(rows) if not isinstance(row, Mapping)), None)
    if wrong is not None:
        kind = type(rows[wrong]).__name__
        raise DataError(f"{PLACE}:{wrong}: a row must be a dict, this is of type {kind}. Give {ACCEPTED}.")
    return rows


def inputs_of(data: Any, fields: Sequence[str]) -> list[Mapping[str, Any]]:
    """Inputs alone as mappings; texts, and the columns of an array, take the names that are given.

    Raises:
        DataError: they are of no known kind, or a row has another number of columns.
    """
    if is_frame(data) or hasattr(data, "column_names"):
        return records_of(data)
    if getattr(data, "ndim", None) == 2:
        if data.shape[1] != len(fields):
            raise DataError(f"{PLACE}: {data.shape[1]} columns where {len(fields)} are expected ({', '.join(fields)}).")
        return [dict(zip(fields, row, strict=True)) for row in data.tolist()]
    if isinstance(data, str | bytes | Mapping) or not isinstance(data, Iterable):
        raise DataError(f"inputs of type {type(data).__name__} cannot be read. Give a list of texts or of dicts.")
    return [_input(value, number, fields) for number, value in enumerate(data)]


def is_frame(data: Any) -> bool:
    """Whether data are a pandas DataFrame, without importing pandas."""
    return type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns")


def name_of(table: DataTable, arguments: Any = None) -> str:
    """A task name for rows without a file, made of the rows and what is said: another call never meets its folder."""
    return f"rows-{digest([[dict(row.fields) for row in table.rows], repr(arguments)], 8)}"


def _input(value: Any, number: int, fields: Sequence[str]) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, str) and len(fields) == 1:
        return {fields[0]: value}
    if isinstance(value, str):
        raise DataError(f"{PLACE}:{number}: a row has the fields {', '.join(fields)}; give a dict with each of them.")
    raise DataError(f"{PLACE}:{number}: an input must be a text or a dict, this is of type {type(value).__name__}.")


def _labelled(inputs: Any, targets: Any) -> list[Mapping[str, Any]]:
    """X and y as rows: texts in the column "text", columns of X as they are, y in the column "label"."""
    width = inputs.shape[1] if getattr(inputs, "ndim", None) == 2 and not is_frame(inputs) else 0
    fields = [f"x{n}" for n in range(width)] if width else [TEXT]
    rows, answers = inputs_of(inputs, fields), list(targets)
    if len(rows) != len(answers):
        raise DataError(f"X has {plural(len(rows), 'row')} and y has {len(answers)}. Give an answer for each row.")
    return [{**row, LABEL: answer} for row, answer in zip(rows, answers, strict=True)]


def _splits(data: Mapping[Any, Any]) -> DataTable:
    """A table of rows that are split already."""
    unknown = [name for name in data if name not in SPLIT_WORDS]
    if unknown or not data:
        raise DataError(f"a dict of data must have train, dev and test as keys, not {unknown[:1] or 'nothing'}.")
    tables: list[tuple[Split, DataTable]] = [(SPLIT_WORDS[name], table_of(part)) for name, part in data.items()]
    rows = tuple(replace(row, split=split, path=Path(split)) for split, table in tables for row in table.rows)
    notes = tuple(dict.fromkeys(note for _, table in tables for note in table.notes))
    return DataTable(PLACE, tuple(dict.fromkeys(name for _, table in tables for name in table.columns)), rows, notes)


def _cells(frame: Any) -> Iterable[Sequence[Any]]:
    """The rows of a data frame, missing values as None."""
    objects = frame.astype(object)
    return objects.where(frame.notna(), None).itertuples(index=False, name=None)  # type: ignore[no-any-return]


def _data_set(data: Any) -> Iterable[Mapping[str, Any]]:
    """The rows of a Hugging Face data set, with labels by their names."""
    names = {name: feature.names for name, feature in data.features.items() if hasattr(feature, "names")}
    for row in data:
        fields = dict(row)
        for column, labels in names.items():
            value = fields.get(column)
            if isinstance(value, int) and 0 <= value < len(labels):
                fields[column] = labels[value]
        yield fields


def _row(fields: Mapping[str, Any], number: int) -> Row:
    return read.row_of(RawRow(number, _plain_row(fields)), PLACE)


def _plain_row(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:
    """A number of numpy as Python's own."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value
