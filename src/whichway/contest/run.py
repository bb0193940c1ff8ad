"""One contest: every way on the same locked protocol, each finalist across the test split once, then the verdict.

Resume is rerun: the ways run again from the start, and all that was answered or trained before comes from the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.contest.bench import HouseBench
from whichway.contest.cache import Cache
from whichway.contest.curves import write_curves
from whichway.contest.forgetting import forgotten
from whichway.contest.judge import refuse_judge, write_judgements
from whichway.contest.ledger import Till
from whichway.contest.plan import House, Settings, continued, make_plan, values_before
from whichway.contest.selection.select import (
    ZERO_SHOT,
    Tried,
    follow,
    hold_race,
    rules_of,
    settle,
    write_race,
    write_status,
    write_way,
    zero_shot_of,
)
from whichway.contracts import Attended, Listener, follow_nothing
from whichway.errors import AdapterNotLive, BudgetSpent, OptionError, WayFailed
from whichway.events import PlanFixed, VerdictMade, WayBegan, WayRefused, WayTested
from whichway.nouns import Plan, Record, Task, Verdict, apart
from whichway.runs.folder import Lines, alone, plan_of, prepare, read_records, record_key, refuse, run_id, write_json
from whichway.runs.results import recount
from whichway.runs.run import Run

Crossed = list[list[list[Record]]]  # [finalist][repeat][row]


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
        tried = _try_all(task, till)
        crossed = [_cross(task, one, till) for one in tried]
        if settings.forgetting:
            for one in tried:
                forgotten(one, till)
        if plan.curve:
            write_curves(task, till, tried, crossed)
        write_judgements(task, till, tried, crossed)
        finished = Run(folder)
        finished.verdict = verdict = recount(finished, house.metric, checks=house.checks).verdict()
        write_json(folder / "verdict.json", verdict)
        listener(VerdictMade(verdict))
        return Outcome(finished, till.paid_usd, till.paid_seconds)


def rehearsed(task: Task, house: House, folder: Path, settings: Settings, listener: Listener) -> None:
    """A contest without a verdict, in a folder of its own: what its books hold is what a real one would cost."""
    with open_till(folder, house, settings, listener) as till:
        tried = _try_all(task, till)
        crossed = [_cross(task, one, till) for one in tried]
        if settings.curve:
            write_curves(task, till, tried, crossed)


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


def _expect(till: Till) -> None:
    """Trainings are planned: whoever trains may get ready while the prompts are tried."""
    for name in sorted({base.backend for base in till.house.bases}):
        backend = till.house.backends[name]
        if isinstance(backend, Attended):
            backend.expect()


def _try_all(task: Task, till: Till) -> list[Tried]:
    """Follow the ways, zero-shot first (it is cheap, and its first rows tell whether anything works), then race."""
    till.test_answers = len(task.test) * till.settings.repeats
    practice = task.practice()
    rules = rules_of(practice, till)
    names = sorted(till.settings.ways, key=lambda name: apart(name)[0] != ZERO_SHOT)
    if any(name.startswith(("tune_", "both_")) for name in names):
        _expect(till)
    found = {}
    for index, name in enumerate(names):
        till.tell(WayBegan(name, index, len(names)))
        found[name] = follow(name, practice, HouseBench(till, name, practice), till, rules)
    tried = [found[name] for name in till.settings.ways]
    taken = hold_race([found[name] for name in names], till, rules)
    floors = {model: zero_shot_of(tried, rules, model) for model in {apart(one.name)[1] for one in tried}}
    for one in tried:
        settle(one, rules, floors[apart(one.name)[1]])
        write_way(one, till, rules)
        if one.reason:
            till.tell(WayRefused(one.name, one.reason))
    if till.settings.race:
        write_race(tried, till, rules, taken)
    return tried


def _cross(task: Task, tried: Tried, till: Till) -> Crossed:
    """Finalists over the test split, once each; a way that failed does not get there."""
    crossed: Crossed = []
    try:
        if not tried.reason:
            crossed = [tried.bench.cross(c, task.test, till.settings.repeats) for c, _ in tried.finalists]
    except (WayFailed, AdapterNotLive, BudgetSpent) as error:
        tried.reason = f"on test: {error}"
        write_status(tried, till)
    till.tell(WayTested(tried.name, len(crossed)))
    return crossed
