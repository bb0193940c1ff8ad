"""What stands among the rows of a table and is none: further headings of a survey, dashes of Markdown, totals."""

from __future__ import annotations

import re
from collections.abc import Sequence

from whichway.plurals import plural
from whichway.tasks.readers._records import DelimitedRecord, Fault

_DASHES = re.compile(r"\s*:?-{3,}:?\s*")
_NUMBER = re.compile(r"[-+−]?\d[\d.,' \u00a0]*%?")
_TOTALS = frozenset((
    "total", "totals", "grand total", "sum", "sums", "subtotal", "summe", "gesamt", "gesamtsumme", "gesamtergebnis",
    "somme", "total général", "total general", "suma", "totale", "totaal", "razem", "итого", "всего", "合计", "总计",
    "合計", "総計",
))  # fmt: skip
_TYPES = frozenset((
    "string", "str", "text", "object", "category", "categorical", "varchar", "char", "character", "int", "int32",
    "int64", "integer", "bigint", "float", "float32", "float64", "double", "number", "numeric", "decimal", "bool",
    "boolean", "date", "datetime", "timestamp", "nominal", "factor",
))  # fmt: skip
Table = Sequence[DelimitedRecord | Fault]


def without(titles: Sequence[str], rest: Table) -> tuple[Table, tuple[str, ...]]:
    """The records below the column names that are rows, and what is told of the others.

    Args:
        titles: the column names.
        rest: the records below them.
    """
    notes: list[str] = []
    below = _headings(rest)
    if below:
        rows = plural(
            below, "row below the column names is a further heading", "rows below the column names are headings"
        )
        notes.append(f"{rows} of a survey and left out.")
    elif rest and _is_rule(rest[0]):
        below = 1
        notes.append("a line of dashes below the column names is left out.")
    elif rest and _is_types(rest[0], rest[1:]):
        below = 1
        notes.append("a row of types below the column names is left out.")
    rest = rest[below:]
    last = next((n for n in range(len(rest) - 1, -1, -1) if _filled(rest[n])), -1)
    total = rest[last] if last > 0 else None
    if isinstance(total, DelimitedRecord) and _is_total(total, [*rest[:last]], len(titles)):
        notes.append(f"a row of totals is left out, on line {total.line}.")
        rest = [*rest[:last], *rest[last + 1 :]]
    return rest, tuple(notes)


def _filled(record: DelimitedRecord | Fault) -> bool:
    return isinstance(record, Fault) or any(map(str.strip, record.fields))


def _headings(rest: Table) -> int:
    """How many records below the names are headings: the question and the name by which Qualtrics imports it."""
    marked = [
        n
        for n, record in enumerate(rest[:2])
        if isinstance(record, DelimitedRecord) and all(f.lstrip().startswith('{"ImportId"') for f in record.fields if f)
        and _filled(record)
    ]  # fmt: skip
    return marked[0] + 1 if marked else 0


def _is_rule(record: DelimitedRecord | Fault) -> bool:
    if isinstance(record, Fault):
        return False
    cells = [field for field in record.fields if field.strip()]
    return len(cells) > 1 and all(map(_DASHES.fullmatch, cells))


def _is_types(record: DelimitedRecord | Fault, others: Table) -> bool:
    """Whether a record names the type of each column, and no other row has any of these values."""
    if isinstance(record, Fault) or len(record.fields) < 2:
        return False
    cells = [field.strip().casefold() for field in record.fields]
    if not all(cell in _TYPES for cell in cells):
        return False
    rows = (r.fields for r in others if isinstance(r, DelimitedRecord) and len(r.fields) == len(cells))
    return not any(field.strip().casefold() == cell for row in rows for field, cell in zip(row, cells, strict=True))


def _is_total(record: DelimitedRecord, others: Table, width: int) -> bool:
    """Whether a record is a word for a total beside numbers and empty cells, in a column that has neither elsewhere."""
    cells = [field.strip() for field in record.fields]
    words = [n for n, cell in enumerate(cells) if cell.rstrip(":").casefold() in _TOTALS]
    if len(words) != 1 or len(cells) > width:
        return False
    numbers = [n for n, cell in enumerate(cells) if n not in words]
    if not all(not cells[n] or _NUMBER.fullmatch(cells[n]) for n in numbers):
        return False
    rows = [r.fields for r in others if isinstance(r, DelimitedRecord) and len(r.fields) == len(cells)]
    return bool(rows) and any(
        all(row[n].strip() and not _NUMBER.fullmatch(row[n].strip()) for row in rows) for n in numbers
    )
