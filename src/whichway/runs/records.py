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
from whichway.runs.folder import Lines
from whichway.runs.key_index import KeyIndex

CANDIDATE = b'"candidate": "'  # as the file has it; inside of a text the quotes would be escaped
BEGIN_ANEW = "Run the same `whichway run` command in a new folder."

PART = 4096  # lines that are taken up at a time


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
        self._lines, self._keys = lines, KeyIndex()
        self._begins, self._lengths = array("Q"), array("I")  # of the line of each key, by its number
        self._end = 0
        part: list[tuple[str, int]] = []
        with lines.path.open("rb") as file:
            for line in file:
                facts = json.loads(line)
                key = _key(facts["candidate"], facts["example"], facts["split"], facts["repeat"])
                part.append((key, len(line)))
                if len(part) == PART:
                    self._place(part)
                    part = []
        self._place(part)
        self._file = lines.path.open("rb", buffering=0)

    def add(self, records: Sequence[Record]) -> list[Record]:
        """Append those that were not written before.

        Returns:
            each as the file has it: of those that were written before, what was written then.
        """
        keys = [_key(one.candidate, one.example, one.split, one.repeat) for one in records]
        numbers = self._keys.find(keys).tolist()
        fresh: dict[str, Record] = {}
        known = [
            self._read(number) if number >= 0 else fresh.setdefault(key, record)
            for key, number, record in zip(keys, numbers, records, strict=True)
        ]
        self._place(list(zip(fresh, self._lines.append(list(fresh.values())), strict=True)))
        return known

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._lines.close()

    def _read(self, number: int) -> Record:
        self._file.seek(self._begins[number])
        return Record(**json.loads(self._file.read(self._lengths[number])))

    def _place(self, lines: Sequence[tuple[str, int]]) -> None:
        """Know lines that follow one another by their keys and lengths; the first of a key counts."""
        numbers = self._keys.add([key for key, _ in lines]).tolist()
        for number, (_, length) in zip(numbers, lines, strict=True):
            if number == len(self._begins):
                self._begins.append(self._end)
                self._lengths.append(length)
            self._end += length


def _key(candidate: str, example: str, split: str, repeat: int) -> str:
    """What a record is the only one of."""
    return f"{candidate}\0{example}\0{split}\0{repeat}"
