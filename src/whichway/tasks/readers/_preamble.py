"""What stands above the column names of a table: comments, a title, a row of merged headings."""

from __future__ import annotations

import re
from collections.abc import Sequence

from whichway.tasks.readers._records import DelimitedRecord, Fault

MOST = 10  # lines above the column names
_MARKS = re.compile(r"[,;\t|]")
# Names by which a line is known to hold column names
_INPUTS = frozenset((
    "text", "input", "question", "prompt", "sentence", "message", "body", "review", "query", "content",
))  # fmt: skip
_TARGETS = frozenset((
    "label", "target", "output", "answer", "category", "class", "intent", "team", "completion", "topic",
))  # fmt: skip


def without(text: str) -> tuple[str, tuple[str, ...]]:
    """A text whose leading lines that begin with "#" are blank, and a note about them.

    Lines keep their numbers. Such a line may be the header, as a column may be called "#": it stays where it holds a
    known name, or as many separators as the line after the comments.
    """
    lines = text.split("\n", MOST + 1)
    count = 0
    while count < min(MOST, len(lines) - 1) and lines[count].startswith("#"):
        count += 1
    width = len(_MARKS.findall(lines[count]))
    if not count or not width:
        return text, ()
    names = {name.strip("# ").casefold() for name in _MARKS.split(lines[count - 1])}
    if names & (_INPUTS | _TARGETS) or len(_MARKS.findall(lines[count - 1])) == width:
        return text, ()
    return "\n" * count + "\n".join(lines[count:]), (f"{count} comment lines (#) above the column names are left out.",)


def without_titles(
    table: Sequence[DelimitedRecord | Fault],
) -> tuple[Sequence[DelimitedRecord | Fault], tuple[str, ...]]:
    """Records from the column names on, where lines with a title or merged headings stand above them.

    The first record is taken for a title only if it names no text and no answer, has cells without a name, and a later
    one within ten names both and has no empty cell.
    """
    head = [record for record in table[: MOST + 1] if isinstance(record, DelimitedRecord)]
    if len(head) < len(table[: MOST + 1]) or not head:
        return table, ()
    first = next((record for record in head if any(f.strip() for f in record.fields)), head[0])
    names = [f.strip() for f in first.fields]
    gaps = "" in names[1:] and len(names) > 1
    if _known(names) or not gaps:
        return table, ()
    for place, record in enumerate(head[1:], 1):
        cells = [f.strip() for f in record.fields]
        if _known(cells) and all(cells) and len(cells) >= 2:
            titles = [" ".join(f.strip() for f in r.fields if f.strip())[:40] for r in head[:place]]
            shown = "; ".join(text for text in titles if text)
            return table[place:], (f"lines above the column names are left out: {shown}.",)
    return table, ()


def _known(names: Sequence[str]) -> bool:
    """Whether names hold one of a text and one of an answer."""
    folded = {name.casefold() for name in names}
    return bool(folded & _INPUTS) and bool(folded & _TARGETS)
