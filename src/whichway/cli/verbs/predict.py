"""Answer new rows with a run's winner, or with any other candidate of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

from typer import Argument, Option

from whichway.errors import DataError
from whichway.nouns import Example

STDIN = "standard input"


def predict(
    run: Annotated[Path, Argument(help="A finished run folder.")],
    file: Annotated[
        str, Argument(help="Rows in any format that `run` reads; '-': standard input, text or JSON lines.")
    ] = "-",
    candidate: Annotated[
        str | None, Option(help="A candidate's id, or the start of it, instead of the winner.")
    ] = None,
    way: Annotated[str | None, Option(help="A way's best candidate instead of the winner.")] = None,
    out: Annotated[Path | None, Option(help="Write here instead of standard output.")] = None,
    encoding: Annotated[str | None, Option(help="Encoding of the file, where it is not UTF-8: cp1252.")] = None,
    delimiter: Annotated[str | None, Option(help="Separator of CSV and TSV, such as ';'; default: found.")] = None,
) -> None:
    """Answer new rows; one JSON object a row: its input, the answer, and the labels' log-probabilities."""
    from whichway.app.predict import answers
    from whichway.ship import pick
    from whichway.tasks import read_inputs
    from whichway.tasks.table import ReadOptions

    source, reading = pick(run, candidate, way), ReadOptions(encoding, delimiter)
    fields, talks = source.fields, source.conversation
    piped = file == "-"
    rows = standard_input(sys.stdin, fields, talks) if piped else read_inputs(Path(file), fields, talks, reading)
    _write((json.dumps(line, ensure_ascii=False) for line in answers(source, rows)), out)


def standard_input(stream: TextIO, fields: Sequence[str], conversation: bool = False) -> list[Example]:
    """Lines of text, or JSON objects when the first line is one; of conversations, objects or lists of messages.

    Raises:
        DataError: not UTF-8, or a line that does not fit; names the line.
    """
    try:
        lines = stream.read().splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"standard input is not UTF-8 (byte {error.start}). Convert it first: iconv -t UTF-8"
        ) from error
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{") or (conversation and first.lstrip().startswith("[")):
        numbered_rows = [(n, _json(line, n)) for n, line in enumerate(lines, 1) if line.strip()]
        return _json_rows(numbered_rows, fields, conversation)
    return text_lines(lines, STDIN, fields)


def text_lines(lines: Sequence[str], where: str, fields: Sequence[str]) -> list[Example]:
    """One row for each line that is not blank.

    Raises:
        DataError: the run has several input fields, which plain text cannot tell apart.
    """
    if len(fields) > 1:
        names = ", ".join(fields)
        raise DataError(f"{where}: this run has the input fields {names}; give JSON lines or CSV with these columns.")
    return [Example({fields[0]: line}, "") for line in lines if line.strip()]


def _json(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        where = f"{STDIN}:{number}"
        raise DataError(f"{where}: broken JSON: {error}. Each line must be one JSON object.") from error


def _json_rows(numbered_rows: Sequence[tuple[int, Any]], fields: Sequence[str], conversation: bool) -> list[Example]:
    from whichway.tasks.choices import with_choices
    from whichway.tasks.conversation_rows import conversation_row

    if conversation:
        return [
            conversation_row({"messages": row} if isinstance(row, list) else row, fields, f"{STDIN}:{number}")
            for number, row in numbered_rows
        ]
    wrong = next((number for number, row in numbered_rows if not isinstance(row, dict)), None)
    if wrong is not None:
        raise DataError(f"{STDIN}:{wrong}: no JSON object. Each line must be one, as the first is.")
    rows = with_choices([row for _, row in numbered_rows], fields, Path(STDIN))
    return [
        Example({field: _field(row, field, f"{STDIN}:{number}") for field in fields}, "")
        for (number, _), row in zip(numbered_rows, rows, strict=True)
    ]


def _field(values: Mapping[str, Any], field: str, where: str) -> str:
    if field not in values:
        raise DataError(f"{where}: the field '{field}' is missing; there is {', '.join(values) or 'nothing'}.")
    value = values[field]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _write(lines: Iterator[str], out: Path | None) -> None:
    if out is None:
        for line in lines:
            print(line)
        return
    temporary = out.with_name(out.name + ".part")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
    temporary.replace(out)
