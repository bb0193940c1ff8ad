"""Folders of texts, one file each, in a folder for each label; with or without a folder for each split above them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whichway.errors import DataError
from whichway.nouns import Split
from whichway.tasks.encodings import text_of
from whichway.tasks.readers._contents import Contents, RawRow
from whichway.tasks.table import SPLIT_WORDS, BadRows, ReadOptions

EXTENSIONS: tuple[str, ...] = ()
TEXT = ".txt"


def reads(folder: Path) -> bool:
    """Whether a folder holds a folder of texts for each of several labels, maybe under a folder for each split."""
    return bool(_labels(folder)) or bool(_splits(folder))


def read(path: Path, options: ReadOptions, bad: BadRows) -> Contents:
    """A row for each text file: its text, and the name of its folder as the label.

    Raises:
        DataError: a file cannot be read.
    """
    sides: Sequence[tuple[Split | None, Path]] = _splits(path) or [(None, path)]
    rows: list[RawRow] = []
    notes: list[str] = []
    for side, folder in sides:
        for label in _labels(folder):
            for file in sorted(label.glob(f"*{TEXT}")):
                try:
                    text = text_of(file, options.encoding).text
                except DataError as error:
                    bad.refuse(f"{label.name}/{file.name}:1", str(error))
                    continue
                rows.append(RawRow(len(rows) + 1, {"text": text, "label": label.name}, side))
        names = ", ".join(label.name for label in _labels(folder))
        notes.append(f"{f'{side}: ' if side else ''}a folder for each label: {names[:200]}. Rows are numbered.")
    return Contents(rows, tuple(notes))


def _splits(folder: Path) -> list[tuple[Split, Path]]:
    """Folders of splits that hold folders of labels."""
    folders = [(SPLIT_WORDS[p.name.lower()], p) for p in _folders(folder) if p.name.lower() in SPLIT_WORDS]
    return [(side, path) for side, path in folders if _labels(path)]


def _labels(folder: Path) -> list[Path]:
    """The folders of texts; fewer than two are no labels, nor are those that are named like splits."""
    folders = [path for path in _folders(folder) if next(path.glob(f"*{TEXT}"), None) is not None]
    named = any(path.name.lower() in SPLIT_WORDS for path in folders)
    return [] if len(folders) < 2 or named else folders


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")
