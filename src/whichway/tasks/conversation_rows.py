"""Rows whose input is a conversation: cells become turns, in files, in memory and one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whichway.errors import DataError
from whichway.nouns import Example
from whichway.tasks.chat_formats import as_conversations, conversation, flatten, listed, text_of, turns_of
from whichway.tasks.table import DataTable


def conversation_row(data: Any, fields: Sequence[str], where: str) -> Example:
    """A conversation to answer, from a JSON object with `messages` or with the task's own fields.

    Raises:
        DataError: no conversation, or a field is missing.
    """
    if not isinstance(data, Mapping):
        raise DataError(f"{where}: no JSON object and no list of messages.")
    flat = flatten(data, where)
    texts = {name: flat.get(name, "") for name in fields}
    cells = {
        name: value if isinstance(value, str) and not listed(value) else conversation(value, where, name)
        for name, value in texts.items()
    }
    if not any(cells.values()):
        raise DataError(f"{where}: neither messages nor the fields {', '.join(fields)}.")
    return example_of(cells, "")


def example_of(
    fields: Mapping[str, str], target: str, group: str | None = None, origin: str = "", rejected: str | None = None
) -> Example:
    """A row; a field that is a conversation gives its turns."""
    texts = {name: text_of(value) for name, value in fields.items()}
    return Example(texts, target, group, origin, rejected, turns_of(fields))


def with_conversations(table: DataTable, names: Sequence[str]) -> list[dict[str, str]]:
    """The input fields of every row, with conversations that are written as text read as such."""
    rows = [{name: row.fields.get(name, "") for name in names} for row in table.rows]
    for name in names:
        conversations = as_conversations([row[name] for row in rows], [row.where for row in table.rows], name)
        for row, cell in zip(rows, conversations or (), strict=False):
            row[name] = cell
    return rows
