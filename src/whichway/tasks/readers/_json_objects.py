"""JSON objects one after another, a line each or over several lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from whichway.errors import DataError
from whichway.tasks.readers._contents import Contents, RawRow
from whichway.tasks.readers._values import DECODER, loads, row_object
from whichway.tasks.table import BadRows


def rows_of(text: str, path: Path, notes: tuple[str, ...], bad: BadRows) -> Contents:
    """The rows of a text that holds one JSON object after another, a line each or over several lines."""
    spread = _spread(text, path)
    if spread is not None:
        return Contents(spread, (*notes, "JSON objects over several lines each."))
    rows = []
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: U+2028 may stand in a string
        if line.strip():
            try:
                rows.append(RawRow(number, row_object(loads(line, path, number), path, number)))
            except DataError as error:
                bad.refuse(f"{path.name}:{number}", str(error))
    return Contents(rows, notes)


def _spread(text: str, path: Path) -> list[RawRow] | None:
    """Rows of objects that span lines; None where the first line is a whole object, or none of this works."""
    first = text.strip().split("\n", 1)[0].rstrip()
    if first.endswith("}") and first.startswith("{"):
        return None
    try:
        return list(_objects(text, path))
    except ValueError:
        return None


def _objects(text: str, path: Path) -> Iterator[RawRow]:
    position, line, seen = 0, 1, 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text):
            return
        start = position
        value, position = DECODER.raw_decode(text, start)
        if not isinstance(value, dict):
            raise ValueError("no object")
        line += text.count("\n", seen, start)
        seen = start
        yield RawRow(line, loads(text[start:position], path, line))
