"""Counts with their noun: "1 row", "3 rows"."""

from __future__ import annotations


def plural(count: int, one: str, many: str = "") -> str:
    """A count and what is counted, as one or as many.

    Args:
        count: how many.
        one: the words for one of them, such as "row is".
        many: those for several; "": the same with an s.
    """
    return f"{count} {one if count == 1 else many or f'{one}s'}"
