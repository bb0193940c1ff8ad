"""OpenAI's older fine-tuning files: `prompt` and `completion`, a separator after each prompt, a stop word at each end.

A chat template ends turns itself, so a stop word would only be learned as a part of every answer: it is left out. A
separator stays, as it is part of what rows are asked with, and new rows must have it too; that is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from whichway.tasks.table import DataTable

PROMPT, COMPLETION = "prompt", "completion"
_SEPARATOR = re.compile(r"(?:[-=]>|>{2,}|#{2,}|-{3,}|={3,}|\|{2,}|\*{3,}|~{3,}|<\|[\w ]+\|>)\s*$")
_STOP = re.compile(r"\s*(?:\bEND|\bSTOP|#{2,}|<\|[\w ]+\|>|</s>|<end>)\s*$")


def without_stops(table: DataTable) -> DataTable:
    """The table with answers that end where the stop word begins, and notes of what was found; others as they are."""
    rows = [row.fields for row in table.rows]
    if len(rows) < 3 or not all(_texts(fields) for fields in rows):
        return table
    notes = []
    separator = _SEPARATOR.search(_common([fields[PROMPT] for fields in rows]))
    if separator:
        notes.append(
            f"Each prompt ends with '{separator.group().strip()}', as OpenAI's older files have it. It is sent so, and "
            "new rows need it too; a chat template does not."
        )
    stop = _STOP.search(_common([fields[COMPLETION] for fields in rows]))
    if stop is None:
        return replace(table, warnings=(*table.warnings, *notes)) if notes else table
    word, size = stop.group().strip(), len(stop.group())
    notes.append(f"Each completion ends with '{word}', a stop word of OpenAI's older files: left out.")
    new = tuple(
        replace(
            row,
            fields={**row.fields, COMPLETION: row.fields[COMPLETION][:-size].strip()},
            raw={name: text for name, text in row.raw.items() if name != COMPLETION},
        )
        for row in table.rows
    )
    return replace(table, rows=new, warnings=(*table.warnings, *notes))


def _texts(fields: Mapping[str, str]) -> bool:
    return bool(fields.get(PROMPT)) and bool(fields.get(COMPLETION))


def _common(texts: Sequence[str]) -> str:
    """What all texts end with, 40 characters at most."""
    size = 0
    while size < min(40, *map(len, texts)) and len({text[-size - 1 :] for text in texts}) == 1:
        size += 1
    return texts[0][-size:] if size else ""
