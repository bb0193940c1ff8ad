"""From flags to a finished contest: what `run`, `demo` and `plan` share."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.cli.flags import ContestFlags, TaskFlags
from whichway.nouns import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from whichway.contest import House, Outcome, Settings
    from whichway.contest.dry_run.simulate import Estimate
    from whichway.contracts import Listener
    from whichway.nouns import Plan, Task

RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class Ready:
    """A contest before its first call."""

    task: Task
    house: House
    settings: Settings
    folder: Path
    probe: bool = True  # whether to estimate what it takes

    @property
    def plan(self) -> Plan:
        """Everything that is fixed."""
        from whichway.contest import make_plan

        return make_plan(self.task, self.house, self.settings)


def prepare(task_flags: TaskFlags, flags: ContestFlags) -> Ready:
    """Read the task, check it, find the model and the ways. Nothing is written.

    Raises:
        UserError: anything about the user's input.
    """
    from whichway.app.configure import build, settle
    from whichway.app.task_from_flags import asked

    examined = asked(task_flags)
    task = examined.task
    house = build(task, examined.findings.warnings)
    folder = flags.out or RUNS / (re.sub(r"[^\w.-]+", "-", task.name).strip("-.") or "task")
    return Ready(task, house, settle(task, flags, house, folder), folder, not flags.no_probe)


def hold(ready: Ready, *, bars: bool, as_json: bool) -> Outcome:
    """Run the contest with its progress on standard error, then report on standard output.

    Args:
        ready: the contest.
        bars: show progress.
        as_json: print one JSON object on standard output, and nothing else there.
    """
    from whichway import contest
    from whichway.app.models import keep_speeds
    from whichway.app.summary import told
    from whichway.cli.progress import finish, follow

    with follow(bars) as listener:
        hear = _estimated(ready, listener)
        outcome = contest.run(ready.task, ready.house, folder=ready.folder, settings=ready.settings, listener=hear)
    keep_speeds(outcome.folder, outcome.verdict)
    page = finish(outcome.folder, show=not as_json)
    out = sys.stderr if as_json else sys.stdout
    print(f"Paid by this start: {outcome.paid_seconds:.1f} s, ${outcome.paid_usd:.4f}.", file=out)
    if as_json:
        print(f"Report: {page}", file=sys.stderr)
        facts = told(outcome.folder, outcome.verdict, ready.house.metric)
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    return outcome


def _estimated(ready: Ready, listener: Listener) -> Listener:
    """Estimate a run that has not begun; the returned listener puts the estimate beside its plan."""
    begun = ready.folder.exists() and not (ready.folder.is_dir() and not any(ready.folder.iterdir()))
    if not ready.probe or begun:  # it goes on, or it will be refused
        return listener
    from whichway.contest.dry_run.simulate import write_estimate

    found = estimate(ready, listener)

    def hear(event: str, facts: Mapping[str, Any]) -> None:
        if event == "plan" and found is not None:
            write_estimate(facts["folder"], found)
        listener(event, facts)

    return hear


def estimate(ready: Ready, listener: Listener) -> Estimate | None:
    """What the contest will take; None, with a warning, where it cannot be rehearsed."""
    from whichway.app.models import keep_probed
    from whichway.contest.dry_run.simulate import estimate as rehearse
    from whichway.errors import WayFailed

    try:
        found = rehearse(ready.task, ready.house, ready.settings, listener)
        keep_probed(found.seconds_per_row, ready.task.name)
        return found
    except WayFailed as error:
        listener("warning", {"message": f"no estimate of time: {error}"})
        return None


def estimate_lines(ready: Ready, listener: Listener) -> list[str]:
    """The estimate for a reader, as `plan` shows it."""
    from dataclasses import asdict

    from whichway.report import estimates

    found = estimate(ready, listener) if ready.probe else None
    if found is None:
        return []
    facts = {"within": found.within, "ways": {name: asdict(amount) for name, amount in found.ways.items()}}
    told = estimates.before(estimates.lines_of(facts), found.within)
    return ["estimate (from a probe of this machine; list time)", *told]


def exit_code(outcome: Outcome) -> int:
    """0, or 1 when no way gave anything to measure; the reasons stand in the report, and here."""
    standings = outcome.verdict.standings
    if any(s.status == "ok" and s.unparsed < 1 for s in standings):
        return 0
    print("Every way failed, so there is no verdict:", file=sys.stderr)
    for s in standings:
        print(f"  {s.way}: {s.reason or 'not one of its answers could be read'}", file=sys.stderr)
    return 1


def lines_of(ready: Ready) -> list[str]:
    """The plan for a reader: data, model, ways with their options, limits, and what the test split can show."""
    from whichway.contest.selection.race import looks

    plan = ready.plan
    given = {name: limit for name, limit in to_json(plan.budget).items() if limit is not None}
    limits = [f"{limit:g} {name}" for name, limit in given.items()]
    at = ", ".join(map(str, looks(plan.rows["dev"])))
    race = f"after {at} dev rows" if plan.race else "none: every dev row for every candidate"
    purse = " or ".join(limits) + " for each way" if limits else "no limit"
    gap = "unknown" if plan.smallest_gap is None else f"{100 * plan.smallest_gap:.1f} points, 9 times of 10"
    lines = [
        f"task        {plan.task}: {plan.ask}",
        f"rows        {', '.join(f'{plan.rows[k]} {k}' for k in ('train', 'dev', 'test'))}",
        f"metric      {plan.metric.name}; margin {100 * plan.margin:g} points; confidence {plan.confidence:g}",
        *_models(plan),
        f"seeds       {', '.join(map(str, plan.seeds))}",
        f"budget      {purse}; ${plan.price_per_hour:g} an hour",
        f"can show    a difference of {gap}",
        f"race        {race}",
        *([f"curve       {', '.join(map(str, plan.curve))} training rows, for each seed"] if plan.curve else []),
        *([f"repeats     {plan.repeats}, where answers are drawn"] if plan.repeats > 1 else []),
        *([f"until       {100 * plan.until:g} % on dev, then a training stops"] if plan.until is not None else []),
        f"run folder  {ready.folder}",
        "ways",
    ]
    wide = max(14, *(len(way) + 2 for way in plan.ways))
    for way, options in plan.ways.items():
        lines.append(f"  {way:<{wide}}{', '.join(f'{k}={_shown(v)}' for k, v in options.items()) or 'no options'}")
    return [*lines, *(f"warning: {warning}" for warning in plan.warnings)]


def _models(plan: Plan) -> list[str]:
    models = plan.models or {"": {"model": plan.model, "revision": plan.revision}}
    lines: list[str] = []
    for name, model in models.items():
        told = f"{model['model']}, revision {model['revision'] or 'none'}" + (f" ({name})" if name else "")
        lines.append(f"{'' if lines else 'model':<12}{told}")
    return lines


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
