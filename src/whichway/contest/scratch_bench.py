"""A bench outside a contest: prompts are scored on dev with the contest's ruler, prices and cache; no run folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whichway.contest.bench import HouseBench
from whichway.contest.plan import House, Settings
from whichway.contest.run import open_till
from whichway.contracts import follow_nothing
from whichway.nouns import Task


@contextmanager
def open_booth(task: Task, house: House, settings: Settings, who: str) -> Iterator[HouseBench]:
    """A bench for one caller; its books are thrown away when it closes, its answers stay in the cache.

    Args:
        task: test rows are out of reach, as for a way.
        house: backends, metric, model.
        settings: the cache, the machine's price, the budget.
        who: the caller's name, for messages.
    """
    with tempfile.TemporaryDirectory(prefix="whichway-") as folder, open_till(
        Path(folder), house, settings, follow_nothing
    ) as till:  # fmt: skip
        yield HouseBench(till, who, task.practice())

