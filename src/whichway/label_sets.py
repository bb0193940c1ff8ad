"""A set of labels as one text, and back: how the labels of a row that may have several are written and read."""

from __future__ import annotations

from collections.abc import Sequence

NONE = "none"  # what a row without labels is spelled as


def separator(labels: Sequence[str]) -> str:
    """What stands between labels of one row: a comma, or a semicolon where a label holds a comma."""
    return "; " if any("," in label for label in labels) else ", "


def spelled(row: Sequence[str], labels: Sequence[str]) -> str:
    """The labels of a row as one text.

    Args:
        row: its labels, in the order in which they are written.
        labels: all that there are.
    """
    return separator(labels).join(row) or NONE


def parsed(text: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels in a text that `spelled` wrote."""
    if text == NONE and NONE not in labels:
        return ()
    return tuple(part for part in text.split(separator(labels)) if part)
