"""Small data and a quick way to call the command line from tests."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

from whichway.cli import main

TEAMS = {
    "billing": ("charged twice", "refund my card", "the invoice is wrong"),
    "delivery": ("parcel late", "where is my package", "courier lost it"),
    "account": ("cannot log in", "reset password", "change email"),
}
WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
QUICK = ("--model", "fake", "--no-progress")
TWO_WAYS = ("--ways", "base_majority,prompt_plain")


def rows(count: int = 72) -> list[tuple[str, str]]:
    """Rows that differ enough not to be near-duplicates."""
    pairs = itertools.permutations(WORDS, 3)
    asked = [(text, team) for team, texts in TEAMS.items() for text in texts]
    return [(f"{' '.join(next(pairs))} {text} {' '.join(next(pairs))}", team) for text, team in (asked * count)[:count]]


def tickets(folder: Path, count: int = 72) -> Path:
    """A CSV file with `text` and `team`."""
    return table(folder / "tickets.csv", [("text", "team"), *rows(count)])


def table(path: Path, lines: list[tuple[str, ...]]) -> Path:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(lines)
    return path


def whichway(*words: object) -> int:
    """Run a command in this process; its exit code."""
    return main([str(word) for word in words])
