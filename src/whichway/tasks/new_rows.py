"""New rows without wanted answers, for a winner to answer: laid out as the rows of its task are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from whichway.nouns import Example
from whichway.tasks import choices, columns, read
from whichway.tasks.chat_formats import SYSTEM
from whichway.tasks.conversation_rows import example_of, with_conversations
from whichway.tasks.table import DEFAULT, DataTable, ReadOptions, Row


def read_inputs(
    path: Path,
    fields: Sequence[str],
    conversation: bool = False,
    reading: ReadOptions = DEFAULT,
    group: str | None = None,
    wanted: Callable[[DataTable], Sequence[Row]] | None = None,
) -> list[Example]:
    """New rows without targets, for a winner to answer.

    Args:
        path: any data file, or a .txt file with one input per line.
        fields: the input columns of the task that the winner was made for.
        conversation: whether that task's rows are conversations.
        reading: what the user says about the file.
        group: the column whose equal values belong together, where the file has it.
        wanted: chooses rows of the table; None: all of them.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    if path.suffix.lower() == ".txt" and len(fields) == 1:
        lines = enumerate(read.decode(path, reading.encoding).split("\n"), 1)
        return [Example({fields[0]: line.strip()}, "", None, f"{path.name}:{n}") for n, line in lines if line.strip()]
    table = read.read(path, reading)
    if choices.LISTED in fields and choices.LISTED not in table.columns:
        table = choices.with_listed(table)
    table = columns.with_paths(table, fields)
    if wanted is not None:
        table = replace(table, rows=tuple(wanted(table)))
    names = columns.inputs_of(table, [name for name in fields if not (conversation and name == SYSTEM)])
    rows = with_conversations(table, names)
    if conversation and SYSTEM in fields:
        rows = [{SYSTEM: row.fields.get(SYSTEM, ""), **cells} for row, cells in zip(table.rows, rows, strict=True)]
    groups = [(row.fields.get(group) or None) if group else None for row in table.rows]
    return [
        example_of(cells, "", of, row.origin) for row, cells, of in zip(table.rows, rows, groups, strict=True)
    ]
