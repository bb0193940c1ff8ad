"""A cell: a self-contained part of a contest, one way on one fold, or on all seeds of the split, or at one size.

`python -m whichway.contest.cell CELL.json` does its work in a process of its own, on this machine or on another one
that sees the same folders. It writes nothing into the run folder: what it leaves are answers and trainings in the
cache, where the contest finds them under the keys under which it looks for its own. So the contest that runs
afterwards is the ordinary one, and its verdict cannot depend on who did the work.

A cell carries the id of its run, by which the cache remembers who paid: what a cell paid is paid by its run.

Exit codes: 0 done (now or before), 1 an error, 2 the user's input is at fault. A second process for the same cell waits
for the first one, then finds its result.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whichway.contest.bench import InFold, RunBench
from whichway.contest.claims import Claims
from whichway.contest.curves import fit_subset, nested
from whichway.contest.dry_run.rate_memory import probed_rates
from whichway.contest.executors import RESULT
from whichway.contest.ledger import RunLedger
from whichway.contest.open_books import open_ledger
from whichway.contest.plan import Components, Settings
from whichway.contest.rates import FILE, Pricing, Rates
from whichway.contest.rounds import cross, try_all
from whichway.contest.row_sharing import rows_read_once
from whichway.contracts import follow_nothing
from whichway.errors import UserError
from whichway.nouns import Example, Task, TrainDevView, digest, from_json, to_json
from whichway.runs.folder import Lines, read_lines, write_json, write_text
from whichway.tasks.folds import practice

CELLS, TASKS = "cells", "tasks"  # folders: of the cache, of the cells
CELL, PURCHASES, BOOKS = "cell.json", "purchases.jsonl", "books"


@dataclass(frozen=True, slots=True)
class Cell:
    """What one cell works on.

    Attributes:
        way: the contestant: a way, with its model where there are several.
        task: digest of the task's JSON, which lies beside the cells.
        settings: of the contest, as JSON; how it is spread over processes is left out.
        run: id of the run that pays.
        builder: `module:function` that gives the components for a task in any process.
        folds: that it works on, in order; () is the task's own split.
        size: training rows of a point of a learning curve; None: all.
        seed: of that point.
    """

    way: str
    task: str
    settings: Any
    run: str
    builder: str
    folds: tuple[int, ...] = ()
    size: int | None = None
    seed: int = 0

    @property
    def id(self) -> str:
        """Digest of its content."""
        return digest(self, 32)

    @property
    def title(self) -> str:
        """What it is, for a reader."""
        folds = f", fold {', '.join(str(k + 1) for k in self.folds)}" if self.folds else ""
        return self.way + folds + ("" if self.size is None else f", {self.size} rows, seed {self.seed}")


def keep_task(task: Task, cache: Path) -> str:
    """Write a task where cells find it; returns the digest of its JSON."""
    text = json.dumps(to_json(task), sort_keys=True, ensure_ascii=False, default=str)
    name = digest(text, 32)
    path = cache / CELLS / TASKS / f"{name}.json"
    if not path.exists():
        write_text(path, text)
    return name


def settings_json(settings: Settings) -> Any:
    """The settings as a cell holds them."""
    plain = replace(settings, workers=None, ray_address="", track="")  # the executor says how the cache is opened
    return json.loads(json.dumps(to_json(plain), default=str))


def write_cell(cell: Cell, cache: Path) -> Path:
    """Write a cell's file into a folder of its own; returns the file."""
    path = cache / CELLS / cell.id / CELL
    if not path.exists():
        write_json(path, cell)
    return path


def is_done(cell_file: Path) -> bool:
    """Whether a cell has its result."""
    return cell_file.with_name(RESULT).exists()


def read_purchases(cell_file: Path) -> list[dict[str, Any]]:
    """What a cell paid: key, and seconds by the clock and usd."""
    return list(read_lines(cell_file.with_name(PURCHASES)))


def read_books(cell_file: Path) -> list[dict[str, Any]]:
    """The lines of a cell's own ledger."""
    return list(read_lines(cell_file.parent / BOOKS / "ledger.jsonl"))


def complete(cell_file: Path) -> None:
    """Do the work of a cell, unless it is done; idempotent.

    Raises:
        UserError: the file is no cell, its task is missing, or the task cannot be worked on here.
    """
    from filelock import FileLock

    try:
        cell = from_json(Cell, json.loads(cell_file.read_text(encoding="utf-8")))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{cell_file} is no cell of a contest: {error}. A run with --executor writes them.") from None
    with FileLock(cell_file.with_name("lock")):
        if is_done(cell_file):
            return
        task = _task_of(cell, cell_file.parent.parent / TASKS)
        module, _, function = cell.builder.partition(":")
        components: Components = getattr(importlib.import_module(module), function)(task)
        settings: Settings = from_json(Settings, cell.settings)
        with _books(cell, cell_file, task, components, settings) as ledger:
            for reason in _work(cell, task, ledger):
                print(f"{cell.title}: {reason or 'done'}", flush=True)
        (cell_file.parent / BOOKS / "records.jsonl").unlink(missing_ok=True)  # the answers are in the cache
        write_json(cell_file.with_name(RESULT), {"cell": cell.id, "title": cell.title})


def _task_of(cell: Cell, folder: Path) -> Task:
    path = folder / f"{cell.task}.json"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"the task of the cell is missing: {error}. Start the run again: it writes it anew.") from None
    if digest(text, 32) != cell.task:
        raise UserError(f"{path} was changed: it is not the task of the cell. Delete it, and start the run again.")
    return from_json(Task, json.loads(text))


@contextmanager
def _books(
    cell: Cell, cell_file: Path, task: Task, components: Components, settings: Settings
) -> Iterator[RunLedger]:  # fmt: skip
    """Books of the cell's own, under the id of its run."""
    folder = cell_file.parent / BOOKS
    folder.mkdir(exist_ok=True)
    write_text(folder / "run_id", cell.run + "\n")
    pricing = Pricing(Rates(folder / FILE, probed_rates(settings.cache)))
    purchases, claims = Lines(cell_file.with_name(PURCHASES)), Claims(settings.cache)
    try:
        with open_ledger(folder, components, settings, follow_nothing, pricing, task) as ledger:
            ledger.purchases, ledger.cache.claims = purchases, claims
            with rows_read_once(task, ledger):
                yield ledger
    finally:
        purchases.close()
        claims.close()


def _work(cell: Cell, task: Task, ledger: RunLedger) -> Iterator[str]:
    """Do it, part by part; gives why the way failed there, or ""."""
    ledger.test_answers = len(task.test) * ledger.settings.repeats
    if cell.size is not None:
        rows = nested(task.train, cell.seed, bool(task.labels))[: cell.size]
        list(fit_subset(task, cell.way, rows, cell.seed, ledger))
        yield ""
        return
    if not cell.folds:
        yield _round(cell.way, task.train_dev_view(), task.test, ledger, None)
    earlier: RunBench | None = None
    for fold in cell.folds:
        place = InFold(fold, (fold + 1) / (len(task.folds) + 1), earlier)
        bench = RunBench(ledger, cell.way, practice(task, fold), fold=place)
        yield _round(cell.way, practice(task, fold), task.folds[fold], ledger, bench)
        earlier = bench


def _round(
    way: str, seen: TrainDevView, test: tuple[Example, ...], ledger: RunLedger, bench: RunBench | None
) -> str:  # fmt: skip
    """The way alone on one train and dev split, and its finalists over the test rows."""
    ledger.test_answers = len(test) * ledger.settings.repeats
    tried = try_all(seen, ledger, [way], lambda name: bench or RunBench(ledger, name, seen), gate=False).tried[0]
    cross(tried, test, ledger)
    return tried.reason


def main(arguments: list[str]) -> int:
    """Do the work of the cell whose file is named; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m whichway.contest.cell CELL.json", file=sys.stderr)
        return 2
    try:
        complete(Path(arguments[0]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
