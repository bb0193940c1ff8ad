"""Folders that Hugging Face `datasets` writes with `save_to_disk`: one dataset, or one for each split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from whichway.errors import DataError
from whichway.nouns import Split
from whichway.tasks.readers._columnar import contents, of_features, read_arrow
from whichway.tasks.readers._contents import Contents, RawRow
from whichway.tasks.readers.arrow import table_of
from whichway.tasks.table import SPLIT_WORDS, BadRows, ReadOptions

EXTENSIONS: tuple[str, ...] = ()
STATE, SPLITS = "state.json", "dataset_dict.json"


def reads(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (folder / SPLITS).is_file() or (folder / STATE).is_file()


def read(path: Path, options: ReadOptions, bad: BadRows) -> Contents:
    """The rows of a saved dataset, with their splits; a row's place is "train:57".

    Raises:
        DataError: a file of it is missing or damaged; names it.
    """
    if (path / STATE).is_file():
        return _one(path, None)
    names = _json(path / SPLITS).get("splits") or []
    sides: dict[str, Split] = {name: SPLIT_WORDS[name.casefold()] for name in names if name.casefold() in SPLIT_WORDS}
    if len(sides) < len(names) and len(names) == 1:
        return _one(path / names[0], None)
    if "train" not in sides.values():
        raise DataError(
            f"{path}: its splits are {', '.join(names) or 'none'}; train is missing. Name one folder of it."
        )
    datasets = [_one(path / name, side) for name, side in sides.items()]
    others = [name for name in names if name not in sides]
    notes = [f"splits: {', '.join(f'{name} ({side})' if name != side else name for name, side in sides.items())}."]
    notes += [f"not read, as these are no splits of ours: {', '.join(others)}."] if others else []
    notes += dict.fromkeys(note for one in datasets for note in one.notes)
    return Contents([row for one in datasets for row in one.rows], tuple(notes))


def _one(folder: Path, side: Split | None) -> Contents:
    """One dataset: its arrow files in their order."""
    state = _json(folder / STATE)
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise DataError(f"{folder}: rows are chosen by an index file, which is not read. Save it anew: save_to_disk.")
    files = [folder / entry["filename"] for entry in state.get("_data_files") or []]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise DataError(f"{missing[0]}: no such file, though {folder / STATE} names it. Is the copy complete?")
    info = _json(folder / "dataset_info.json") if (folder / "dataset_info.json").is_file() else {}
    names = of_features(info.get("features") or {})
    rows: list[RawRow] = []
    notes: dict[str, None] = {}
    for file in files:
        arrow_rows = contents(read_arrow(file, "arrow", lambda file=file: table_of(file)), file, names)  # type: ignore[misc]
        rows += [RawRow(len(rows) + n, row.fields, side, folder) for n, row in enumerate(arrow_rows.rows, 1)]
        notes |= dict.fromkeys(arrow_rows.notes)
    return Contents(rows, tuple(notes))


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return value if isinstance(value, dict) else {}
