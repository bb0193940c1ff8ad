"""What a reader finds in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from whichway.nouns import Split


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
