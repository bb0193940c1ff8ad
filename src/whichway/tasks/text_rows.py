"""From what a reader finds to a `Table` of text rows. Formats are in `readers/`; how values become text is here.

One rule for all formats. Text stays as it is; white space around it is dropped (`Row.raw` keeps it, for free text that
is a target). A number is written as its file writes it, a float of a typed format with the digits that tell it apart.
Where every number of a column is whole but one is written with ".0", as libraries do beside missing values, the ".0" is
dropped. Truth values of typed formats are "true" and "false", lists and objects are JSON, missing values are "".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from whichway.errors import DataError, did_you_mean
from whichway.nouns import Split
from whichway.tasks import annotation_tools, chat_formats, readers
from whichway.tasks.readers import Contents, RawRow, split_folder
from whichway.tasks.table import DEFAULT, BadRows, DataTable, ReadOptions, Row, WrittenNumber

MAX_FIELD = 1_000_000  # characters; no model reads more, and a missing quote swallows whole files
_WHOLE = re.compile(r"[-+]?\d+(\.0)?")


def read_file(path: Path, options: ReadOptions = DEFAULT) -> DataTable:
    """Read a data file, or a folder with one file (or sub-folder) per split.

    Args:
        path: of a format in `readers/`, or a folder.
        options: what the user says about it.

    Raises:
        DataError: the file is missing, empty, of an unknown kind, or broken; names file and line.
    """
    if path.is_symlink() and not path.exists():
        raise DataError(f"{path}: a link to {path.readlink()}, which is not there.")
    if not path.exists():
        raise DataError(f"{path}: no such file.{_siblings(path)}")
    bad = BadRows(options.skip_bad)
    return table_of(readers.reader_of(path).read(path, options, bad), path, bad)


def read_splits(files: Mapping[Split, Iterable[Path]], path: Path, options: ReadOptions = DEFAULT) -> DataTable:
    """Read files that are split already, into one table; `path` is what messages name."""
    for file in (file for group in files.values() for file in group):
        if not file.exists():
            raise DataError(f"{file}: no such file.{_siblings(file)}")
    bad = BadRows(options.skip_bad)
    return table_of(split_folder.read_splits(files, options, bad), path, bad)


def _siblings(path: Path) -> str:
    if not path.parent.is_dir():
        return f" The folder {path.parent} does not exist either."
    names = [p.name for p in path.parent.iterdir() if p.is_dir() or readers.readable(p)]
    return did_you_mean(path.name, names[:20]) if names else f" No data file lies in {path.parent.absolute()}."


def table_of(contents: Contents, path: Path, bad: BadRows) -> DataTable:
    """What a reader found, as a table of text.

    Args:
        contents: rows with values of any type.
        path: the file or folder, for messages.
        bad: takes up rows that cannot be used.

    Raises:
        DataError: there are no rows, or one cannot be used.
    """
    rows: list[Row] = []
    contents = annotation_tools.unwrapped(contents, path)
    for raw in contents.rows:
        try:
            rows.append(row_of(raw, path))
        except DataError as error:
            bad.refuse(f"{(raw.path or path).name}:{raw.line}", str(error))
    if not rows:
        raise DataError(f"{path}: no rows. A data file needs at least a dozen.")
    columns = tuple(dict.fromkeys(name for row in rows for name in row.fields))
    rows, whole = _whole_numbers(rows, columns)
    number_notes = [f"numbers like 1.0 are read as 1 in: {', '.join(whole)}."] if whole else []
    return DataTable(path, columns, tuple(rows), (*contents.notes, *number_notes), bad.skipped, contents.warnings)


def row_of(raw: RawRow, path: Path) -> Row:
    """A row with all values as text; conversations become input and target."""
    path = raw.path or path
    where = f"{path}:{raw.line}"
    fields: dict[str, str] = {}
    exact: dict[str, str] = {}
    for name, value in chat_formats.flatten(raw.fields, where).items():
        if isinstance(value, chat_formats.Conversation):
            fields[str(name)] = value
            continue
        text = value if type(value) is str else as_text(value)
        if len(text) > MAX_FIELD:
            raise DataError(
                f"{where}: column '{name}' holds {len(text) / 1e6:.1f} million characters, the limit is "
                f"{MAX_FIELD / 1e6:.0f} million. Is a closing quote missing? Else cut the text."
            )
        fields[str(name)] = bare = text.strip()
        if len(bare) < len(text):
            exact[str(name)] = text
    return Row(fields, path, raw.line, raw.split, exact)


def as_text(value: Any) -> str:
    """A cell as text: missing is "", numbers and truth values as JSON writes them, objects and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, WrittenNumber):
        return value.text
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{int(value)}.0"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _whole_numbers(rows: Sequence[Row], columns: Iterable[str]) -> tuple[list[Row], list[str]]:
    """Rows where "1.0" is "1" in columns that hold whole numbers only, and the names of these columns."""
    whole = [name for name in columns if _is_whole(rows, name)]
    if not whole:
        return list(rows), []
    changed = []
    for row in rows:
        fields = dict(row.fields)
        for name in whole:
            if name in fields:
                fields[name] = fields[name].removesuffix(".0")
        changed.append(Row(fields, row.path, row.line, row.split, row.raw))
    return changed, whole


def _is_whole(rows: Sequence[Row], name: str) -> bool:
    written = False
    for row in rows:
        text = row.fields.get(name, "")
        if text:
            match = _WHOLE.fullmatch(text)
            if match is None:
                return False
            written = written or match[1] is not None
    return written
