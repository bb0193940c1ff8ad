"""Arrow tables to rows: label names, typed numbers, and columns of bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from whichway.errors import DataError
from whichway.tasks.readers._contents import Contents, RawRow

Names = Mapping[str, Sequence[str]]


def read_arrow(path: Path, kind: str, read: Callable[[], Any]) -> Any:
    """What `read` gives, with a message for the user where it fails.

    Raises:
        DataError: the file is damaged or of another kind.
    """
    import pyarrow as arrow

    try:
        return read()
    except (arrow.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or ["it is damaged"])[0]
        raise DataError(f"{path}: not a readable {kind} file: {reason}") from None


def contents(table: Any, path: Path, names: Names | None = None) -> Contents:
    """The rows of an Arrow table; integers that stand for label names become these names.

    Args:
        table: a `pyarrow.Table`.
        path: of the file, for messages.
        names: label names of columns; None: as the table's own metadata say.
    """
    if names is None:
        names = label_names((table.schema.metadata or {}).get(b"huggingface"))
    notes = []
    double = [name for name in table.column_names if table.column_names.count(name) > 1]
    if double:
        raise DataError(f"{path}: the column '{double[0]}' is there twice. Rename one.")
    binary = [field.name for field in table.schema if _holds_bytes(field.type) and not _is_text(table[field.name])]
    if binary:
        notes.append(f"columns of bytes (images, sounds) are not read: {', '.join(binary)}.")
        table = table.drop_columns(binary)
    columns = {name: _values(table[name], names.get(name)) for name in table.column_names}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    used = [name for name in names if name in columns]
    if used:
        notes.append(f"label names from the file's features: {', '.join(used)}.")
    return Contents([RawRow(number, row) for number, row in enumerate(rows, 1)], tuple(notes))


def label_names(metadata: bytes | None) -> dict[str, list[str]]:
    """Label names that Hugging Face `datasets` keeps beside integer columns, in metadata of the file."""
    return {} if metadata is None else of_features(json.loads(metadata).get("info", {}).get("features", {}))


def of_features(features: Mapping[str, Any]) -> dict[str, list[str]]:
    """Label names by column, also of columns that hold lists of labels."""
    by_column = {}
    for name, feature in (features or {}).items():
        inner = feature
        while isinstance(inner, dict | list) and not (isinstance(inner, dict) and inner.get("_type") == "ClassLabel"):
            inner = (
                inner[0]
                if isinstance(inner, list) and inner
                else inner.get("feature")
                if isinstance(inner, dict)
                else 0
            )
        if isinstance(inner, dict) and isinstance(inner.get("names"), list):
            by_column[name] = inner["names"]
    return by_column


def _values(column: Any, names: Sequence[str] | None) -> list[Any]:
    import pyarrow as arrow

    values = column.to_pylist()
    if arrow.types.is_float32(column.type) or arrow.types.is_float16(column.type):
        import numpy as np

        kind = np.float32 if arrow.types.is_float32(column.type) else np.float16
        values = [None if v is None else float(str(kind(v))) for v in values]  # as it was written: 0.1
    return values if names is None else [_named(value, names) for value in values]


def _named(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_named(inner, names) for inner in value]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if value == -1:  # how `datasets` marks rows whose label is not published
        return None
    return names[value] if 0 <= value < len(names) else value


def _holds_bytes(kind: Any) -> bool:
    import pyarrow as arrow

    if arrow.types.is_struct(kind):
        return any(_holds_bytes(kind.field(n).type) for n in range(kind.num_fields))
    if arrow.types.is_list(kind) or arrow.types.is_large_list(kind):
        return _holds_bytes(kind.value_type)
    return bool(
        arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind) or arrow.types.is_fixed_size_binary(kind)
    )


def _is_text(column: Any) -> bool:
    """Whether a column of bytes is UTF-8 throughout, as some writers store text."""
    import pyarrow as arrow

    if arrow.types.is_struct(column.type) or arrow.types.is_list(column.type) or arrow.types.is_large_list(column.type):
        return False
    try:
        column.cast(arrow.large_string() if arrow.types.is_large_binary(column.type) else arrow.string())
    except arrow.ArrowException:
        return False
    return True
