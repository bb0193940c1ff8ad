"""From a file or a folder to a `Table` of text rows: a data file, split files, or promptfoo's configuration."""

from __future__ import annotations

from pathlib import Path

from whichway.tasks import promptfoo
from whichway.tasks.encodings import decode
from whichway.tasks.table import DEFAULT, SPLIT_WORDS, DataTable, ReadOptions, Row
from whichway.tasks.text_rows import as_text, read_file, read_splits, row_of, table_of

__all__ = ["SPLIT_WORDS", "DataTable", "Row", "as_text", "decode", "read", "read_splits", "row_of", "table_of"]


def read(path: Path, options: ReadOptions = DEFAULT) -> DataTable:
    """Read a data file, a folder with one file (or sub-folder) per split, or promptfoo's configuration.

    Args:
        path: of a format in `readers/`, or a folder.
        options: what the user says about it.

    Raises:
        DataError: the file is missing, empty, of an unknown kind, or broken; names file and line.
    """
    if path.is_file() and path.suffix.lower() in (".yaml", ".yml") and promptfoo.is_config(path):
        return promptfoo.table(path)
    return read_file(path, options)
