"""Lines of text with their labels before them, as fastText reads them: `__label__billing where is my invoice`."""

from __future__ import annotations

import re
from pathlib import Path

from whichway.errors import DataError
from whichway.tasks.encodings import text_of
from whichway.tasks.readers._contents import Contents, RawRow
from whichway.tasks.table import BadRows, ReadOptions

EXTENSIONS = (".txt", ".ft")
_LINE = re.compile(r"((?:__label__\S+[\s,]+)+)(.*)", re.DOTALL)


def read(path: Path, options: ReadOptions, bad: BadRows) -> Contents:
    """The rows of a file of labelled lines.

    Raises:
        DataError: it is empty, another kind of text, or a line has no label; names the line.
    """
    decoded = text_of(path, options.encoding)
    lines = [(n, line.strip()) for n, line in enumerate(decoded.text.split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: the file is empty.")
    if not lines[0][1].startswith("__label__"):
        raise DataError(
            f"{path}: '{path.suffix.lower()}' is plain text: name it .csv or .tsv if it holds a table, .jsonl if its "
            "lines are JSON. Lines that begin with __label__ (fastText) are read."
        )
    rows = []
    for number, line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            bad.refuse(f"{path.name}:{number}", f"{path}:{number}: a line without a label or without a text.")
            continue
        labels = [word.rstrip(",").removeprefix("__label__") for word in match[1].split()]
        rows.append(RawRow(number, {"text": match[2], "label": labels[0] if len(labels) == 1 else labels}))
    return Contents(rows, (*decoded.notes, "lines with __label__ before them (fastText)."), decoded.warnings)
