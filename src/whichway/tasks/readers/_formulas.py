"""Excel's `="007"`: a cell written as a formula so that a spreadsheet keeps its text."""

from __future__ import annotations

import re
from dataclasses import replace

from whichway.tasks.readers._contents import Contents, RawRow

_FORMULA = re.compile(r'="((?:[^"]|"")*)"')


def without(contents: Contents) -> Contents:
    """Contents whose columns of such cells hold the texts; a column with any other cell stays as it is."""
    if not contents.rows or not any(str(value).startswith('="') for value in contents.rows[0].fields.values()):
        return contents
    columns = [
        name
        for name in contents.rows[0].fields
        if all(not (cell := row.fields.get(name) or "") or _FORMULA.fullmatch(cell) for row in contents.rows)
        and any(row.fields.get(name) for row in contents.rows)
    ]
    if not columns:
        return contents
    rows = [RawRow(r.line, {**r.fields, **{n: _text(r.fields.get(n) or "") for n in columns}}, r.split, r.path)
            for r in contents.rows]  # fmt: skip
    note = f'cells written as ="..." hold the text alone, in: {", ".join(columns)}.'
    return replace(contents, rows=rows, notes=(*contents.notes, note))


def _text(cell: str) -> str:
    match = _FORMULA.fullmatch(cell)
    return match[1].replace('""', '"') if match else cell
