"""What the targets are: labels, several labels a row, numbers, JSON objects or free text; found, or as the user says.

Labels repeat. `REPEATED` of all rows have a target that other rows have as well, and each label stands three times in
the mean. What lies between labels and free text, or between codes and numbers, is a question to the user: to guess
wrongly would measure another task.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from whichway.errors import DataError
from whichway.tasks.metrics import json_fields, numeric
from whichway.tasks.metrics._text import plain

TargetType = Literal["label", "multi_label", "number", "json", "text"]
MOST_LABELS, ROWS_PER_LABEL, LONGEST_LABEL = 100, 3, 60
SURELY_LABELS = 5000  # labels; more are text, however often they repeat
MOST_NUMBER_CLASSES = 20
REPEATED, MAYBE_REPEATED = 0.95, 0.8
NEARLY = 0.9  # share of numbers from which a target that is none is a fault
_CODE = re.compile(r"[A-Za-z]{0,5}[-_.]?\d[\w.\-/]{0,14}|[A-Z][A-Z0-9]{1,8}(?:[-_.][A-Z0-9]+)*")
_WORD_LIKE = re.compile(r"[\w+\-.:/]{1,40}")
CLASS_WORDS = frozenset((
    "label", "labels", "class", "classes", "category", "intent", "intents", "topic", "team", "code", "codes", "tag",
    "type", "department", "sentiment", "icd", "icd9", "icd10", "emotion", "genre", "language", "queue", "status",
))  # fmt: skip
NUMBER_WORDS = frozenset((
    "score", "price", "amount", "rating", "value", "age", "count", "number", "total", "sum", "cost", "salary", "height",
    "temperature", "length", "duration", "minutes", "seconds", "hours", "days", "percent", "quantity", "weight", "year",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counts:
    """How targets repeat."""

    rows: int
    distinct: int
    repeated: float  # share of rows whose target stands in another row as well

    @classmethod
    def of(cls, targets: Sequence[str]) -> Counts:
        """The counts of targets; spellings that differ in case or punctuation are one."""
        spelled = Counter(targets)
        counts: Counter[str] = Counter()
        for text, count in spelled.items():
            counts[plain(text)] += count
        return cls(len(targets), len(counts), sum(c for c in counts.values() if c > 1) / max(1, len(targets)))

    @property
    def often(self) -> bool:
        """Whether a target stands three times in the mean."""
        return self.rows >= ROWS_PER_LABEL * self.distinct


def found_type(targets: Sequence[str], column: str, where: str) -> TargetType:
    """What targets are, by themselves and by the name of their column.

    Args:
        targets: without surrounding white space, none empty.
        column: their column.
        where: the file, for the message.

    Raises:
        DataError: they could be of several types; says which flag settles it.
    """
    distinct = set(targets)
    if all(is_object(text) for text in distinct):
        return "json"
    if any("\n" in text for text in distinct):
        return "text"
    counts = Counts.of(targets)
    if all(is_number(text) for text in distinct):
        return _of_numbers(distinct, counts, column, where)
    if not _short(targets):
        return "text"
    if counts.often and (counts.distinct <= MOST_LABELS or counts.repeated >= REPEATED):
        return "label" if counts.distinct <= SURELY_LABELS else "text"
    unit = with_unit([*distinct])
    if unit:
        raise DataError(
            f"{where}: column '{column}' holds numbers with a unit ({targets[0]}). Are they numbers (--target-type "
            "number: the number alone counts) or free text (--target-type text)? In a task file: target_type: number."
        )
    if _maybe_labels(distinct, counts) and not are_dates(targets):
        raise _question(counts, column, where, ("label", "text"))
    return "text"


def are_dates(targets: Sequence[str]) -> bool:
    """Whether every target is a date or a time of day: a part of one that is right is worth nothing."""
    return bool(targets) and all(_DATE.fullmatch(text) for text in targets)


def is_object(text: str) -> bool:
    """Whether a target is a JSON object, in a code fence or not."""
    bare = unfenced(text)
    return bare.startswith("{") and json_fields.parse(bare) is not None


def unfenced(text: str) -> str:
    """A text without the code fence around it."""
    match = re.fullmatch(r"\s*(```+|~~~+)[ \t]*[\w-]*[ \t]*\n(.*?)\n?[ \t]*\1\s*", text, re.DOTALL)
    return match[2].strip() if match else text


def is_number(text: str) -> bool:
    """Whether a text is one number, with a decimal point or a decimal comma."""
    return numeric.is_number(text) or DECIMAL_COMMA.fullmatch(text) is not None


DECIMAL_COMMA = re.compile(r"[-+−]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+")
_POINTS = re.compile(r"[-+−]?[1-9]\d{0,2}(?:\.\d{3})+")
_UNIT = re.compile(r"([^\w\s.,+−-]|[A-Z]{3}(?= ))? ?[-+−]?\d[\d.,]* ?([^\w\s.,]|(?<= )[A-Za-z]{1,3}|[a-z]{1,3})?")
_DATE = re.compile(
    r"\d{1,2}:\d{2}(?::\d{2})?|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2}.*)?"
    r"|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})"
)
# 007 is a code, and so is what is longer than the digits of a float: its neighbours would count as equal
_CODED = re.compile(r"0\d+|\d{16,}")
_GROUPS = re.compile(r"(?<=\d)[ \u00a0\u2009\u202f'’](?=\d{3}(?!\d))")
_ACCOUNTED = re.compile(r"\(\d[\d.,]*\)")
_THOUSANDS = re.compile(r"[-+−]?[1-9]\d{0,2}(?:,\d{3})+")


def with_point(targets: Sequence[str]) -> list[str] | None:
    """Numbers with a decimal comma as numbers with a point; None where no comma is one."""
    commas = [text for text in targets if "," in text]
    if not commas or not all(DECIMAL_COMMA.fullmatch(text) for text in commas):
        return None
    if all(_THOUSANDS.fullmatch(text) for text in commas):  # 1,500 is one thousand five hundred in most files
        return None
    if any("." in text for text in targets if "," not in text):  # both marks are in use: commas divide thousands
        return None
    return [text.replace(".", "").replace(",", ".") if "," in text else text for text in targets]


def ungrouped(targets: Sequence[str]) -> list[str] | None:
    """Numbers without the blanks or apostrophes that divide thousands, negative ones in parentheses with a minus.

    None where that changes nothing, or where something else than numbers remains.
    """
    plain = [_GROUPS.sub("", text) for text in targets]
    plain = [f"-{text[1:-1]}" if _ACCOUNTED.fullmatch(text) else text for text in plain]
    return plain if plain != list(targets) and all(map(is_number, plain)) else None


def nearly_numbers(targets: Sequence[str]) -> bool:
    """Whether nearly all targets, but not all, are numbers, and none is a code."""
    numbers = sum(map(is_number, targets))
    many = NEARLY * len(targets) <= numbers < len(targets) and len(targets) > MOST_NUMBER_CLASSES
    return many and not any(map(_CODED.fullmatch, targets))


def no_numbers(targets: Sequence[str], by_user: bool) -> dict[int, str]:
    """Places of targets among numbers that cannot be read as one, and what is wrong with each.

    Where nearly all are numbers a word for a missing value stands among them; where some have a decimal point, a comma
    that divides no thousands is a decimal comma.

    Args:
        targets: to read.
        by_user: whether the user says that they are numbers; then one may stand in words ("about 5").
    """
    pointed = any("." in text and "," not in text for text in targets)
    wrong: dict[int, str] = {}
    for place, text in enumerate(targets):
        if numeric.number(text) is None if by_user else not is_number(text):
            wrong[place] = f"the target '{text[:60]}' is no number, as nearly all others are"
        elif pointed and DECIMAL_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text) and "." not in text:
            wrong[place] = f"the target '{text}' has a decimal comma, and others have a decimal point"
    return wrong if len(wrong) < len(targets) else {}


def thousands(targets: Sequence[str]) -> tuple[str, ...]:
    """A warning about numbers whose points may divide thousands: 1.500 is read as one and a half."""
    points = [text for text in targets if "." in text]
    if not points or any("," in text for text in targets) or not all(_POINTS.fullmatch(text) for text in points):
        return ()
    return (
        f"numbers such as {points[0]} are read with a decimal point. If the point divides thousands, take it out of "
        "the data.",
    )


def with_unit(targets: Sequence[str]) -> str:
    """The unit or currency that stands at every number ("%", "$"); "" where none does."""
    units = {(match[1] or match[2]) if (match := _UNIT.fullmatch(text)) else "" for text in targets}
    return units.pop() if len(units) == 1 else ""


def _short(targets: Sequence[str]) -> bool:
    """Whether every target is short, or long and repeated so often that it is a label all the same."""
    long = Counter(text for text in targets if len(text) > LONGEST_LABEL)
    return all(count >= ROWS_PER_LABEL for count in long.values())


def _of_numbers(distinct: set[str], counts: Counts, column: str, where: str) -> TargetType:
    words = set(re.split(r"[\W_]+", column.casefold()))
    coded = any(map(_CODED.fullmatch, distinct))
    if counts.often and (counts.distinct <= MOST_NUMBER_CLASSES or class_codes({plain(text) for text in distinct})):
        return "label"
    repeated = counts.often and counts.repeated >= REPEATED
    if coded:
        if repeated and counts.distinct <= SURELY_LABELS:
            return "label"
        if counts.repeated >= 0.5:
            raise _question(counts, column, where, ("label", "text", "number"))
        return "text"
    if not repeated or words & NUMBER_WORDS:
        return "number"
    if words & CLASS_WORDS:
        return "label"
    raise _question(counts, column, where, ("label", "number"))


def class_codes(distinct: set[str]) -> bool:
    """Whether numbers count up from 0 or 1, as class codes do."""
    whole = sorted(int(text) for text in distinct if text.isdecimal())
    return len(whole) == len(distinct) and whole[0] in (0, 1) and whole[-1] - whole[0] == len(whole) - 1


def _maybe_labels(distinct: set[str], counts: Counts) -> bool:
    """Whether targets that repeat too little to be sure of could be labels all the same."""
    if counts.distinct < 2 or counts.distinct > SURELY_LABELS:
        return False
    if all(_CODE.fullmatch(text) for text in distinct):
        return counts.repeated >= 0.5
    if all(_WORD_LIKE.fullmatch(text) and re.search(r"[_\-.:/]|[a-z][A-Z]", text) for text in distinct):  # identifiers
        return counts.repeated >= 0.5
    return counts.often and counts.repeated >= MAYBE_REPEATED


_WORDS = {"label": "labels", "multi_label": "several labels a row", "number": "numbers", "json": "JSON objects",
          "text": "free text"}  # fmt: skip


def _question(counts: Counts, column: str, where: str, types: Sequence[TargetType]) -> DataError:
    choices = " or ".join(f"{_WORDS[kind]} (--target-type {kind})" for kind in types)
    return DataError(
        f"{where}: column '{column}' holds {counts.distinct} different answers in {counts.rows} rows. "
        f"Are they {choices}? In a task file: target_type: {types[0]}."
    )
