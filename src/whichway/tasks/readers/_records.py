"""Delimited text to records, in one dialect: separators, quotes and escapes.

Our own reader: the csv module's field limit is a process-wide setting, and it does not say on which line a record
starts or a quote opens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Quoting = Literal["double", "padded", "backslash", "single", "loose"]


class DelimitedRecord(NamedTuple):
    """The fields of one record, and the line it starts on. A tuple, as files have many."""

    line: int
    fields: list[str]
    lines: int = 1  # that it spans


@dataclass(frozen=True, slots=True)
class Fault:
    """A place at which text breaks the dialect."""

    line: int
    message: str


def pattern(delimiter: str, quoting: Quoting) -> re.Pattern[str]:
    """What one field and the mark after it look like: quoted, bare, end."""
    mark = re.escape(delimiter)
    bare = rf'((?!")(?:(?!{mark})[^\n])*+)' if len(delimiter) > 1 else rf'((?!")[^{mark}\n]*+)'
    end = rf"({mark}|\n|\Z)"
    if quoting == "padded":  # blanks between the separator and a quote
        return re.compile(rf'(?:[ \t]*+"((?:[^"]++|"")*+)"[ \t]*+|[ ]*+{bare}){end}')
    if quoting == "backslash":
        return re.compile(rf'(?:"((?:[^"\\]++|\\.|"")*+)"|{bare}){end}', re.DOTALL)
    if quoting == "single":
        return re.compile(rf"(?:'((?:[^']++|'')*+)'|{bare.replace(chr(34), chr(39), 1)}){end}")
    if quoting == "loose":  # quotes inside are not doubled: only one before a separator closes
        return re.compile(rf'(?:"((?:[^"\n]|"(?!{mark}|\n|\Z))*+)"|{bare}){end}')
    return re.compile(rf'(?:"((?:[^"]++|"")*+)"|{bare}){end}')


def records(text: str, delimiter: str, quoting: Quoting = "double") -> Iterator[DelimitedRecord | Fault]:
    """The records of delimited text (line ends are LF) with the line each starts on; blank lines are skipped.

    A `Fault` stands in the place of a line that breaks the dialect; the reading goes on after that line.
    """
    quote = "'" if quoting == "single" else '"'
    field = pattern(delimiter, quoting)
    position, line, size = 0, 1, len(text)
    while position < size:
        end = text.find("\n", position)
        end = size if end < 0 else end
        if quoting != "padded" and text.find(quote, position, end) < 0:  # most lines
            if end > position:
                yield DelimitedRecord(line, text[position:end].split(delimiter))
            position, line = end + 1, line + 1
            continue
        parsed = _quoted(text, position, line, field, delimiter, quoting)
        if isinstance(parsed, Fault):
            yield parsed
            position, line = end + 1, line + 1
            continue
        record, position = parsed
        line += record.lines
        yield record


def _quoted(
    text: str, position: int, line: int, field: re.Pattern[str], delimiter: str, quoting: Quoting
) -> tuple[DelimitedRecord, int] | Fault:
    """A record that may hold quotes, and where the next one starts."""
    start, fields, spanned = line, list[str](), 0
    while True:
        match = field.match(text, position)
        if match is None:
            return Fault(start + spanned, _fault(text, position))
        quoted, bare, end = match.groups()
        fields.append(bare if quoted is None else _unescaped(quoted, quoting))
        spanned += match[0].count("\n")
        position = match.end()
        if end != delimiter:
            return DelimitedRecord(start, fields, max(1, spanned + (end == ""))), position + (end == "")


_ESCAPED = re.compile(r'\\(.)|""', re.DOTALL)


def _unescaped(quoted: str, quoting: Quoting) -> str:
    if quoting == "single":
        return quoted.replace("''", "'")
    if quoting == "backslash":
        quoted = _ESCAPED.sub(lambda m: {"n": "\n", "t": "\t", None: '"'}.get(m[1], m[1]), quoted)
        return quoted.replace("\r", "\n")
    text = quoted if quoting == "loose" else quoted.replace('""', '"')
    return text.replace("\r", "\n") if "\r" in text else text


def _fault(text: str, position: int) -> str:
    shown = text[position : position + 40].split("\n")[0]
    closed = re.compile(r'[ \t]*"(?:[^"]++|"")*+"').match(text, position)
    if closed:
        return f"text after a closing quote, at: {shown} Inside a quoted field write quotes twice."
    return f"a quote opens and is never closed, at: {shown}"


def linewise(text: str, delimiter: str, width: int) -> list[DelimitedRecord] | None:
    """Records where every line is one, quotes taken as plain characters unless a line fits with them alone.

    Returns:
        None where some line fits in neither way.
    """
    field = pattern(delimiter, "double")
    plain: list[DelimitedRecord] = []
    strict: list[DelimitedRecord] = []
    uses_quotes = False
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        parts = line.split(delimiter)
        parsed = _quoted(line, 0, number, field, delimiter, "double") if '"' in line else None
        quoted = parsed[0].fields if isinstance(parsed, tuple) and parsed[1] > len(line) else None
        fits, fits_quoted = len(parts) == width, quoted is not None and len(quoted) == width
        if not fits and not fits_quoted:
            return None
        uses_quotes = uses_quotes or (fits_quoted and (not fits or '""' in line))
        plain.append(DelimitedRecord(number, parts))
        strict.append(DelimitedRecord(number, quoted if quoted is not None and fits_quoted else parts))
    return strict if uses_quotes else plain
