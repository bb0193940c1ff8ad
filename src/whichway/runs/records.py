"""Records where they lie: a file of many millions of them is read in parts, and never held in memory as a whole."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from whichway.errors import UserError
from whichway.nouns import Record
from whichway.runs.folder import Lines, record_key

CANDIDATE = b'"candidate": "'  # as the file has it; inside of a text the quotes would be escaped
BEGIN_ANEW = "Run the same `whichway run` command in a new folder."

LENGTH_BITS = 32
LENGTH = (1 << LENGTH_BITS) - 1
Key = tuple[str, str, str, int]


class RecordFile:
    """The records of a file, all of them or by candidate.

    It opens the file once. For reading by candidate it holds the place of each line.

    Args:
        path: of records.jsonl; where there is none there are no records.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _file(self) -> BinaryIO | None:
        return self.path.open("rb") if self.path.exists() else None

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line, with the place where it begins."""
        if self._file is None:
            return
        place = self._file.seek(0)
        for line in self._file:
            if not line.endswith(b"\n"):  # a killed writer's last line
                return
            yield place, line
            place += len(line)

    @cached_property
    def _places(self) -> dict[str, tuple[array[int], array[int]]]:
        """Candidate -> where its lines begin, and how long they are, in bytes."""
        places: dict[str, tuple[array[int], array[int]]] = defaultdict(lambda: (array("Q"), array("I")))
        for place, line in self._lines():
            begins, lengths = places[self._candidate(line, place)]
            begins.append(place)
            lengths.append(len(line))
        return places

    def _candidate(self, line: bytes, place: int) -> str:
        start = line.find(CANDIDATE) + len(CANDIDATE)
        if start < len(CANDIDATE):  # written by somebody else, or damaged
            return self._record(line, place).candidate
        return line[start : line.index(b'"', start)].decode()

    def all(self) -> Iterator[Record]:
        """All records, in the order in which they were made.

        Raises:
            UserError: a line is damaged; names it.
        """
        for place, line in self._lines():
            yield self._record(line, place)

    def of(self, candidates: Collection[str]) -> Iterator[Record]:
        """The records of some candidates, in the order in which they were made.

        Raises:
            UserError: a line is damaged; names it.
        """
        if self._file is None or not candidates:
            return
        known = [self._places[name] for name in set(candidates) & self._places.keys()]
        for place, length in sorted(span for begins, lengths in known for span in zip(begins, lengths, strict=True)):
            self._file.seek(place)
            yield self._record(self._file.read(length), place)

    def _record(self, line: bytes, place: int) -> Record:
        try:
            return Record(**json.loads(line))  # flat, and many: no `from_json`
        except (ValueError, TypeError) as error:
            assert self._file is not None
            self._file.seek(0)
            number = self._file.read(place).count(b"\n") + 1
            raise UserError(f"{self.path}:{number} is damaged ({error}). {BEGIN_ANEW}") from error


class WrittenRecords:
    """The records that a run has written so far, by what each is the only one of; they stay in their file.

    Args:
        lines: the file, open for more.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._spans: dict[int, int] = {}  # hash of a record's key -> where its line begins, and its length
        self._alike: dict[Key, int] = {}  # the same by the whole key, of those whose hash another one has
        self._end = 0
        with lines.path.open("rb") as file:
            for line in file:
                self._place(record_key(Record(**json.loads(line))), len(line))
        self._file = lines.path.open("rb", buffering=0)

    def add(self, records: Sequence[Record]) -> list[Record]:
        """Append those that were not written before.

        Returns:
            each as the file has it: of those that were written before, what was written then.
        """
        known: list[Record] = []
        fresh: dict[Key, Record] = {}
        for record in records:
            key = record_key(record)
            known.append(fresh.get(key) or self._written(key) or fresh.setdefault(key, record))
        for key, length in zip(fresh, self._lines.append(list(fresh.values())), strict=True):
            self._place(key, length)
        return known

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._lines.close()

    def _written(self, key: Key) -> Record | None:
        for span in (self._alike.get(key), self._spans.get(hash(key))):
            if span is not None:
                self._file.seek(span >> LENGTH_BITS)
                record = Record(**json.loads(self._file.read(span & LENGTH)))
                if record_key(record) == key:
                    return record
        return None

    def _place(self, key: Key, length: int) -> None:
        span = self._end << LENGTH_BITS | length
        if self._spans.setdefault(hash(key), span) != span:
            self._alike[key] = span
        self._end += length
