"""What a data file becomes: a `Table` of text rows that know their file and line, and the rows that were left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from whichway.errors import DataError
from whichway.nouns import Split

SPLIT_WORDS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "eval": "dev",
    "test": "test",
    "testing": "test",
}
ANY_SPLIT = "any"  # in a split column, beside "train": a row that may be cut as if the data had no splits


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user says about how a data file is to be read."""

    encoding: str | None = None  # None: found by byte order mark, else UTF-8
    delimiter: str | None = None  # of CSV and TSV; None: found
    skip_bad: float = 0.0  # largest share of rows that may be left out because they cannot be used


DEFAULT = ReadOptions()


class WrittenNumber(float):
    """A number of a text format with the digits of its file: 1.10 is no 1.1 where it is a label."""

    def __new__(cls, text: str) -> WrittenNumber:
        """The number that a text writes."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that was left out because it cannot be used, and why."""

    origin: str  # "tickets.csv:57"
    reason: str


class BadRows:
    """Rows that cannot be used. By default the first stops the reading; with an allowance they are left out and listed.

    Args:
        allowed: largest share of rows that may be left out.
    """

    HINT = " Or leave such rows out, up to a share of them: --skip-bad 2%."

    def __init__(self, allowed: float = 0.0) -> None:
        self.allowed = allowed
        self._skipped: dict[str, Skipped] = {}

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What was left out, in the order in which it was met."""
        return tuple(self._skipped.values())

    def refuse(self, origin: str, message: str) -> None:
        """Leave a row out.

        Args:
            origin: the row's place without folders.
            message: what is wrong, where, and what to do.

        Raises:
            DataError: no row may be left out.
        """
        if not self.allowed:
            raise DataError(message + self.HINT)
        where = message.find(f"{origin}: ")  # without folders: what is left out is part of the plan
        self._skipped.setdefault(origin, Skipped(origin, message[where:] if where >= 0 else f"{origin}: {message}"))

    def check(self, rows: int, where: str) -> None:
        """Refuse when more was left out than is allowed.

        Args:
            rows: that remain.
            where: the file or folder, for the message.

        Raises:
            DataError: the share is above the allowance.
        """
        count = len(self._skipped)
        if count > self.allowed * (rows + count):
            first = next(iter(self._skipped.values())).reason
            raise DataError(
                f"{where}: {count} of {rows + count} rows cannot be used ({count / (rows + count):.1%}), more than "
                f"--skip-bad {self.allowed:.3g} allows. The first: {first}"
            )


@dataclass(frozen=True, slots=True)
class Row:
    """One row as text fields, with the place it came from; for Parquet and Arrow `line` is the row number."""

    fields: Mapping[str, str]  # without surrounding white space
    path: Path
    line: int
    split: Split | None = None  # when the data are split already
    raw: Mapping[str, str] = field(default_factory=dict)  # fields whose white space was dropped, as the file has them

    @property
    def where(self) -> str:
        """The place as the user can open it: "data/tickets.csv:57"."""
        return f"{self.path}:{self.line}"

    @property
    def origin(self) -> str:
        """The place without folders, the same on every machine: "tickets.csv:57"."""
        return f"{self.path.name}:{self.line}"

    def exact(self, column: str) -> str:
        """A field with the white space that surrounds it in the file."""
        return self.raw.get(column, self.fields.get(column, ""))

    def side(self, column: str | None, use: str = "train, dev or test") -> Split | None:
        """The split that a column names; without a column, the one that the data came in. None: any.

        Args:
            column: the split column.
            use: the words that fit, for the message.

        Raises:
            DataError: the column says no split.
        """
        if column is None:
            return self.split
        word = self.fields.get(column, "")
        if word.casefold() == ANY_SPLIT:
            return None
        if word.casefold() not in SPLIT_WORDS:
            raise DataError(f"{self.where}: column '{column}' says '{word[:40]}', which is no split. Use {use}.")
        return SPLIT_WORDS[word.casefold()]


@dataclass(frozen=True, slots=True)
class DataTable:
    """The rows of one file or folder, and the columns that occur in them."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()  # what was read in another way than the bytes say, one line each
    skipped: tuple[Skipped, ...] = ()  # rows that were left out
    warnings: tuple[str, ...] = ()  # what may be wrong with the reading
