"""Exports of annotation tools as plain rows: Label Studio, Argilla, Prodigy.

Each wraps a row's text and what annotators chose in a layout of its own. What cannot be a wanted answer (spans, boxes,
binary answers that say only what a text is not) is refused by name; tasks without an annotation are left out, and told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from whichway.errors import DataError
from whichway.plurals import plural
from whichway.tasks.readers import Contents, RawRow

_VALUES = ("choices", "text", "taxonomy", "rating", "number")  # of Label Studio, that can be a wanted answer
_TAKEN = ("submitted", "completed")  # states of an Argilla response


def unwrapped(contents: Contents, path: Path) -> Contents:
    """The rows of an export with text and annotation as columns; other contents as they are.

    Args:
        contents: what a reader found.
        path: of the file, for messages.

    Raises:
        DataError: annotations that are no answers.
    """
    if not contents.rows:
        return contents
    for tool, fits, row_of in _TOOLS:
        if all(fits(row.fields) for row in contents.rows):
            rows = []
            several = 0
            for row in contents.rows:
                fields, more = row_of(row.fields, f"{row.path or path}:{row.line}")
                if fields is not None:
                    rows.append(RawRow(row.line, fields, row.split, row.path))
                several += more
            left = len(contents.rows) - len(rows)
            notes = [f"an export of {tool}: texts and annotations are read as columns."]
            notes += [f"{plural(left, 'row')} without an annotation: left out."] if left else []
            notes += (
                [f"{plural(several, 'row has', 'rows have')} several annotations: the first is read."]
                if several
                else []
            )
            return replace(contents, rows=rows, notes=(*contents.notes, *notes))
    return contents


Fields = tuple[dict[str, Any] | None, bool]  # None: without an annotation; whether there are several


def _is_label_studio(fields: Mapping[str, Any]) -> bool:
    return isinstance(fields.get("data"), Mapping) and isinstance(fields.get("annotations"), list)


def _label_studio(fields: Mapping[str, Any], where: str) -> Fields:
    """`data` with the texts, `annotations` with results, each named after its control."""
    done = [
        one["result"]
        for one in fields["annotations"]
        if isinstance(one, Mapping) and one.get("result") and not one.get("was_cancelled")
    ]
    if not done:
        return None, False
    row = dict(fields["data"])
    for part in done[0]:
        value = part.get("value") if isinstance(part, Mapping) else None
        kind = next((name for name in _VALUES if isinstance(value, Mapping) and name in value), None)
        if kind is None or value is None or "start" in value:
            raise DataError(
                f"{where}: the annotation is of type '{part.get('type', '?')}', a part of the text or an area. Labels "
                "of whole texts are read (choices, ratings, written text)."
            )
        row[str(part.get("from_name", "label"))] = _single(value[kind])
    return row, len(done) > 1


def _single(value: Any) -> Any:
    """A list of one as its value; a path of a taxonomy as text."""
    if isinstance(value, list) and value and all(isinstance(path, list) for path in value):
        value = [" / ".join(map(str, path)) for path in value]
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _is_argilla(fields: Mapping[str, Any]) -> bool:
    return isinstance(fields.get("fields"), Mapping) and isinstance(fields.get("responses"), Mapping)


def _argilla(fields: Mapping[str, Any], where: str) -> Fields:
    """`fields` with the texts, `responses` by question."""
    row = dict(fields["fields"])
    several = answered = False
    for question, responses in fields["responses"].items():
        taken = [
            one.get("value")
            for one in responses or ()
            if isinstance(one, Mapping) and one.get("status", "submitted") in _TAKEN
        ]
        if taken:
            row[question if question not in row else f"{question} (answer)"] = _single(taken[0])
            several, answered = several or len(taken) > 1, True
    return (row, several) if answered else (None, False)


def _is_prodigy(fields: Mapping[str, Any]) -> bool:
    return "_task_hash" in fields and "answer" in fields


def _prodigy(fields: Mapping[str, Any], where: str) -> Fields:
    """`text` with the accepted options, or with the one label that was accepted."""
    if fields.get("spans"):
        raise DataError(f"{where}: the annotation marks parts of the text (spans). Labels of whole texts are read.")
    if "accept" not in fields and fields["answer"] == "reject":
        raise DataError(
            f"{where}: the label '{fields.get('label', '')}' was rejected for this text, and the right one is not "
            "said. Keep the accepted rows, or write yes and no as the label."
        )
    if fields["answer"] != "accept":
        return None, False
    rest = {k: v for k, v in fields.items() if k[:1] != "_" and k not in ("answer", "accept", "options", "config")}
    return ({**rest, "label": _single(fields["accept"])} if "accept" in fields else rest), False


_TOOLS: tuple[tuple[str, Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any], str], Fields]], ...] = (
    ("Label Studio", _is_label_studio, _label_studio),
    ("Argilla", _is_argilla, _argilla),
    ("Prodigy", _is_prodigy, _prodigy),
)
