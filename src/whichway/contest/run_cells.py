"""A contest spread over processes: its cells are worked on by an executor before the contest itself runs.

The contest then finds their answers and trainings in the cache. What a cell left undone, because it failed twice or
was killed, the contest does itself: an executor can make a run faster, never different.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.contest.cell import Cell, is_done, keep_task, read_books, read_purchases, settings_json, write_cell
from whichway.contest.executors import Capacity, CellJob, executor_of
from whichway.contest.ledger import LOST, Charge, RunLedger, TrainingFailure
from whichway.contest.plan import Components, Settings
from whichway.contracts import OneProcess, combines
from whichway.errors import OptionError
from whichway.events import CellEnded, WarningGiven
from whichway.nouns import Budget, Task, digest, split_name
from whichway.runs.folder import read_estimate
from whichway.runs.key_index import KeySet

UNUSED = "unused"  # the ledger's word for what cells paid and the contest did not need
CELLS_ACCOUNT = "cells"
FAILED = "/failed"  # end of the key of a failed training
TRIES = 2


@dataclass(slots=True)
class CellPurchases:
    """The cells of one contest, whose files say what they paid."""

    files: Sequence[Path] = ()

    def close(self, ledger: RunLedger) -> None:
        """Book what cells paid and the contest did not need: rows that the race across ways would have saved."""
        unused: dict[str, tuple[float, float]] = {}
        for file in self.files:
            paid = _paid(file)
            unused |= {key: paid[key] for key in ledger.paid.missing(list(paid))}
        if not unused:
            return
        key = digest([UNUSED, sorted(unused)], 32)
        charges = [Charge(name, seconds, ledger.paid_by, usd) for name, (seconds, usd) in unused.items()]
        ledger.charge(CELLS_ACCOUNT, UNUSED, key, charges)


def refuse_executor(settings: Settings, components: Components) -> None:
    """Refuse an executor that is not known, or that does not fit the run.

    Raises:
        OptionError: with what to do instead.
    """
    if not settings.executor:
        return
    executor_of(settings.executor)
    if settings.minutes is not None:
        raise OptionError(
            f"--executor {settings.executor} does not go with --minutes: a contest against the clock chooses each "
            "piece of work by what came out before. Leave one of them out."
        )
    for base in components.bases:
        if isinstance(components.backends[base.backend], OneProcess):
            raise OptionError(
                f"--executor {settings.executor} does not go with {base.base}: each process would start a server of "
                "its own. Leave --executor out, or start one server by hand and name it: NAME@http://host/v1."
            )


def run_cells(task: Task, ledger: RunLedger) -> CellPurchases:
    """Let an executor work on the cells of a contest, and take over what they booked.

    Raises:
        OptionError: the components cannot be built in another process.
    """
    settings, cache = ledger.settings, ledger.settings.cache
    if not settings.executor or (ledger.folder / "verdict.json").exists():
        return CellPurchases()
    if not ledger.components.builder:
        raise OptionError(
            f"--executor {settings.executor}: this contest was put together in Python and cannot be built in another "
            "process. Name data, model and ways as the command line does."
        )
    cells = list(cells_of(task, ledger))
    jobs = [_job(cell, ledger) for cell in cells]
    before = {job.file for job in jobs if is_done(job.file)}
    capacity = Capacity(settings.workers, settings.ray_address, cache / "cells")
    executor = executor_of(settings.executor)
    for attempt in range(TRIES):
        left = [job for job in jobs if not is_done(job.file)]
        if left:
            executor.execute(left, capacity, _teller(ledger, len(jobs), len(jobs) - len(left)))
        failed = [job for job in jobs if not is_done(job.file)]
        if failed and attempt + 1 == TRIES:
            ledger.tell(WarningGiven(_failures(failed, len(jobs))))
    return _taken_over([job.file for job in jobs], before, ledger)


def _failures(failed: Sequence[CellJob], of: int) -> str:
    """What a user reads of cells that did not work."""
    first = failed[0]
    return (
        f"{len(failed)} of {of} cells failed twice (first {first.title}, see {first.log}); the contest does their work "
        "itself"
    )


def _teller(ledger: RunLedger, of: int, done: int) -> Callable[[CellJob], None]:
    """Tells of each cell that has ended."""
    count = done

    def tell(job: CellJob) -> None:
        nonlocal count
        count += is_done(job.file)
        ledger.tell(CellEnded(job.title, is_done(job.file), count, of))

    return tell


def cells_of(task: Task, ledger: RunLedger) -> Iterator[Cell]:
    """The cells of a contest, the dearest ways first, so that no long one is left for the end.

    A way has a cell for each fold; where its budget has a limit, one for all folds, because what it may spend in a fold
    depends on the folds before. On a single split it has one for all seeds: the later ones train at the rate that the
    first one found. Ways that are made of other ways' finalists have none; the contest works on them itself.
    """
    settings = ledger.settings
    shared = {
        "task": keep_task(task, settings.cache), "settings": settings_json(settings), "run": ledger.paid_by,
        "builder": ledger.components.builder,
    }  # fmt: skip
    estimates = read_estimate(ledger.folder).get("ways", {})
    names = [name for name in settings.ways if not combines(ledger.components.ways[split_name(name)[0]])]
    for name in sorted(names, key=lambda name: -estimates.get(name, {}).get("seconds", 0.0)):
        if not task.folds:
            yield Cell(name, **shared)
        elif settings.budget == Budget():
            yield from (Cell(name, folds=(fold,), **shared) for fold in range(len(task.folds)))
        else:
            yield Cell(name, folds=tuple(range(len(task.folds))), **shared)
        for seed in settings.seeds if settings.curve else ():
            sizes = [size for size in settings.curve if size < len(task.train)]
            yield from (Cell(name, size=size, seed=seed, **shared) for size in sizes)


def _job(cell: Cell, ledger: RunLedger) -> CellJob:
    """A cell with its file written; its memory is what the estimate says of its way."""
    facts: Mapping[str, Any] = read_estimate(ledger.folder).get("ways", {}).get(cell.way, {})
    components = ledger.components
    local = components.base_of(cell.way).backend == "local"
    computes = local and components.ways[split_name(cell.way)[0]].KIND != "baseline"
    gpus = (ledger.settings.shards or 1) if computes else 0
    return CellJob(
        write_cell(cell, ledger.settings.cache), cell.title, int(facts.get("memory_bytes") or 0), gpus
    )  # fmt: skip


def _taken_over(files: Sequence[Path], before: set[Path], ledger: RunLedger) -> CellPurchases:
    """Take over what cells booked: trainings that failed, calls that were billed for nothing, and what was paid."""
    seen = KeySet(ledger.keys)
    for file in files:
        for line in read_books(file):
            if "reason" in line:
                name, usd = line["key"].removesuffix(FAILED), line["usd"] if "way" in line else None
                failure = TrainingFailure(line["checkpoint"], line["seconds"], line["reason"], usd)
                ledger.failures.setdefault(name, failure)
            elif line["what"] == LOST and line["key"] not in ledger.charged:
                ledger.book(line)
        paid = _paid(file)
        fresh = seen.missing(list(paid))
        seen.update(fresh)
        for seconds, usd in (paid[key] for key in fresh if file not in before):
            ledger.paid_seconds += seconds
            ledger.paid_usd += usd
    return CellPurchases(files)


def _paid(file: Path) -> dict[str, tuple[float, float]]:
    """Key -> seconds by the clock and usd that a cell paid; failed trainings are left for the contest to book."""
    lines = read_purchases(file)
    return {line["key"]: (line["seconds"], line["usd"]) for line in lines if not line["key"].endswith(FAILED)}
