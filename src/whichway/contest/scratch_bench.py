"""A bench outside a contest: prompts are scored on dev with the contest's ruler, prices and cache; no run folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whichway.contest.bench import RunBench
from whichway.contest.open_books import open_ledger
from whichway.contest.plan import Components, Settings
from whichway.contest.rates import FILE, Pricing, Rates
from whichway.contracts import follow_nothing
from whichway.nouns import Task


@contextmanager
def scratch_bench(task: Task, components: Components, settings: Settings, account: str) -> Iterator[RunBench]:
    """A bench for one caller; its books are thrown away when it closes, its answers stay in the cache.

    Args:
        task: test rows are out of reach, as for a way.
        components: backends, metric, model.
        settings: the cache, the machine's price, the budget.
        account: the caller's name, for messages.
    """
    with tempfile.TemporaryDirectory(prefix="whichway-") as folder, open_ledger(
        Path(folder), components, settings, follow_nothing, Pricing(Rates(Path(folder) / FILE))
    ) as ledger:  # fmt: skip
        yield RunBench(ledger, account, task.train_dev_view())
