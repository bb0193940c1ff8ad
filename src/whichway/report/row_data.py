"""All rows for the page's script, small enough to travel: each text once, answers as numbers, compressed.

The layout, as JSON: `ways` [[name, kind, competes]]; `choice` (its name); `labels`; `binary`; `strings` (each wanted
answer, answer and mark once); `texts`, `origins`, `numbers`, `golds`, `flags`, `lengths`, one entry a row in the order
of the page; `believed` {place of the row: label}; `cells` [[answer, state, score, mean, mark, flips, others]], each
different one once, `others` being [answer, state, times, ...]; `answers`, a list of cells for each way; `columns`
[[name, values, place of each row's value]]; `groups` [[title, numbers of its rows]]. Numbers that stand for texts are
places in `strings`. `flags` adds up FLAGS.

Few rows travel as plain JSON. More are compressed (raw deflate, base64), which the browser undoes by itself
(`DecompressionStream`). Where even that is too large, long texts are cut shorter, and at last the page holds fewer
rows.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from whichway.nouns import Standing
from whichway.report.rows import HALF, LONGEST, STATES, RowView, shorten

FLAGS = ("wrong", "differ", "all wrong", "flips", "doubtful")
PLAIN = 300_000  # characters of JSON up to which nothing is compressed
LARGEST = 3_600_000  # characters that the rows may take on the page
SAMPLE = 1000  # rows by which the size of all is estimated
CUTS = (LONGEST, 1000, 500, 250, 120)  # characters of a text, tried in this order


@dataclass(frozen=True, slots=True)
class RowData:
    """The rows as they stand in the page."""

    text: Markup  # nothing in it can end the element that holds it
    packed: bool  # compressed, in base64
    rows: int
    all_rows: int
    longest: int  # characters from which texts are cut


@dataclass(frozen=True, slots=True)
class RowContext:
    """What the page's script knows beside the rows."""

    standings: Sequence[Standing]  # in the order of each row's answers
    choice: str | None
    labels: Sequence[str] = ()
    binary: bool = True
    columns: Mapping[str, Sequence[str]] | None = None  # name -> value of each row by its number − 1
    groups: Sequence[tuple[str, Sequence[int]]] = ()  # title, numbers of its rows
    key: str = ""  # under which the browser keeps notes


def row_data(lines: Sequence[RowView], context: RowContext) -> RowData:
    """The rows, cut and compressed until they are small enough.

    Args:
        lines: in the order of the page.
        context: ways, labels, columns, groups.
    """
    count = len(lines)
    sample = lines[:: max(1, count // SAMPLE)]  # spares whole attempts at what cannot fit
    for longest in CUTS:
        plain = PLAIN if len(sample) == count else 0  # a part is compressed as all of them will be
        expected = len(_text(sample, context, longest, plain)[0]) * count / max(1, len(sample))
        if expected > 1.5 * LARGEST:
            if longest != CUTS[-1]:
                continue
            count = max(1, int(count * LARGEST / expected))
        text, packed = _text(lines[:count], context, longest)
        if len(text) <= LARGEST:
            return RowData(text, packed, count, len(lines), longest)
    while len(text) > LARGEST and count > 1:
        count = min(count - 1, int(count * 0.95 * LARGEST / len(text)))
        text, packed = _text(lines[:count], context, longest)
    return RowData(text, packed, count, len(lines), longest)


def _text(lines: Sequence[RowView], context: RowContext, longest: int, plain: int = PLAIN) -> tuple[Markup, bool]:
    data = json.dumps(layout(lines, context, longest), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if len(data) > plain:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        raw = deflate.compress(data.encode()) + deflate.flush()
        return Markup(base64.b64encode(raw).decode()), True
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        data = data.replace(character, f"\\u{ord(character):04x}")
    return Markup(data), False


def layout(lines: Sequence[RowView], context: RowContext, longest: int = LONGEST) -> dict[str, Any]:
    """The rows as the module's docstring lays them out, ready for JSON."""
    strings: dict[str, int] = {}
    cells: dict[tuple[Any, ...], int] = {}
    cut: dict[str, str] = {}

    def place(text: str) -> int:
        if len(text) > longest or text != text.strip():
            text = cut.setdefault(text, shorten(text, longest))
        return strings.setdefault(text, len(strings))

    answers: list[list[int]] = [[] for _ in context.standings]
    for line in lines:
        for column, a in zip(answers, line.answers, strict=True):
            others = tuple(x for o in a.others for x in (place(o.text), STATES.index(o.state), o.times))
            cell = (
                place(a.text), STATES.index(a.state), round(a.score, 3), round(a.mean, 3), place(a.mark),
                int(a.flips), others,
            )  # fmt: skip
            column.append(cells.setdefault(cell, len(cells)))
    golds = [place(line.gold) for line in lines]
    return {
        "ways": [[s.way, s.kind, int(s.kind != "baseline" and s.status == "ok")] for s in context.standings],
        "choice": context.choice,
        "labels": list(context.labels),
        "binary": context.binary,
        "half": HALF,
        "key": context.key,
        "numbers": [line.number for line in lines],
        "origins": [line.origin for line in lines],
        "texts": [shorten(line.text, longest) for line in lines],
        "lengths": [line.length for line in lines],
        "golds": golds,
        "flags": [_flags(line) for line in lines],
        "believed": {str(k): line.believed for k, line in enumerate(lines) if line.believed},
        "strings": list(strings),
        "cells": [list(cell) for cell in cells],
        "answers": answers,
        "columns": [
            [name, values, [values.index(cells_of[line.number - 1]) for line in lines]]
            for name, cells_of in sorted((context.columns or {}).items())
            if (values := sorted(set(cells_of)))
        ],
        "groups": [[title, list(numbers)] for title, numbers in context.groups],
    }


def _flags(line: RowView) -> int:
    bits = (line.wrong, line.differ, line.all_wrong, line.flips, bool(line.believed))
    return sum(1 << k for k, bit in enumerate(bits) if bit)
