"""Folders with one file (or sub-folder) for each split: train.jsonl, valid.csv, test-00000-of-00001.parquet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from whichway.errors import DataError
from whichway.nouns import Split
from whichway.tasks.readers import Contents, RawRow, class_folders, extension, readable, reader_of, saved_dataset
from whichway.tasks.table import SPLIT_WORDS, BadRows, ReadOptions

EXTENSIONS: tuple[str, ...] = ()
NOTE = ".txt"


def reads(folder: Path) -> bool:
    """Every folder that no other reader knows."""
    return not saved_dataset.reads(folder) and not class_folders.reads(folder)


def read(path: Path, options: ReadOptions, bad: BadRows) -> Contents:
    """The rows of all files of a folder, with their splits.

    Raises:
        DataError: no file is a split, or one is broken.
    """
    alone = _alone(path)
    if alone is not None:
        contents = reader_of(alone).read(alone, options, bad)
        rows = [RawRow(row.line, row.fields, row.split, row.path or alone) for row in contents.rows]
        return Contents(rows, (f"the folder's one data file: {alone.name}.", *contents.notes), contents.warnings)
    files, others = splits_of(path)
    contents = read_splits(files, options, bad)
    notes = [f"{side}: {', '.join(file.name for file in group)}." for side, group in files.items()]
    notes += [f"not read, as their names say no split: {', '.join(others[:10])}."] if others else []
    return Contents(contents.rows, (*notes, *contents.notes), contents.warnings)


def read_splits(files: Mapping[Split, Iterable[Path]], options: ReadOptions, bad: BadRows) -> Contents:
    """Rows of files that are split already."""
    rows: list[RawRow] = []
    notes: list[str] = []
    warnings: list[str] = []
    for side, group in files.items():
        for file in group:
            if not file.exists():
                raise DataError(f"{file}: no such file.")
            contents = reader_of(file).read(file, options, bad)
            rows += [RawRow(row.line, row.fields, side, row.path or file) for row in contents.rows]
            notes += [f"{file.name}: {note}" for note in contents.notes]
            warnings += [f"{file.name}: {warning}" for warning in contents.warnings]
    return Contents(rows, tuple(notes), tuple(warnings))


def _alone(folder: Path) -> Path | None:
    """The one data file of a folder whose name says no split; None where there are other files or splits."""
    texts = _texts_only(folder)
    files = [path for path in folder.iterdir() if path.is_file() and _read(path, texts)]
    folders = [path for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._"]
    return files[0] if len(files) == 1 and not folders and _split(files[0].name) is None else None


def _texts_only(folder: Path) -> bool:
    """Whether the data files of a folder are texts alone; beside others a text is a note."""
    return not any(readable(path) and extension(path) != NOTE for path in folder.rglob("*"))


def _read(path: Path, texts: bool) -> bool:
    return readable(path) and (texts or extension(path) != NOTE)


def splits_of(folder: Path) -> tuple[dict[Split, list[Path]], list[str]]:
    """The data files of a folder by split, and the names of those whose split is not clear.

    Raises:
        DataError: there are none.
    """
    by_split: dict[Split, list[Path]] = {}
    others: list[str] = []
    texts = _texts_only(folder)
    for path in sorted(folder.iterdir()):
        split = _split(path.name)
        if path.is_dir():
            inner = [path] if saved_dataset.reads(path) else sorted(p for p in path.iterdir() if _read(p, texts))
            if split and inner:
                by_split.setdefault(split, []).extend(inner)
        elif _read(path, texts):
            if split:
                by_split.setdefault(split, []).append(path)
            else:
                others.append(path.name)
    if not by_split:
        if (folder / "data").is_dir():  # how the Hugging Face hub lays a dataset out
            return splits_of(folder / "data")
        listed = f" Its data files are {', '.join(others[:5])}: name one." if others else ""
        raise DataError(
            f"{folder}: no data files found that are splits.{listed} A folder needs train.csv (or .tsv, .jsonl, .json, "
            ".parquet), and may have dev.* and test.* beside it; or name one file."
        )
    return by_split, others


def _split(name: str) -> Split | None:
    """The split that a file's name says: by its first word, else by the one word that is a split."""
    words = re.split(r"[-_. ]", name.lower())
    if words[0] in SPLIT_WORDS:
        return SPLIT_WORDS[words[0]]
    splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else None
