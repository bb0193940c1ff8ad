"""JSON text to Python values, with errors that name the line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whichway.errors import DataError
from whichway.tasks.table import WrittenNumber

DECODER = json.JSONDecoder(parse_float=WrittenNumber)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_COMMENT = re.compile(r"(?m)^\s*(//|/\*|#)")


class _Double(ValueError):
    """A key stands twice in one object."""


def loads(text: str, path: Path, line: int, shown: str = "") -> Any:
    """The value of a JSON text.

    Args:
        text: one value.
        path: of the file, for messages.
        line: on which the text begins.
        shown: what to show of it when it is broken; "": its own line.

    Raises:
        DataError: it is broken, nested too deeply, or an object has a key twice.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_float=WrittenNumber)
    except json.JSONDecodeError as error:
        at = line + error.lineno - 1
        part = shown or text.split("\n")[error.lineno - 1].strip()
        hint = _hint(text, part)
        raise DataError(
            f"{path}:{at}: broken JSON: {error.msg} (column {error.colno}). The line starts: {part[:60]}{hint}"
        ) from None
    except _Double as error:
        raise DataError(f"{path}:{line}: the key '{str(error)[:60]}' stands twice in one object. Delete one.") from None
    except RecursionError:
        raise DataError(f"{path}:{line}: JSON nested too deeply to be a row.") from None
    if _SURROGATE.search(text):
        _refuse_halves(value, path, line)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Double(next(name for name in names if names.count(name) > 1))
    return value


def _hint(text: str, part: str) -> str:
    if _COMMENT.search(text):
        return " JSON knows no comments: take them out."
    if re.match(r"\s*[\]}]", part) and re.search(r",\s*[\]}]", text):
        return " A comma before the closing bracket is no JSON: take it out."
    if re.search(r"[}\]],\s*$", part):
        return " Lines of a JSON-lines file end without a comma: take it out, or put the rows between [ and ]."
    if "}{" in part:
        return " Objects stand on one line: write one a line."
    if re.match(r"(?!true|false|null|[\[{\"\d-])[^,;\t|]+[,;\t|]", part):
        return " It looks like a table: name the file .csv (or .tsv)."
    if re.match(r"[\[{,\s]*'", part) or re.search(r":\s*(None|True|False)\b", part):
        return " This is how Python prints it: write it with json.dumps."
    return ""


def _refuse_halves(value: Any, path: Path, line: int) -> None:
    """Half of a surrogate pair is no character, and no model's tokenizer takes it."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{path}:{line}: half of a surrogate pair (\\ud83d...) is no character. Mend the text."
        ) from None


def row_object(value: Any, path: Path, line: int) -> Mapping[str, Any]:
    """A row, which is a JSON object.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, dict):
        raise DataError(
            f'{path}:{line}: a row must be a JSON object like {{"input": ..., "target": ...}}, '
            f"this is: {json.dumps(value)[:60]}"
        )
    return value
