"""Small tables of our own, and a quick way to read them as a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from whichway import tasks
from whichway.tasks import Examined

_WORDS = """
apple bridge cloud desert engine forest garden harbour island jungle kettle ladder mirror needle orange
pepper quartz river shadow tunnel umbrella violin window yellow zebra anchor basket candle dragon eagle
"""
NAMES = _WORDS.split()
TEAMS = ("billing", "technical", "sales")
ROWS = [(f"the {w} {w[::-1]} is {n * 7919} wrong", TEAMS[n % 3]) for n, w in enumerate(NAMES * 2)]


def lines(form: str, rows: list[tuple[str, str]] = ROWS, header: str = "", end: str = "\n") -> str:
    """Rows in a form such as "{},{}" below a header."""
    return end.join([*([header] if header else []), *(form.format(*row) for row in rows)]) + end


def jsonl(rows: list[dict[str, Any]]) -> str:
    """JSON lines."""
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def examine(folder: Path, name: str, content: str | bytes, **flags: Any) -> Examined:
    """Write a file and read it as a task."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return tasks.examine(tasks.from_flags(data=folder / name, **flags))


def examples(found: Examined) -> list[Any]:
    """The examples of a task, as its file orders them."""
    every = (*found.task.train, *found.task.dev, *found.task.test)
    return sorted(every, key=lambda e: int(e.origin.rpartition(":")[2]))


def pairs(found: Examined) -> list[tuple[str, str]]:
    """Input and target of each row, in order of content."""
    return sorted((e.text, e.target) for e in examples(found))


def told(found: Examined) -> str:
    """Notes and warnings."""
    return "\n".join((*found.findings.notes, *found.findings.warnings))
