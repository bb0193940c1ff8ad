"""One contest: every way on the same locked protocol, each finalist across the test split once, then the verdict.

Resume is rerun: the ways run again from the start, and all that was answered or trained before comes from the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whichway.contest.bench import HouseBench
from whichway.contest.cache import Cache
from whichway.contest.cross_fit import cross_fit
from whichway.contest.curves import write_curves
from whichway.contest.forgetting import forgotten
from whichway.contest.judge import refuse_judge, write_judgements
from whichway.contest.ledger import Till
from whichway.contest.plan import House, Settings, continued, make_plan, values_before
from whichway.contest.refit import dearest, refit
from whichway.contest.rounds import Crossed, cross, try_all
from whichway.contest.selection.select import Tried, race_facts, write_race, write_status, write_way
from whichway.contracts import Listener, follow_nothing
from whichway.errors import OptionError
from whichway.events import PlanFixed, VerdictMade, WayRefused, WayTested
from whichway.nouns import Plan, Task, Verdict
from whichway.runs.folder import Lines, alone, plan_of, prepare, read_records, record_key, refuse, run_id, write_json
from whichway.runs.results import recount
from whichway.runs.run import Run


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a contest leaves: the run, as read for its verdict, and what this very call paid."""

    run: Run
    paid_usd: float
    paid_seconds: float

    @property
    def verdict(self) -> Verdict:
        """The decision."""
        return self.run.verdict

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self.run.path


def run(
    task: Task, house: House, *, folder: Path, settings: Settings, listener: Listener | None = None,
    beside_plan: Mapping[str, Any] | None = None,
) -> Outcome:  # fmt: skip
    """Try every way of the settings on the task, decide, and write the run folder.

    Args:
        task: rows in three splits, and how answers are judged.
        house: backends, ways, metric, and the model under trial.
        folder: of the run; one that was begun with the same plan goes on.
        settings: the user's choices.
        listener: hears every event.
        beside_plan: files, by name, that are written as JSON together with the plan, where they are not there yet.

    Raises:
        PlanMismatch: the folder belongs to another plan.
        OptionError: an unknown way or option, or no way at all.
        DiskError: the folder or the cache cannot be written.
    """
    listener = listener or follow_nothing
    if not settings.ways:
        raise OptionError("no way to try: name at least one with --ways.")
    settings = continued(settings, house, plan_of(folder))
    if task.folds:  # the number of a fold is its seed
        settings = replace(settings, seeds=tuple(range(len(task.folds))))
    plan = make_plan(task, house, settings)
    refuse(folder)
    refuse_judge(task, house, settings)
    with alone(settings.cache, folder):
        prepare(folder, plan, task, values_before(house, plan.ways))
        for name, content in (beside_plan or {}).items():
            if not (folder / name).exists():
                write_json(folder / name, content)
        return _run(task, house, plan, folder, settings, listener)


def _run(task: Task, house: House, plan: Plan, folder: Path, settings: Settings, listener: Listener) -> Outcome:
    listener(PlanFixed(plan, folder))
    with open_till(folder, house, settings, listener) as till:
        tried, crossed = _contest(task, till)
        if settings.forgetting:
            for one in tried:
                forgotten(one, till)
        if plan.curve:
            write_curves(task, till, tried, crossed)
        if not task.folds:
            write_judgements(task, till, tried, crossed)
        finished = _decided(Run(folder), house)
        if task.folds and refit(task, till, tried, finished.verdict.choice):
            finished = _decided(Run(folder), house)
        verdict = finished.verdict
        write_json(folder / "verdict.json", verdict)
        listener(VerdictMade(verdict))
        return Outcome(finished, till.paid_usd, till.paid_seconds)


def _decided(run: Run, house: House) -> Run:
    """A run with the verdict that its files give."""
    run.verdict = recount(run, house.metric, checks=house.checks).verdict()
    return run


def rehearsed(task: Task, house: House, folder: Path, settings: Settings, listener: Listener) -> None:
    """A contest without a verdict, in a folder of its own: what its books hold is what a real one would cost."""
    with open_till(folder, house, settings, listener) as till:
        tried, crossed = _contest(task, till)
        if settings.curve:
            write_curves(task, till, tried, crossed)
        if task.folds:
            refit(task, till, tried, dearest(tried))


@contextmanager
def open_till(folder: Path, house: House, settings: Settings, listener: Listener) -> Iterator[Till]:
    """Open the books of a run, and close them whatever happens."""
    records, ledger = Lines(folder / "records.jsonl"), Lines(folder / "ledger.jsonl")
    cache = Cache(settings.cache)
    till = Till(
        folder=folder,
        house=house,
        settings=settings,
        cache=cache,
        payer=run_id(folder),
        records=records,
        ledger=ledger,
        listener=listener,
        written={record_key(r): r for r in read_records(folder)},
    )
    till.read_ledger()
    try:
        yield till
    finally:
        records.close()
        ledger.close()
        cache.close()


def _contest(task: Task, till: Till) -> tuple[list[Tried], list[Crossed]]:
    """All ways to their finalists, and these over the test rows: on the task's split, or fold by fold."""
    if task.folds:
        return cross_fit(task, till), []
    till.test_answers = len(task.test) * till.settings.repeats
    practice = task.practice()
    names = tuple(till.settings.ways)
    held = try_all(practice, till, names, lambda name: HouseBench(till, name, practice))
    for one in held.tried:
        write_way(one, till)
        if one.reason:
            till.tell(WayRefused(one.name, one.reason))
    if till.settings.race:
        write_race(race_facts(held.tried, held.rules, held.taken), till)
    crossed = []
    for one in held.tried:
        failed = bool(one.reason)
        crossed.append(cross(one, task.test, till))
        if one.reason and not failed:
            write_status(one, till)
        till.tell(WayTested(one.name, len(crossed[-1])))
    return list(held.tried), crossed
