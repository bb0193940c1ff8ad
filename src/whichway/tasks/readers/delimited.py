"""CSV and TSV, in the dialects that spreadsheets, databases and data libraries write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from whichway.errors import DataError, OptionError
from whichway.plurals import plural
from whichway.tasks.encodings import text_of
from whichway.tasks.readers import _formulas, _no_rows, _preamble
from whichway.tasks.readers._contents import Contents, RawRow
from whichway.tasks.readers._dialect import fits, numbered, width
from whichway.tasks.readers._dialect import read as read_dialect
from whichway.tasks.readers._records import DelimitedRecord, Fault
from whichway.tasks.table import BadRows, ReadOptions

EXTENSIONS = (".csv", ".tsv", ".tab")
USUAL = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_ESCAPES = {"\\t": "\t", "tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


@dataclass(slots=True)
class _Tally:
    """What was left out of the file without a loss."""

    empty: int = 0
    repeated: list[int] = field(default_factory=list)
    trailing: int = 0


def read(path: Path, options: ReadOptions, bad: BadRows) -> Contents:
    """The rows of a delimited file.

    Raises:
        DataError: it is empty, or a record does not fit the header; names the line.
    """
    decoded = text_of(path, options.encoding)
    text = decoded.text
    if not text.strip():
        raise DataError(f"{path}: the file is empty.")
    if "\x1a" in text[-8:]:  # DOS marks the end of a file so
        text = text.rstrip().removesuffix("\x1a")
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    kind = next(suffix.lower() for suffix in reversed(path.suffixes) if suffix.lower() in USUAL)
    text, above = _preamble.without(text)
    reading = read_dialect(text, _delimiter(options.delimiter), USUAL[kind])
    records, titles = _preamble.without_titles(reading.records)
    contents = _table(records, path, (*decoded.notes, *above, *reading.notes, *titles), bad)
    return replace(_formulas.without(contents), warnings=decoded.warnings)


def _delimiter(separator: str | None) -> str | None:
    if separator is None:
        return None
    mark = _ESCAPES.get(separator, separator)
    if not mark or '"' in mark or "\n" in mark:
        raise OptionError(f"--delimiter {separator!r}: give the separator itself, such as ';' or '\\t'.")
    return mark


def _table(records: Sequence[DelimitedRecord | Fault], path: Path, notes: Sequence[str], bad: BadRows) -> Contents:
    """Records as mappings by the header, each checked to be as wide as it."""
    lines, tally = iter(records), _Tally()
    first = next((r for r in lines if isinstance(r, Fault) or any(f.strip() for f in r.fields)), None)
    if first is None or isinstance(first, Fault):
        raise DataError(f"{path}:{first.line if first else 1}: {first.message if first else 'no header.'}")
    rest, others = _no_rows.without(first.fields, list(lines))
    header = _header(first, rest, path)
    rows = list(_rows(first, header, rest, path, bad, tally))
    return Contents(rows, (*notes, *others, *_notes(first, header, tally)))


def _header(first: DelimitedRecord, rest: Sequence[DelimitedRecord | Fault], path: Path) -> list[str]:
    """The column names; unnamed columns at the end that are empty in every row are left out."""
    names = [name.strip() for name in first.fields]
    least = width([first])
    filled = (enumerate(r.fields, 1) for r in rest if isinstance(r, DelimitedRecord))
    used = max((n for fields in filled for n, f in fields if n > least and f.strip()),
               default=least)  # fmt: skip
    if used == len(names) + 1 and numbered(rest, used):
        names = ["", *names]  # R's row names, which have no heading
        used = len(names)
    header = [name or f"column {n}" for n, name in enumerate(names[: max(least, min(used, len(names)))], 1)]
    double = [name for name in header if header.count(name) > 1]
    if double:
        raise DataError(f"{path}:{first.line}: the header names the column '{double[0]}' twice. Rename one.")
    return header


def _rows(
    first: DelimitedRecord,
    header: list[str],
    rest: Sequence[DelimitedRecord | Fault],
    path: Path,
    bad: BadRows,
    tally: _Tally,
) -> Iterable[RawRow]:
    count, least = len(header), min(width([first]), len(header))
    titles = _folded(first.fields[:count])
    longest = max(map(len, first.fields)) + 2
    for record in rest:
        if isinstance(record, Fault):
            bad.refuse(f"{path.name}:{record.line}", f"{path}:{record.line}: {record.message}")
            continue
        fields = record.fields
        if len(fields) != count:
            if not any(f.strip() for f in fields):
                tally.empty += 1
                continue
            if not fits(record, count, least):
                bad.refuse(f"{path.name}:{record.line}", _ragged(path, record, header))
                continue
            tally.trailing += len(fields) > count
            fields = [*fields[:count], *[""] * (count - len(fields))]
        elif len(fields[0]) < longest and sorted(_folded(fields)) == sorted(titles):
            if _folded(fields) != titles:
                raise DataError(_other_order(path, record, header))
            tally.repeated.append(record.line)
            continue
        elif count > 1 and not any(map(str.strip, fields)):
            tally.empty += 1
            continue
        yield RawRow(record.line, dict(zip(header, fields, strict=True)))


def _folded(names: Sequence[str]) -> list[str]:
    """Column names without case, blanks and a byte order mark: how headers of files that were put together compare."""
    return [name.strip("\ufeff \t").casefold() for name in names]


def _other_order(path: Path, record: DelimitedRecord, header: Sequence[str]) -> str:
    return (
        f"{path}:{record.line}: the column names again, in another order than above ({', '.join(header)[:150]}): the "
        "rows below it would be read under wrong names. Put the files together by their columns, or in a folder."
    )


def _ragged(path: Path, record: DelimitedRecord, header: Sequence[str]) -> str:
    names = ", ".join(header)
    return (
        f"{path}:{record.line}: {len(record.fields)} fields where the header has {len(header)} "
        f"({names[:150]}{'...' * (len(names) > 150)}). "
        "A field that contains the separator or a line end must stand in double quotes."
    )


def _notes(first: DelimitedRecord, header: Sequence[str], tally: _Tally) -> Iterable[str]:
    unnamed = len(first.fields) - len(header)
    if unnamed > 0:
        yield f"{plural(unnamed, 'empty column')} without a name at the end: left out."
    if unnamed < 0:
        yield f"the rows are numbered, without a heading: '{header[0]}'."
    if tally.trailing:
        yield f"{plural(tally.trailing, 'row ends', 'rows end')} in empty fields beyond the header; these are left out."
    if tally.empty:
        yield f"{plural(tally.empty, 'empty row is', 'empty rows are')} left out."
    if tally.repeated:
        repeat = plural(len(tally.repeated), "row repeats the header and is", "rows repeat the header and are")
        yield f"{repeat} left out, first on line {tally.repeated[0]}."
