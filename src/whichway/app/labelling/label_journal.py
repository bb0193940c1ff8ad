"""What was said about each row, one line of JSON each, on the disk before the next row is shown."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from whichway.errors import DataError, DiskError, UserError

Action = Literal["label", "skip", "unsure", "undo"]
ENDING = ".journal.jsonl"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class LabelEntry:
    """One thing that was said."""

    action: Action
    row: str  # its key; "" for undo
    label: str = ""
    drawn: bool = False  # at random
    suggestion: str = ""  # that was shown; "": none was
    probability: float | None = None  # of the suggestion
    annotator: str = ""
    at: str = ""  # local time with its zone, ISO 8601


def now() -> str:
    """The time as an entry has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def journal_of(out: Path) -> Path:
    """The journal beside a labelled file."""
    return out.with_name(out.name + ENDING)


class LabelJournal:
    """The journal of one labelled file.

    Args:
        path: the journal; made with the first entry.
        facts: what it is about: the columns.
        rows: keys of the rows that there are.

    Raises:
        DataError: it is about other data or other columns, or damaged.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any], rows: Iterable[str]) -> None:
        self.path, self._facts = path, {"labelling": _VERSION, **facts}
        self.entries: list[LabelEntry] = []
        if path.exists() and path.stat().st_size:
            self._replay(set(rows))

    def _replay(self, rows: set[str]) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].splitlines()
        if whole < len(data):  # a kill cut the last one: it was never shown as kept
            os.truncate(self.path, whole)
        for number, line in enumerate(lines, 1):
            try:
                value = json.loads(line)
                if number == 1:
                    self._check(value)
                else:
                    self._apply(LabelEntry(**value))
            except (ValueError, TypeError) as error:
                raise DataError(
                    f"{self.path}:{number}: this is no line of a journal. Restore it, or move it away."
                ) from error
        strange = [entry for entry in self.entries if entry.row not in rows]
        if strange:
            raise DataError(
                f"{self.path}: {len(strange)} of {len(self.entries)} labelled rows are not in this data file. It is of "
                "other data, or rows were changed: give another file with --out."
            )

    def _check(self, facts: Any) -> None:
        for name, value in self._facts.items():
            if not isinstance(facts, dict) or facts.get(name) != value:
                stood = facts.get(name) if isinstance(facts, dict) else None
                raise DataError(
                    f"{self.path}: it was begun with {name} {stood!r}, and this is {value!r}. Say the same, or give "
                    "another file with --out."
                )

    def _apply(self, entry: LabelEntry) -> None:
        if entry.action != "undo":
            self.entries.append(entry)
        elif self.entries:
            self.entries.pop()

    def add(self, entry: LabelEntry) -> None:
        """Keep an entry; it is on the disk when this returns.

        Raises:
            DiskError: it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists() or not self.path.stat().st_size
            with self.path.open("ab") as out:
                head = json.dumps(self._facts, ensure_ascii=False) + "\n" if new else ""
                out.write((head + json.dumps(asdict(entry), ensure_ascii=False) + "\n").encode())
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise DiskError(f"{self.path} cannot be written ({error.strerror}). The label was not kept.") from error
        self._apply(entry)

    def latest(self) -> dict[str, LabelEntry]:
        """The last entry of each row, in the order in which they were made."""
        last: dict[str, LabelEntry] = {}
        for entry in self.entries:
            last.pop(entry.row, None)
            last[entry.row] = entry
        return last


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold a labelled file alone.

    Raises:
        UserError: another page labels into it.
        DiskError: its folder cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out.with_name(f".{out.name}.lock"))
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{out}: another `whichway label` writes it. Use its page, or give another --out.") from None
    except OSError as error:
        raise DiskError(f"{out.parent} cannot be written ({error.strerror}). Give another place with --out.") from error
    try:
        yield
    finally:
        lock.release()
