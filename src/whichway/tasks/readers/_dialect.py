"""Which dialect a delimited file is written in: the one in which every record is as wide as the header.

The separator is the one under which the first records form the widest table. Quotes are read as RFC 4180 has them;
where that leaves records of other widths, the habits of Excel, pandas, MySQL and plain tab files are tried in turn. The
reading that was taken is told whenever it is not the usual one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from whichway.plurals import plural
from whichway.tasks.readers._records import DelimitedRecord, Fault, Quoting, linewise, records

DELIMITERS = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", " ": "blank"}
_SEP = re.compile(r'"?sep=(.|\\t)"?(?:\n|$)', re.IGNORECASE)
_SAMPLE = 60  # records by which the separator is found
_NOWHERE = "\uffff"  # no character: the separator of a file that has none; line ends outside quotes part rows
_SWALLOWED = 5  # lines inside quotes, each of them a whole row: a stray quote, not a long text
_PLAIN = "quotes are read as plain characters: every line is a whole row without them."
_TRIALS: tuple[tuple[Quoting, str, str], ...] = (
    ("backslash", '\\"', 'quotes inside quoted fields are written \\" here, and a backslash escapes.'),
    ("loose", '"', "quotes inside quoted fields are not doubled: only a quote before a separator closes."),
    ("single", "'", "fields are quoted with ' here."),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """Records in one dialect, and what is unusual about it."""

    records: Sequence[DelimitedRecord | Fault]
    notes: tuple[str, ...]


def read(text: str, delimiter: str | None, usual: str) -> Reading:
    """The records of a text in the dialect that fits it best.

    Args:
        text: with LF line ends.
        delimiter: as the user says; None: found.
        usual: the separator that the file's name promises.
    """
    notes: list[str] = []
    sign = _SEP.match(text)
    if sign:
        named_separator = "\t" if sign[1] == "\\t" else sign[1]
        delimiter = delimiter or named_separator
        text = "\n" + text[sign.end() :]  # the line is read, and counts
        notes.append(f"the first line ({sign[0].strip()}) names the separator.")
    separator = delimiter or _separator(text, usual)
    if separator is None:
        return Reading(_one_column(text), (*notes, "one column: the first line holds no separator."))
    if separator != usual and not delimiter:
        notes.append(f"separator: {NAMES.get(separator, repr(separator))}.")
    table, more = _quotes(text, separator)
    return Reading(table, (*notes, *more))


def width(table: Sequence[DelimitedRecord | Fault]) -> int:
    """Fields of the header, empty ones at its end left out; 0 without a header."""
    first = next((r for r in table if isinstance(r, DelimitedRecord) and any(f.strip() for f in r.fields)), None)
    return 0 if first is None else _width(first)


def _width(record: DelimitedRecord) -> int:
    return max((n for n, name in enumerate(record.fields, 1) if name.strip()), default=0)


def misfits(table: Sequence[DelimitedRecord | Fault]) -> int:
    """Records that are not as wide as the header, and lines that break the dialect."""
    first = next((r for r in table if isinstance(r, DelimitedRecord) and any(f.strip() for f in r.fields)), None)
    if first is None:
        return len(table)
    whole, least = len(first.fields), _width(first)
    rest = [r for r in table if r is not first]
    wide = whole + numbered(rest, whole + 1)
    return sum(not fits(r, wide, least) for r in rest)


def numbered(rest: Sequence[DelimitedRecord | Fault], wide: int) -> bool:
    """Whether every record has one field more than the header and the first counts the rows, as R writes row names."""
    numbers = [r.fields[0] for r in rest if isinstance(r, DelimitedRecord) and len(r.fields) == wide]
    start = 0 if numbers[:1] == ["0"] else 1
    return len(numbers) == len(rest) > 1 and numbers == [str(n) for n in range(start, start + len(numbers))]


def fits(record: DelimitedRecord | Fault, whole: int, least: int) -> bool:
    """Whether a record has the header's fields: what is more, and what is missing from unnamed ones, is empty."""
    if isinstance(record, Fault):
        return False
    fields = record.fields
    return least <= len(fields) <= whole or not any(f.strip() for f in fields[whole:] or fields)


def _separator(text: str, usual: str) -> str | None:
    """The separator under which the first records form the widest table; None where the header has none."""
    head = text.lstrip("\n").split("\n", 1)[0]
    there = [mark for mark in (usual, *DELIMITERS) if mark in head]
    if not there:
        return None
    sample = text[:200_000].rsplit("\n", 1)[0] if len(text) > 200_000 else text
    ranked = []
    for place, mark in enumerate(dict.fromkeys(there)):
        some = [record for record, _ in zip(_quotes(sample, mark)[0], range(_SAMPLE), strict=False)]
        columns = width(some)
        ranked.append((columns > 1, misfits(some) == 0, -misfits(some) if misfits(some) > _SAMPLE // 4 else 0,
                       columns, -place, mark))  # fmt: skip
    return max(ranked)[-1]


def _one_column(text: str) -> list[DelimitedRecord | Fault]:
    table = list(records(text, _NOWHERE))
    if any(isinstance(record, Fault) for record in table):
        return [DelimitedRecord(number, [line]) for number, line in enumerate(text.split("\n"), 1) if line]
    return list(table)


def _quotes(text: str, delimiter: str) -> tuple[Sequence[DelimitedRecord | Fault], tuple[str, ...]]:
    """Records by the way of quoting that fits, and what is unusual about it."""
    if '"' not in text and "'" not in text:
        return list(records(text, delimiter)), ()
    usual = list(records(text, delimiter))
    bad = misfits(usual)
    if delimiter != " " and (bad or _padded(usual)) and re.search(rf'(?:{re.escape(delimiter)}|\n)[ \t]+"', text):
        padded = list(records(text, delimiter, "padded"))
        if not misfits(padded):
            return padded, ("blanks before quoted fields are left out.",)
    swallowed = max((r.lines for r in usual if isinstance(r, DelimitedRecord)), default=1)
    if not bad and swallowed == 1:
        return usual, ()
    if bad or delimiter in "\t|" or swallowed > _SWALLOWED:
        plain = linewise(
            text, delimiter, len(usual[0].fields) if usual and isinstance(usual[0], DelimitedRecord) else 0
        )
        if plain is not None:
            return plain, (_PLAIN,)
    if not bad:
        return usual, (_spans(usual),)
    for quoting, sign, note in _TRIALS:
        if sign in text:
            table = list(records(text, delimiter, quoting))
            if not misfits(table):
                return table, (note,)
    return usual, ()


def _padded(table: Sequence[DelimitedRecord | Fault]) -> bool:
    """Whether fields begin with blanks and a quote."""
    return any(
        f[:1] in (" ", "\t") and f.lstrip()[:1] == '"'
        for r in table
        if isinstance(r, DelimitedRecord)
        for f in r.fields
    )


def _spans(table: Sequence[DelimitedRecord | Fault]) -> str:
    spans = [r for r in table if isinstance(r, DelimitedRecord) and r.lines > 1]
    longest = max(spans, key=lambda r: r.lines)
    where = f"the longest spans {longest.lines} lines, from line {longest.line}"
    return f"{plural(len(spans), 'row holds', 'rows hold')} line ends inside quotes; {where}."
