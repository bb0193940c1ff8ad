"""One contest: every way on the same locked protocol, each finalist across the test split once, then the verdict.

Resume is rerun: the ways run again from the start, and all that was answered or trained before comes from the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whichway.contest.bench import RunBench
from whichway.contest.clock import Clock
from whichway.contest.cross_fit import cross_fit
from whichway.contest.curves import write_curves
from whichway.contest.forgetting import measure_forgetting
from whichway.contest.judge import refuse_judge, write_judgements
from whichway.contest.ledger import RunLedger
from whichway.contest.open_books import open_ledger, pricing_of
from whichway.contest.plan import Components, Settings, continued, make_plan, values_before
from whichway.contest.refit import dearest, refit
from whichway.contest.rounds import Crossed, cross, try_all
from whichway.contest.row_sharing import rows_read_once
from whichway.contest.selection.select import WayRun, race_facts, write_race, write_status, write_way
from whichway.contest.timed.hold import Start
from whichway.contest.timed.on_folds import FoldsContest
from whichway.contest.timed.on_split import SplitContest
from whichway.contest.timed.purchases import costs_from, guessed
from whichway.contracts import Listener, follow_nothing
from whichway.errors import OptionError, PlanMismatch
from whichway.events import PlanFixed, VerdictMade, WayRefused, WayTested
from whichway.nouns import Plan, Task, Verdict, split_name
from whichway.runs.folder import (
    alone,
    plan_of,
    prepare,
    read_estimate,
    refuse,
    write_json,
)
from whichway.runs.results import run_results
from whichway.runs.run import Run


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a contest leaves: the run, as read for its verdict, and what this very call paid."""

    run: Run
    paid_usd: float
    paid_seconds: float
    interrupted: bool = False  # by the user, while it was held against the clock: there is more to do

    @property
    def verdict(self) -> Verdict:
        """The decision."""
        return self.run.verdict

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.path


def run(
    task: Task, components: Components, *, folder: Path, settings: Settings, listener: Listener | None = None,
    beside_plan: Mapping[str, Any] | None = None, clock: Clock | None = None,
) -> Outcome:  # fmt: skip
    """Try every way of the settings on the task, decide, and write the run folder.

    Args:
        task: rows in three splits, and how answers are judged.
        components: backends, ways, metric, and the model under trial.
        folder: of the run; one that was begun with the same plan goes on.
        settings: the user's choices.
        listener: hears every event.
        beside_plan: files, by name, that are written as JSON together with the plan, where they are not there yet.
        clock: of a run with minutes, started before; None: it starts here.

    Raises:
        PlanMismatch: the folder belongs to another plan.
        OptionError: an unknown way or option, or no way at all.
        DiskError: the folder or the cache cannot be written.
    """
    listener = listener or follow_nothing
    if not settings.ways:
        raise OptionError("no way to try: name at least one with --ways.")
    begun = plan_of(folder)
    if begun and not begun.get("timed") and (folder / "verdict.json").exists():
        settings = replace(settings, minutes=None)  # it is finished, and was held without a clock
    if begun and not begun.get("timed") and settings.minutes is not None:
        raise PlanMismatch(
            f"{folder} was begun without --minutes, and goes on without: leave --minutes out. Or give another folder "
            "with --out; what was answered and trained is taken from the cache."
        )
    settings = continued(settings, components, begun)
    if task.folds:  # the number of a fold is its seed
        settings = replace(settings, seeds=tuple(range(len(task.folds))))
    plan = make_plan(task, components, settings)
    from whichway.contest.run_cells import refuse_executor, run_cells  # its cells are modules that run as programs

    refuse(folder)
    refuse_judge(task, components, settings)
    refuse_executor(settings, components)
    with alone(settings.cache, folder):
        prepare(folder, plan, task, values_before(components, plan.ways))
        for name, content in (beside_plan or {}).items():
            if not (folder / name).exists():
                write_json(folder / name, content)
        listener(PlanFixed(plan, folder))
        pricing = pricing_of(folder, settings.cache)
        books = open_ledger(folder, components, settings, listener, pricing, task)
        with books as ledger, rows_read_once(task, ledger):
            if plan.timed:
                ledger.clock = clock or Clock(settings.minutes)
                return _run_timed(task, plan, ledger)
            cells = run_cells(task, ledger)
            outcome = _run(task, plan, ledger)
            cells.close(ledger)
            return outcome


def _run_timed(task: Task, plan: Plan, ledger: RunLedger) -> Outcome:
    """A contest against the clock; see `timed/`."""
    folder, components = ledger.folder, ledger.components

    def decide() -> Verdict:
        verdict = _decided(Run(folder), components).verdict
        write_json(folder / "verdict.json", verdict)
        return verdict

    def after(contest: SplitContest | FoldsContest) -> None:
        tried, crossed = contest.tried, contest.crossed
        if not task.folds:
            write_judgements(task, ledger, tried, crossed)
        elif contest.folds == len(task.folds):
            refit(task, ledger, tried, decide().choice)
        if ledger.settings.forgetting:
            for one in tried:
                measure_forgetting(one, ledger)
        if plan.curve:
            write_curves(task, ledger, tried, crossed)

    known = read_estimate(folder)
    kinds = {name: components.ways[split_name(name)[0]].KIND for name in plan.ways}
    costs = {**guessed(kinds), **costs_from(known.get("pieces", {}))}
    held = Start(task, ledger, costs, decide, after).hold()
    finished = _decided(Run(folder), components)
    write_json(folder / "verdict.json", finished.verdict)
    ledger.tell(VerdictMade(finished.verdict))
    return Outcome(finished, ledger.paid_usd, ledger.paid_seconds, held.interrupted)


def _run(task: Task, plan: Plan, ledger: RunLedger) -> Outcome:
    """A contest without a clock: all ways, then the verdict."""
    folder, components = ledger.folder, ledger.components
    tried, crossed = _contest(task, ledger)
    if ledger.settings.forgetting:
        for one in tried:
            measure_forgetting(one, ledger)
    if plan.curve:
        write_curves(task, ledger, tried, crossed)
    if not task.folds:
        write_judgements(task, ledger, tried, crossed)
    finished = _decided(Run(folder), components)
    if task.folds and refit(task, ledger, tried, finished.verdict.choice):
        finished = _decided(Run(folder), components)
    write_json(folder / "verdict.json", finished.verdict)
    ledger.tell(VerdictMade(finished.verdict))
    return Outcome(finished, ledger.paid_usd, ledger.paid_seconds)


def _decided(run: Run, components: Components) -> Run:
    """A run with the verdict that its files give."""
    run.verdict = run_results(run, components.metric, checks=components.checks).verdict()
    return run


def run_without_verdict(
    task: Task, components: Components, folder: Path, settings: Settings, listener: Listener
) -> None:
    """A contest without a verdict, in a folder of its own: what its books hold is what a real one would cost."""
    with open_ledger(folder, components, settings, listener, task=task) as ledger:
        tried, crossed = _contest(task, ledger)
        if settings.curve:
            write_curves(task, ledger, tried, crossed)
        if task.folds:
            refit(task, ledger, tried, dearest(tried))


def _contest(task: Task, ledger: RunLedger) -> tuple[list[WayRun], list[Crossed]]:
    """All ways to their finalists, and these over the test rows: on the task's split, or fold by fold.

    Returns:
        the ways, and their answers to test rows where curves or a judge need them.
    """
    if task.folds:
        return cross_fit(task, ledger), []
    ledger.test_answers = len(task.test) * ledger.settings.repeats
    practice = task.train_dev_view()
    names = tuple(ledger.settings.ways)
    held = try_all(practice, ledger, names, lambda name: RunBench(ledger, name, practice))
    for one in held.tried:
        write_way(one, ledger)
        if one.reason:
            ledger.tell(WayRefused(one.name, one.reason))
    if ledger.settings.race:
        write_race(race_facts(held.tried, held.rules, held.taken), ledger)
    crossed: list[Crossed] = []
    for one in held.tried:
        failed = bool(one.reason)
        answers = cross(one, task.test, ledger)
        one.release()
        crossed.append(answers if ledger.settings.curve or task.judge else [])  # else they are in their file only
        if one.reason and not failed:
            write_status(one, ledger)
        ledger.tell(WayTested(one.name, len(answers)))
    return list(held.tried), crossed
