"""Several labels in one target: lists, or texts with a separator; read as a set, spelled in one order."""

from __future__ import annotations

import ast
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from whichway.errors import DataError
from whichway.label_sets import NONE, separator, spelled
from whichway.tasks.metrics._text import plain

__all__ = ["NONE", "Several", "as_lists", "detect", "named", "separator"]

SEPARATORS = (";", "|", ",", "/")
SURE = (";", "|")  # others stand inside single labels as well, and need a label that stands alone elsewhere
LONGEST = 60
_CHOICES = '{"choices"'  # how Label Studio writes several labels into a table
MOST = 1000


@dataclass(frozen=True, slots=True)
class Several:
    """Targets as sets of labels."""

    labels: tuple[str, ...]  # sorted
    rows: tuple[tuple[str, ...], ...]  # of each target, in the labels' order, each once
    how: str  # "lists", "';'"
    sure: bool  # clearly several labels; else a question

    def spelled(self) -> list[str]:
        """The targets in one spelling: labels in one order with one separator."""
        return [spelled(row, self.labels) for row in self.rows]


def detect(targets: Sequence[str], where: str = "", column: str = "") -> Several | None:
    """Targets as sets of labels, where they look like it.

    Raises:
        DataError: they are vectors of zeros and ones, whose labels nobody can know.
    """
    _refuse_spans(targets, where, column)
    lists = as_lists(targets)
    if lists is not None:
        return _of_lists(lists, where, column)
    options = [one for mark in SEPARATORS if (one := _split(targets, mark)) is not None]
    return next((one for one in options if one.sure), options[0] if options else None)


def _refuse_spans(targets: Sequence[str], where: str, column: str) -> None:
    """Refuse marks of parts of a text: [[0, 5, "PERSON"], ...]."""
    spans = [text for text in targets if text.startswith("[[")]
    if spans and all(text.startswith("[[") or text == "[]" for text in targets):
        parts = _value(spans[0])
        first = parts[0] if isinstance(parts, list) and parts else None
        if isinstance(first, list) and len(first) == 3 and all(isinstance(place, int) for place in first[:2]):
            raise DataError(
                f"{where}: column '{column}' marks parts of the text ({spans[0][:40]}). Labels of whole texts are "
                "learned here; write what is wanted as text or as a JSON object."
            )


def _value(text: str) -> Any:
    """What a text holds, in JSON or as Python prints it; None where it is neither."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None


def named(targets: Sequence[str], labels: Sequence[str] | None) -> Several:
    """Targets as sets of labels because the user says so.

    Args:
        targets: to read.
        labels: the allowed ones, if the user lists them.

    Raises:
        DataError: no way to divide them gives these labels.
    """
    lists = as_lists(targets)
    if lists is not None:
        return _several(lists, "lists", True)
    known = {plain(label) for label in labels or ()}
    parts = {mark: [_parts(text, mark) for text in targets] for mark in SEPARATORS}
    if known:
        for mark, rows in parts.items():
            if all(plain(part) in known for row in rows for part in row):
                return _several(rows, f"'{mark}'", True)
        raise DataError("target_type: multi_label: the targets cannot be divided into the labels that you list.")
    several = {mark: sum(len(row) > 1 for row in rows) for mark, rows in parts.items()}
    mark = max(SEPARATORS, key=lambda m: several[m])
    return _several(parts[mark], f"'{mark}'", True)


def as_lists(targets: Sequence[str]) -> list[list[Any]] | None:
    """Targets that are written as lists, in JSON or as Python prints them; None where there are none, or one is broken.

    A text beside lists is a list of one.
    """
    if not any((text.startswith("[") and text.endswith("]")) or text.startswith(_CHOICES) for text in targets):
        return None
    rows: list[list[Any]] = []
    for text in targets:
        if not text.startswith(("[", _CHOICES)):
            rows.append([text])
            continue
        value = _value(text)
        if isinstance(value, dict) and list(value) == ["choices"]:
            value = value["choices"]
        if not isinstance(value, list) or not all(isinstance(part, str | int | float | bool) for part in value):
            return None
        rows.append(value)
    return rows


def _of_lists(rows: Sequence[Sequence[Any]], where: str, column: str) -> Several | None:
    sizes = {len(row) for row in rows}
    if len(sizes) == 1 and sizes != {1} and all(part in (0, 1) for row in rows for part in row):
        raise DataError(
            f"{where}: column '{column}' holds vectors of zeros and ones. Write the labels' names in their place, "
            'such as ["urgent", "billing"].'
        )
    several = _several(rows, "lists", True)
    total = sum(len(row) for row in several.rows)
    few = len(several.labels) <= MOST and total >= 3 * len(several.labels)
    return several if few and all(len(label) <= LONGEST for label in several.labels) else None


def _split(targets: Sequence[str], mark: str) -> Several | None:
    """Targets divided at a separator, where the parts repeat as labels do; `sure` where nothing else explains it."""
    spelled = Counter(targets)
    if not any(mark in text for text in spelled):
        return None
    divided = {text: _parts(text, mark) for text in spelled}
    rows = list(divided.values())
    many = [row for row in rows if len(row) > 1]
    if not many or any(not part for row in rows for part in row):
        return None
    parts: Counter[str] = Counter()
    within: dict[str, set[tuple[str, ...]]] = defaultdict(set)  # label -> the sets in which it stands
    for text, row in divided.items():
        kinds = tuple(plain(part) for part in row)
        for kind in kinds:
            parts[kind] += spelled[text]
            within[kind].add(kinds)
    if mark not in SURE and all(part.replace(".", "").isdigit() for part in parts):  # dates, fractions, numbers
        return None
    if len(parts) > MOST or sum(parts.values()) < 3 * len(parts) or max(map(len, parts)) > LONGEST:
        return None
    involved = {plain(part) for row in many for part in row}
    shared = sum(len(within[part]) > 1 for part in involved) / len(involved)
    alone = {plain(row[0]) for row in rows if len(row) == 1}
    orders = Counter(frozenset(kinds) for kinds in {tuple(plain(p) for p in row) for row in many})
    reordered = any(count > 1 for count in orders.values())
    ended = all(text.rstrip().endswith(mark) for text in spelled)  # as forms write each choice: "a;b;"
    if shared < 0.8 and not reordered and not ended:
        return None
    sure = ended or (shared >= 0.8 and (reordered or mark in SURE or len(involved & alone) >= len(involved) / 2))
    return _several([divided[text] for text in targets], f"'{mark}'", sure)


def _parts(text: str, mark: str) -> list[str]:
    return [part.strip() for part in text.strip().strip(mark).split(mark)] if text.strip() else []


def _several(rows: Sequence[Sequence[Any]], how: str, sure: bool) -> Several:
    """Rows with the most frequent spelling of each label."""
    texts = [[part if isinstance(part, str) else json.dumps(part) for part in row] for row in rows]
    texts = [[part.strip() for part in row if part.strip()] for row in texts]
    counts = Counter(part for row in texts for part in row)
    by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    spelling: dict[str, str] = {}
    for part, _ in by_count:
        spelling.setdefault(plain(part), part)
    labels = tuple(sorted(spelling.values()))
    place = {label: n for n, label in enumerate(labels)}
    ordered = (sorted({spelling[plain(part)] for part in row}, key=place.__getitem__) for row in texts)
    return Several(labels, tuple(tuple(row) for row in ordered), how, sure)
