"""Amounts as people write them: `2000/day`, `tune_lora=3.50`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from whichway.errors import OptionError

PER_DAY = {
    "second": 86400.0,
    "minute": 1440.0,
    "hour": 24.0,
    "day": 1.0,
    "week": 1 / 7,
    "month": 12 / 365,
    "year": 1 / 365,
}
SHORT = {"s": "second", "min": "minute", "h": "hour", "d": "day"}
MONTH = 365 / 12  # days


def per_day(text: str) -> float:
    """Requests a day from `2000`, `2000/day`, `60000/month`, `1.5/s`.

    Raises:
        OptionError: not of that form.
    """
    match = re.fullmatch(r"([\d_.,]+)(?:\s*(?:/|per|a)\s*([a-z]+))?", text.strip().lower())
    unit = (match[2] or "day") if match else ""
    unit = SHORT.get(unit, unit.removesuffix("s") if unit not in PER_DAY else unit)
    try:
        number = float(match[1].replace(",", "").replace("_", "")) if match else -1.0
    except ValueError:
        number = -1.0
    if number <= 0 or unit not in PER_DAY:
        raise OptionError(f"--volume {text}: write it as 2000/day, 60000/month or 1.5/s.")
    return number * PER_DAY[unit]


def by_way(flag: str, words: Sequence[str], ways: Sequence[str]) -> dict[str, str]:
    """`WAY=VALUE` words as a mapping.

    Raises:
        OptionError: not of that form, or a way that the run does not have.
    """
    from whichway.errors import did_you_mean

    values = {}
    for word in words:
        way, equals, value = word.partition("=")
        if not equals or not value:
            raise OptionError(f"{flag} {word}: write it as WAY=VALUE.")
        if way not in ways:
            raise OptionError(f"{flag} {word}: the run has no way '{way}'.{did_you_mean(way, ways)}")
        values[way] = value
    return values


def amounts(flag: str, words: Sequence[str], ways: Sequence[str]) -> dict[str, float]:
    """`WAY=NUMBER` words as a mapping.

    Raises:
        OptionError: not of that form.
    """
    numbers = {}
    for way, value in by_way(flag, words, ways).items():
        try:
            numbers[way] = float(value.lstrip("$"))
        except ValueError:
            raise OptionError(f"{flag} {way}={value}: '{value}' is no number.") from None
    return numbers
