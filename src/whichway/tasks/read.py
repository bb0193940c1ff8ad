"""Readers: a file or a folder becomes a `Table` of rows that know their file and line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whichway.errors import DataError, did_you_mean
from whichway.nouns import Split
from whichway.tasks import chat_formats

MAX_FIELD = 1_000_000  # characters; no model reads more, and a missing quote swallows whole files
DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
COLUMNAR = (".parquet", ".arrow")
EXTENSIONS = (*DELIMITERS, *LINES, ".json", *COLUMNAR)
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
ROW_KEYS = ("data", "rows", "examples", "instances", "items")
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as text fields, with the place it came from; for Parquet `line` is the row number."""

    fields: Mapping[str, str]
    path: Path
    line: int
    split: Split | None = None  # when the data are split already

    @property
    def where(self) -> str:
        """The place as the user can open it: "data/tickets.csv:57"."""
        return f"{self.path}:{self.line}"

    @property
    def origin(self) -> str:
        """The place without folders, the same on every machine: "tickets.csv:57"."""
        return f"{self.path.name}:{self.line}"

    def side(self, column: str | None, use: str = "train, dev or test") -> Split | None:
        """The split that a column names; without a column, the one that the data came in.

        Args:
            column: the split column.
            use: the words that fit, for the message.

        Raises:
            DataError: the column says no split.
        """
        if column is None:
            return self.split
        word = self.fields.get(column, "")
        if word.casefold() not in SPLIT_WORDS:
            raise DataError(f"{self.where}: column '{column}' says '{word[:40]}', no split. Use {use}.")
        return SPLIT_WORDS[word.casefold()]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file or folder, and the columns that occur in them."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read(path: Path) -> Table:
    """Read a data file, or a folder with one file (or sub-folder) per split.

    Args:
        path: CSV, TSV, JSONL, JSON, Parquet, Arrow, or a folder of them.

    Raises:
        DataError: the file is missing, empty, of an unknown kind, or broken; names file and line.
    """
    if path.is_dir():
        return read_splits(splits_of(path), path)
    if not path.is_file():
        raise DataError(f"{path}: no such file.{_siblings(path)}")
    return read_file(path)


def read_splits(files: Mapping[Split, Iterable[Path]], path: Path) -> Table:
    """Read files that are split already, into one table; `path` is what messages name."""
    tables = [(split, read(file)) for split, group in files.items() for file in group]
    rows = tuple(replace(row, split=split) for split, table in tables for row in table.rows)
    return Table(path, _union(table.columns for _, table in tables), rows)


def read_file(path: Path) -> Table:
    """Read one data file by its extension."""
    kind = path.suffix.lower()
    if kind in (".yaml", ".yml"):
        from whichway.tasks import promptfoo  # it reads with this file

        if promptfoo.is_config(path):
            return promptfoo.table(path)
    if kind not in EXTENSIONS:
        raise DataError(f"{path}: unknown extension '{kind}'.{did_you_mean(kind, EXTENSIONS)}")
    raw = _columnar(path) if kind in COLUMNAR else _textual(path, kind)
    rows = tuple(Row(_texts(fields, path, line), path, line) for line, fields in raw)
    if not rows:
        raise DataError(f"{path}: no rows. A data file needs at least a dozen.")
    return Table(path, _union(row.fields for row in rows), rows)


def splits_of(folder: Path) -> dict[Split, list[Path]]:
    """The data files of a folder by split, from names like train.jsonl, valid.csv, test-00000-of-00001.parquet."""
    found: dict[Split, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        split = SPLIT_WORDS.get(re.split(r"[-_.]", path.name.lower())[0])
        if split and path.is_dir():
            found.setdefault(split, []).extend(sorted(p for p in path.iterdir() if p.suffix.lower() in EXTENSIONS))
        elif split and path.suffix.lower() in EXTENSIONS:
            found.setdefault(split, []).append(path)
    if not any(found.values()):
        if (folder / "data").is_dir():  # how the Hugging Face hub lays a dataset out
            return splits_of(folder / "data")
        raise DataError(f"{folder}: no data files found. A folder needs train.csv (or .tsv, .jsonl, .json, .parquet), "
                        "and may have dev.* and test.* beside it; or name one file.")  # fmt: skip
    return found


def _siblings(path: Path) -> str:
    if not path.parent.is_dir():
        return f" The folder {path.parent} does not exist either."
    names = [p.name for p in path.parent.iterdir() if p.is_dir() or p.suffix.lower() in EXTENSIONS]
    return did_you_mean(path.name, names[:20]) if names else f" No data file lies in {path.parent.absolute()}."


def _union(names: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in names for name in group))


def _textual(path: Path, kind: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    text = decode(path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty.")
    if kind in DELIMITERS:
        return _delimited(text, path, DELIMITERS[kind])
    if kind in LINES and not text.lstrip().startswith("["):
        return _json_lines(text, path)
    return _json(text, path)


def decode(path: Path) -> str:
    """The text of a UTF-8 file, without byte order mark.

    Raises:
        DataError: it cannot be read or is not UTF-8; names line and byte.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{data[error.start]:02x} at position {error.start}"
        raise DataError(f"{path}:{line}: not UTF-8: {byte}. {_encoding(path, data)}") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}:{line}: a zero byte. {_encoding(path, data)}")
    return text


def _encoding(path: Path, data: bytes) -> str:
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:100]
    guess = "UTF-16" if wide else "WINDOWS-1252"
    return f"It looks like {guess}; convert it: iconv -f {guess} -t UTF-8 {path.name} > utf8-{path.name}"


# CSV and TSV. Our own reader: the csv module's field limit is a process-wide setting, and it does not say on which
# line a record starts or a quote opens.


def _delimited(text: str, path: Path, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    head = text.lstrip("\n").split("\n", 1)[0]
    if delimiter not in head:
        delimiter = max(",;\t|", key=head.count)
    if delimiter == "\t":
        try:
            return iter(_rectangle(records(text, path, delimiter), path))
        except DataError as error:  # tab-separated files often use quotes as plain characters
            plain = ((n, line.split("\t")) for n, line in enumerate(text.split("\n"), 1) if line)
            try:
                return iter(_rectangle(plain, path))
            except DataError:
                raise error from None
    return iter(_rectangle(records(text, path, delimiter), path))


def records(text: str, path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The records of delimited text (line ends are LF) with the line each starts on; blank lines are skipped."""
    mark = re.escape(delimiter)
    field = re.compile(rf'(?:"((?:[^"]++|"")*+)"|((?!")[^{mark}\n]*+))({mark}|\n|\Z)')
    position, line, start, record = 0, 1, 1, list[str]()
    while position < len(text) or record:
        match = field.match(text, position)
        if match is None:
            raise DataError(f"{path}:{line}: {_quote_fault(text, position)}")
        quoted, bare, end = match.groups()
        record.append(bare if quoted is None else quoted.replace('""', '"'))
        line += match[0].count("\n")
        position = match.end()
        if end != delimiter:
            if record != [""] or quoted is not None:
                yield start, record
            record, start = [], line


def _quote_fault(text: str, position: int) -> str:
    shown = text[position : position + 40].split("\n")[0]
    closed = re.compile(r'"(?:[^"]++|"")*+"').match(text, position)
    if closed:
        return f"text after a closing quote, at: {shown} Inside a quoted field write quotes twice."
    return f"a quote opens and is never closed, at: {shown}"


def _rectangle(found: Iterable[tuple[int, list[str]]], path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """Records as mappings by the header, each checked to be as wide as it."""
    lines = iter(found)
    _, first = next(lines)
    header = [name.strip() or f"column {n}" for n, name in enumerate(first, 1)]
    double = [name for name in header if header.count(name) > 1]
    if double:
        raise DataError(f"{path}:1: the header names the column '{double[0]}' twice. Rename one.")
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for line, record in lines:
        if len(record) != len(header):
            raise DataError(
                f"{path}:{line}: {len(record)} fields where the header has {len(header)} ({', '.join(header)}). "
                "A field that contains the separator or a line end must stand in double quotes."
            )
        rows.append((line, dict(zip(header, record, strict=True))))
    return rows


# JSON


def _json_lines(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: U+2028 may stand in a string
        if line.strip():
            yield number, _object(_loads(line, path, number), path, number)


def _loads(line: str, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{number}: broken JSON: {error.msg} (column {error.colno}). The line starts: {line.strip()[:60]}"
        ) from None
    except RecursionError:
        raise DataError(f"{path}:{number}: JSON nested too deeply to be a row.") from None


def _object(value: Any, path: Path, line: int) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(
            f'{path}:{line}: a row must be a JSON object like {{"input": ..., "target": ...}}, '
            f"this is: {json.dumps(value)[:60]}"
        )
    return value


def _json(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):  # JSON lines under the name .json
            yield from _json_lines(text, path)
            return
        shown = text.split("\n")[error.lineno - 1].strip()[:60]
        raise DataError(
            f"{path}:{error.lineno}: broken JSON: {error.msg} (column {error.colno}). The line starts: {shown}"
        ) from None
    except RecursionError:
        raise DataError(f"{path}: JSON nested too deeply to hold rows.") from None
    position, line = _array_start(whole, text, path), 1
    seen = 0
    for start, value in _elements(text, position):
        line += text.count("\n", seen, start)
        seen = start
        yield line, _object(value, path, line)


def _array_start(whole: Any, text: str, path: Path) -> int:
    """Position after the "[" of the array that holds the rows."""
    if isinstance(whole, list):
        return text.index("[") + 1
    if isinstance(whole, dict):
        for key, start, value in _members(text):
            if key in ROW_KEYS and isinstance(value, list):
                return start + 1
        if len(whole) > 1 and all(isinstance(v, str | int | float | bool) for v in whole.values()):
            raise DataError(f"{path}: one row only. A data file needs at least a dozen.")
    raise DataError(f'{path}:1: expected an array of rows, or an object with the rows under "data".')


def _members(text: str) -> Iterator[tuple[str, int, Any]]:
    """Key, start of the value, and value of each member of the top object of valid JSON."""
    position = text.index("{") + 1
    while text[position := _skip(text, position)] != "}":
        key, position = _DECODER.raw_decode(text, position)
        start = _skip(text, _skip(text, position) + 1)  # the colon
        value, position = _DECODER.raw_decode(text, start)
        yield key, start, value


def _elements(text: str, position: int) -> Iterator[tuple[int, Any]]:
    """Start and value of each element of an array of valid JSON."""
    while text[position := _skip(text, position)] != "]":
        value, end = _DECODER.raw_decode(text, position)
        yield position, value
        position = end


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


# Parquet and Arrow


def _columnar(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import pyarrow as arrow

    try:
        table = _arrow_table(path)
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable {path.suffix[1:]} file: {str(error).splitlines()[0]}") from None
    names = _class_names((table.schema.metadata or {}).get(b"huggingface"))
    for number, row in enumerate(table.to_pylist(), 1):
        for column, labels in names.items():
            if isinstance(row.get(column), int) and 0 <= row[column] < len(labels):
                row[column] = labels[row[column]]
        yield number, row


def _arrow_table(path: Path) -> Any:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    if path.suffix.lower() == ".parquet":
        return parquet.read_table(path)
    with arrow.memory_map(str(path)) as source:
        try:
            return arrow.ipc.open_stream(source).read_all()
        except arrow.ArrowInvalid:
            return arrow.ipc.open_file(source).read_all()


def _class_names(metadata: bytes | None) -> dict[str, list[str]]:
    """Label names that Hugging Face `datasets` keeps beside integer columns."""
    if metadata is None:
        return {}
    features = json.loads(metadata).get("info", {}).get("features", {})
    return {name: f["names"] for name, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"}


# Values


def _texts(fields: Mapping[str, Any], path: Path, line: int) -> dict[str, str]:
    """All values as text; conversations become input and target."""
    where = f"{path}:{line}"
    texts = {str(name): as_text(value) for name, value in chat_formats.flatten(fields, where).items()}
    for name, text in texts.items():
        if len(text) > MAX_FIELD:
            raise DataError(
                f"{where}: column '{name}' holds {len(text) / 1e6:.1f} million characters, the limit is "
                f"{MAX_FIELD / 1e6:.0f} million. Is a closing quote missing? Else cut the text."
            )
    return texts


def as_text(value: Any) -> str:
    """A cell as text: missing is "", numbers and booleans as JSON writes them, objects and lists as JSON."""
    if isinstance(value, str):
        return value.strip()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
