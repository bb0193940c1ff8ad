"""JSON lines: one object a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from whichway.errors import DataError
from whichway.tasks.encodings import text_of
from whichway.tasks.readers import _json_objects, json_document
from whichway.tasks.readers._contents import Contents
from whichway.tasks.table import BadRows, ReadOptions

EXTENSIONS = (".jsonl", ".ndjson", ".jsonlines")


def read(path: Path, options: ReadOptions, bad: BadRows) -> Contents:
    """The rows of a file of JSON lines; an array of rows under this name is read as well.

    Raises:
        DataError: it is empty, or a line is no JSON object; names the line.
    """
    decoded = text_of(path, options.encoding)
    text = decoded.text
    if not text.strip():
        raise DataError(f"{path}: the file is empty.")
    if text.lstrip().startswith("["):
        return replace(json_document.rows_of(text, path, decoded.notes, bad), warnings=decoded.warnings)
    return replace(_json_objects.rows_of(text, path, decoded.notes, bad), warnings=decoded.warnings)
