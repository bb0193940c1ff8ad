"""Opening the books of a run: ledger, records, cache, and how local work is priced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whichway.contest.cache import Cache
from whichway.contest.dry_run.rate_memory import RatesFromRuns, probed_rates
from whichway.contest.executors import executor_of
from whichway.contest.ledger import RunLedger
from whichway.contest.plan import Components, Settings
from whichway.contest.rates import FILE, Pricing, Rates
from whichway.contracts import Listener, SharesBase
from whichway.nouns import Task
from whichway.runs.folder import Lines, plan_of, run_id
from whichway.runs.records import WrittenRecords
from whichway.tasks.folds import all_rows


def pricing_of(folder: Path, cache: Path) -> Pricing | None:
    """How a run prices local work: as it began; None where that was by the clock."""
    by_work = plan_of(folder).get("pricing") == "work"
    return Pricing(Rates(folder / FILE, probed_rates(cache)), RatesFromRuns(cache)) if by_work else None


def share_bases(components: Components, settings: Settings) -> None:
    """Tell the backends of the models under trial how many processes share a base in trainings."""
    for name in {base.backend for base in components.bases}:
        backend = components.backends[name]
        if isinstance(backend, SharesBase):
            backend.shards = settings.shards


@contextmanager
def open_ledger(
    folder: Path, components: Components, settings: Settings, listener: Listener, pricing: Pricing | None = None,
    task: Task | None = None,
) -> Iterator[RunLedger]:  # fmt: skip
    """Open the books of a run, and close them whatever happens; without `pricing` the clock says what things cost."""
    share_bases(components, settings)
    records, ledger = WrittenRecords(Lines(folder / "records.jsonl")), Lines(folder / "ledger.jsonl")
    cache = Cache(settings.cache, network=bool(settings.executor) and executor_of(settings.executor).SHARES_DISK)
    run_ledger = RunLedger(
        folder=folder,
        components=components,
        settings=settings,
        cache=cache,
        paid_by=run_id(folder),
        records=records,
        ledger=ledger,
        listener=listener,
        pricing=pricing or Pricing(None),
        rows=() if task is None else all_rows(task) or (*task.train, *task.dev, *task.test),
    )
    run_ledger.read_ledger()
    try:
        yield run_ledger
    finally:
        records.close()
        ledger.close()
        cache.close()
