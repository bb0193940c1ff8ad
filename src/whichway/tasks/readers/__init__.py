"""Readers of data files, one format per file, found by file name.

A reader is a module with `EXTENSIONS` and `read(path, options, bad)`, which gives the file's `Contents`; a new format
is one new file. One of folders has no extensions, and a function `reads(folder)`. Values stay as the format has them;
`tasks.text_rows` makes them text, by one rule for all formats.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from whichway.errors import DataError, did_you_mean
from whichway.tasks.encodings import COMPRESSED
from whichway.tasks.readers._contents import Contents, RawRow
from whichway.tasks.table import BadRows, ReadOptions

__all__ = ["REFUSED", "Contents", "FileReader", "RawRow", "extension", "extensions", "readable", "reader_of"]

REFUSED: Mapping[str, str] = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), "a spreadsheet: save it as CSV (UTF-8)"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar", ".zst"), "an archive: unpack it, or pack the file as .gz"),
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".joblib"), "a pickle, which can run code when it is opened: save it as "
                    "CSV, JSON lines or Parquet"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3", ".duckdb"), "a database: export the table as CSV"),
    **dict.fromkeys((".xml", ".html", ".htm", ".pdf", ".docx", ".doc"), "a document: save its rows as CSV or JSONL"),
    **dict.fromkeys((".h5", ".hdf5", ".npz", ".npy", ".orc", ".avro", ".dta", ".sav", ".rds", ".rdata", ".sas7bdat"),
                    "a format that is not read: save it as CSV or Parquet"),
}  # fmt: skip


class FileReader(Protocol):
    """A module of this package."""

    EXTENSIONS: tuple[str, ...]

    def read(self, path: Path, options: ReadOptions, bad: BadRows) -> Contents:
        """The rows of a file.

        Raises:
            DataError: it is broken; names file and line.
        """
        ...


class FolderReader(FileReader, Protocol):
    """A module of this package that reads folders; it has no extensions."""

    def reads(self, folder: Path) -> bool:
        """Whether this folder is one of its kind; of several readers exactly one says so."""
        ...


@functools.cache
def _modules() -> tuple[Any, ...]:
    names = [module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_"]
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in names)


@functools.cache
def _by_extension() -> dict[str, FileReader]:
    return {extension: module for module in _modules() for extension in module.EXTENSIONS}


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


def reader_of(path: Path) -> FileReader:
    """The reader of a file, by its extension, or of a folder, by what lies in it.

    Raises:
        DataError: the format is not read; says what to do.
    """
    if path.is_dir():
        of_folders: list[FolderReader] = [module for module in _modules() if not module.EXTENSIONS]
        return next(reader for reader in of_folders if reader.reads(path))
    kind = extension(path)
    if kind in _by_extension():
        return _by_extension()[kind]
    if kind in REFUSED:
        raise DataError(f"{path}: '{kind}' is {REFUSED[kind]}. Read are: {', '.join(extensions())}.")
    if not kind:
        raise DataError(f"{path}: no extension says what is in it. Name it .csv, .tsv, .jsonl, .json or .parquet.")
    raise DataError(f"{path}: unknown extension '{kind}'.{did_you_mean(kind, extensions())}")
