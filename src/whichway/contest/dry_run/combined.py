"""What an estimate says of ways that are made of others: made-up answers do not tell which parts they will have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def about_combined(reasons: Mapping[str, str]) -> Iterator[str]:
    """Lines for the reader of an estimate.

    Args:
        reasons: each such way -> why it failed in the dry run; "" where it did not.
    """
    for name, reason in reasons.items():
        yield f"{name}: its line is what it takes besides its parts, which have lines of their own."
        if reason:
            yield f"{name} may fail: {reason}. So it is with made-up answers; who is best on dev is not known yet."
