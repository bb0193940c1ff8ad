"""The labelled rows as a file of the user's own columns, with the label and how the row came to have it.

`split` says how `whichway run` may use a row: "any" for rows drawn at random, which may test, and "train" for rows that
were chosen or had their label before, of which nobody knows how they were drawn.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from whichway.app.grading_sheet import inert
from whichway.app.labelling.label_journal import LabelEntry
from whichway.app.labelling.label_pool import PROVENANCE, LabelPool, PoolRow
from whichway.errors import DiskError, OptionError

FORMATS = (".csv", ".tsv", ".jsonl")


def usual_place(data: Path) -> Path:
    """Where the labelled rows of a data file go unless the user says otherwise."""
    ending = data.suffix.lower() if data.suffix.lower() in FORMATS else ".jsonl"
    return data.with_name(f"{data.name.split('.')[0]}-labelled{ending}")


def refuse_format(out: Path) -> None:
    """Refuse a file that cannot be written.

    Raises:
        OptionError: of another format.
    """
    if out.suffix.lower() not in FORMATS:
        raise OptionError(f"--out {out}: name a file that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")


def write_labelled(pool: LabelPool, latest: Mapping[str, LabelEntry], out: Path) -> int:
    """Write the labelled rows in the order of their file, whole or not at all.

    Args:
        pool: all rows.
        latest: the last entry of each row that has one.
        out: .csv, .tsv or .jsonl. In the first two a cell that a spreadsheet would compute gets an apostrophe.

    Returns:
        The rows written.

    Raises:
        DiskError: it cannot be written.
    """
    lines = [line for _, line in sorted(_lines(pool, latest), key=lambda pair: pair[0])]
    temporary = out.with_name(f".{out.name}.part")
    try:
        with temporary.open("w", encoding="utf-8" if out.suffix == ".jsonl" else "utf-8-sig", newline="") as file:
            file.write(_as_text(pool, lines, out.suffix.lower()))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(out)
    except OSError as error:
        raise DiskError(f"{out} cannot be written ({error.strerror}). The labels are in its journal.") from error
    return len(lines)


def _lines(pool: LabelPool, latest: Mapping[str, LabelEntry]) -> Iterator[tuple[int, dict[str, Any]]]:
    for row in pool.rows:
        entry = latest.get(row.key)
        if entry is not None and entry.action == "label":
            extra = _provenance(row, entry)
        elif entry is None and row.label:
            extra = {pool.target: row.label, **dict.fromkeys(PROVENANCE, ""), "split": "train", "selection": "given"}
        else:
            continue
        label = extra.pop(pool.target, None) or (entry.label if entry else row.label)
        for place in row.places:
            yield place, {**pool.values[place], pool.target: label, **extra}


def _provenance(row: PoolRow, entry: LabelEntry) -> dict[str, Any]:
    return dict(
        zip(
            PROVENANCE,
            (
                "any" if row.drawn else "train", "random" if row.drawn else "active", entry.annotator, entry.at,
                entry.suggestion, "" if entry.probability is None else f"{entry.probability:.3f}",
            ),
            strict=True,
        )
    )  # fmt: skip


def _as_text(pool: LabelPool, lines: list[dict[str, Any]], ending: str) -> str:
    from whichway.tasks.text_rows import as_text

    if ending == ".jsonl":
        return "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
    columns = [name for name in pool.columns if name != pool.target] + [pool.target, *PROVENANCE]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t" if ending == ".tsv" else ",")
    writer.writerow([inert(name) for name in columns])
    writer.writerows([inert(as_text(line.get(name))) for name in columns] for line in lines)
    return text.getvalue()
