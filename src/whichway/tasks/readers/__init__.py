"""Readers of data files, one format per file, found by file name.

A reader is a module with `EXTENSIONS` and `read(path, options, bad)`, which gives the file's `Contents`; a new format
is one new file. Values stay as the format has them; `tasks.read` makes them text, by one rule for all formats.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from whichway.errors import DataError, did_you_mean
from whichway.nouns import Split
from whichway.tasks.encodings import COMPRESSED
from whichway.tasks.table import BadRows, ReadOptions

REFUSED: Mapping[str, str] = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), "a spreadsheet: save it as CSV (UTF-8)"),
    ".txt": "plain text: name it .csv or .tsv if it holds a table",
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar", ".zst"), "an archive: unpack it, or pack the file as .gz"),
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".joblib"), "a pickle, which can run code when it is opened: save it as "
                    "CSV, JSON lines or Parquet"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3", ".duckdb"), "a database: export the table as CSV"),
    **dict.fromkeys((".xml", ".html", ".htm", ".pdf", ".docx", ".doc"), "a document: save its rows as CSV or JSONL"),
    **dict.fromkeys((".h5", ".hdf5", ".npz", ".npy", ".orc", ".avro", ".dta", ".sav", ".rds", ".rdata", ".sas7bdat"),
                    "a format that is not read: save it as CSV or Parquet"),
}  # fmt: skip


class RawRow(NamedTuple):
    """A row as its file holds it."""

    line: int  # or the number of the row, where the format has no lines
    fields: Mapping[str, Any]
    split: Split | None = None
    path: Path | None = None  # of the row's file, where a folder is read


@dataclass(frozen=True, slots=True)
class Contents:
    """What a reader finds in a file: rows, and what was read in another way than the bytes say."""

    rows: Sequence[RawRow]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # what may be wrong with the reading


class Reader(Protocol):
    """A module of this package."""

    EXTENSIONS: tuple[str, ...]

    def read(self, path: Path, options: ReadOptions, bad: BadRows) -> Contents:
        """The rows of a file.

        Raises:
            DataError: it is broken; names file and line.
        """
        ...


@functools.cache
def _by_extension() -> dict[str, Reader]:
    modules = (
        importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__) if m.name[0] != "_"
    )
    return {extension: module for module in modules for extension in module.EXTENSIONS}


def extensions() -> tuple[str, ...]:
    """The file extensions that are read."""
    return tuple(_by_extension())


def extension(path: Path) -> str:
    """The extension that says a file's format, in lower case; that of a compression before it is left out."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in COMPRESSED else "".join(suffixes[-1:])


def readable(path: Path) -> bool:
    """Whether a file has the extension of a format that is read."""
    return extension(path) in _by_extension()


def reader_of(path: Path) -> Reader:
    """The reader of a file, by its extension, or of a folder, by what lies in it.

    Raises:
        DataError: the format is not read; says what to do.
    """
    if path.is_dir():
        from whichway.tasks.readers import folder, saved_dataset

        return saved_dataset if saved_dataset.is_saved(path) else folder
    kind = extension(path)
    if kind in _by_extension():
        return _by_extension()[kind]
    if kind in REFUSED:
        raise DataError(f"{path}: '{kind}' is {REFUSED[kind]}. Read are: {', '.join(extensions())}.")
    raise DataError(f"{path}: unknown extension '{kind}'.{did_you_mean(kind, extensions())}")
