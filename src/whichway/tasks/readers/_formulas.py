"""Excel's `="007"`: a cell written as a formula so that a spreadsheet keeps its text."""

from __future__ import annotations

import re
from dataclasses import replace

from whichway.tasks.readers._contents import Contents, RawRow

_FORMULA = re.compile(r'="((?:[^"]|"")*)"')


def without(found: Contents) -> Contents:
    """Contents whose columns of such cells hold the texts; a column with any other cell stays as it is."""
    if not found.rows or not any(str(value).startswith('="') for value in found.rows[0].fields.values()):
        return found
    columns = [
        name
        for name in found.rows[0].fields
        if all(not (cell := row.fields.get(name) or "") or _FORMULA.fullmatch(cell) for row in found.rows)
        and any(row.fields.get(name) for row in found.rows)
    ]
    if not columns:
        return found
    rows = [RawRow(r.line, {**r.fields, **{n: _text(r.fields.get(n) or "") for n in columns}}, r.split, r.path)
            for r in found.rows]  # fmt: skip
    note = f'cells written as ="..." hold the text alone, in: {", ".join(columns)}.'
    return replace(found, rows=rows, notes=(*found.notes, note))


def _text(cell: str) -> str:
    match = _FORMULA.fullmatch(cell)
    return match[1].replace('""', '"') if match else cell
