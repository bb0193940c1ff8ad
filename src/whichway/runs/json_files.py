"""Files of a run folder as they are read: JSON, and JSON lines; what is missing or damaged is a UserError."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from whichway.errors import UserError


def bytes_of(path: Path) -> bytes:
    """The bytes of a file that every finished run has.

    Raises:
        UserError: it is not there.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is missing: {path.parent} is no finished run. Run `whichway run` first.") from None


def parsed(data: bytes, path: Path) -> dict[str, Any]:
    """The JSON in the bytes of a file.

    Raises:
        UserError: it is damaged.
    """
    try:
        value: dict[str, Any] = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}). Run the same `whichway run` command again.") from error
    return value


def json_of(path: Path) -> dict[str, Any]:
    """The JSON of a file that must be there. Raises as `bytes_of` and `parsed` do."""
    return parsed(bytes_of(path), path)


def json_if_there(path: Path) -> dict[str, Any] | None:
    """The JSON of a file; None where there is none."""
    return json_of(path) if path.exists() else None


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON of each line; a last line that a killed writer left unfinished is none.

    Raises:
        UserError: a line is damaged; names it.
    """
    if path.exists():
        with path.open("rb") as file:
            yield from lines_in(file, path)


def lines_in(lines: Iterable[bytes], path: Path) -> Iterator[dict[str, Any]]:
    """The same of lines that were read already."""
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):  # a killed writer's last line
            return
        try:
            yield json.loads(line)
        except ValueError as error:
            hint = "Run the same `whichway run` command in a new folder."
            raise UserError(f"{path}:{number} is damaged ({error}). {hint}") from error
