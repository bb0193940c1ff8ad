"""One run from its request to its finished folder: what `run`, `demo`, `plan` and the Python API share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.request import RunRequest
from whichway.nouns import to_json
from whichway.plurals import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from whichway.app.feedback import FeedbackRows
    from whichway.contest import Components, Outcome, Settings
    from whichway.contest.dry_run.simulate import Estimate
    from whichway.contracts import Listener
    from whichway.nouns import Plan, Task
    from whichway.tasks import Spec
    from whichway.tasks.read import DataTable
    from whichway.verdict.explain.number_format import ScoreFormat

RUNS = Path("runs")
Agree = Callable[[list[str]], None]


@dataclass(frozen=True, slots=True)
class Ready:
    """A contest before its first call."""

    task: Task
    components: Components
    settings: Settings
    folder: Path
    probe: bool = True  # whether to estimate what it takes
    feedback: FeedbackRows | None = None  # that ways train on as well
    spec: Spec | None = None  # what was said about the task, where its rows can be read again

    @property
    def plan(self) -> Plan:
        """Everything that is fixed."""
        from whichway.contest import make_plan

        return make_plan(self.task, self.components, self.held)

    @property
    def held(self) -> Settings:
        """The settings as the contest will hold them: a run that goes on keeps what it began with."""
        from whichway.contest.plan import continued
        from whichway.runs.folder import plan_of

        return continued(self.settings, self.components, plan_of(self.folder))


def prepare(spec: Spec, request: RunRequest | None = None, table: DataTable | None = None) -> Ready:
    """Read the task, check it, find the model and the ways. Nothing is written.

    Args:
        spec: what is said about the task.
        request: how the run is to be held.
        table: rows in memory, in place of the spec's data.

    Raises:
        UserError: anything about the user's input.
    """
    from whichway.app.load_task import load_task

    examined = load_task(spec, table)
    ready = ready_for(examined.task, request or RunRequest(), examined.findings.warnings)
    return ready if table is not None else replace(ready, spec=spec)


def ready_for(task: Task, request: RunRequest, warnings: Sequence[str] = ()) -> Ready:
    """The contest of a task that is read already.

    Raises:
        UserError: the model, a way or an option is at fault.
    """
    from whichway.app.configure import build, settings_for
    from whichway.app.feedback import read_rows, with_rows
    from whichway.app.folds import folded
    from whichway.app.remote_folders import refuse_remote
    from whichway.app.teachers import about_teachers, with_teachers
    from whichway.tasks.check import of_split
    from whichway.tracking import tracker_of

    refuse_remote("--out", request.out)
    refuse_remote("--cache", request.cache)
    folder = usual_folder(task, request)
    feedback = None if request.feedback is None else read_rows(request.feedback, task)
    if feedback is not None:
        warnings = [*warnings, feedback.line]
        folder = request.out or folder.with_name(f"{folder.name}-feedback-{feedback.mark}")
    task, single = folded(task, folder), of_split(task)
    if task.folds:
        warnings = [warning for warning in warnings if warning not in single]
    task = task if feedback is None else with_rows(task, feedback)
    task, request = with_teachers(task, request)
    components = build(task, warnings)
    settings = settings_for(task, request, components, folder)
    if settings.track:
        tracker_of(settings.track)
    components = replace(components, warnings=(*components.warnings, *about_teachers(task, settings.ways)))
    return Ready(task, components, settings, folder, request.probe, feedback)


def usual_folder(task: Task, request: RunRequest) -> Path:
    """The folder of a task's run without feedback."""
    return request.out or RUNS / (re.sub(r"[^\w.-]+", "-", task.name).strip("-.") or "task")


def run_contest(ready: Ready, listener: Listener, agree: Agree | None = None) -> Outcome:
    """Estimate, hold the contest, and write its page. A rerun resumes; a finished run costs nothing.

    Args:
        ready: the contest.
        listener: follows it.
        agree: shown what hosted models will cost, before the first call of a run that has not begun; raises where
            the user does not agree. None: nobody can be asked.

    Raises:
        UserError: the folder belongs to another plan, or cannot be written; a key is missing; nobody agreed.
    """
    from whichway import contest
    from whichway.app.hosted import check_keys
    from whichway.app.hosted_jobs import still_training
    from whichway.app.models import keep_speeds
    from whichway.app.row_clusters import keep_clusters
    from whichway.app.track import track
    from whichway.contest.clock import Clock
    from whichway.errors import UserError
    from whichway.events import WarningGiven
    from whichway.report import html

    clock = Clock(ready.settings.minutes)
    check_keys(ready.components)
    files = _estimated(ready, listener, agree)
    try:
        outcome = contest.run(
            ready.task,
            ready.components,
            folder=ready.folder,
            settings=ready.settings,
            listener=listener,
            beside_plan=files,
            clock=clock,
        )
    except KeyboardInterrupt:
        for line in still_training(ready.settings.cache):
            listener(WarningGiven(line))
        raise
    keep_speeds(outcome.run)
    if ready.settings.minutes is None:
        keep_clusters(outcome.run, ready.components.backends)
    html.write(outcome.run)
    if ready.settings.track and not outcome.interrupted:
        try:
            track(ready.folder, ready.settings.track)
        except UserError as error:  # the run is done all the same
            again = f"whichway track {ready.folder} --to {ready.settings.track}"
            listener(WarningGiven(f"the run was not tracked: {error} Later: {again}"))
    return outcome


def _estimated(ready: Ready, listener: Listener, agree: Agree | None) -> dict[str, Any]:
    """The estimate of a run that has not begun, as a file to lie beside its plan; what it costs is agreed to."""
    begun = ready.folder.exists() and not (ready.folder.is_dir() and not any(ready.folder.iterdir()))
    if begun:  # it goes on, or it will be refused
        return {}
    from whichway.app.hosted import costs, money_lines, refuse_unasked
    from whichway.app.run_task import spec_file
    from whichway.contest.dry_run.simulate import FILE, estimate_json
    from whichway.runs.folder import SPEC

    _ = ready.plan  # an option that does not fit is refused before anything is measured
    result = estimate(ready, listener) if ready.probe else None
    if costs(ready.components):
        (agree or refuse_unasked)(list(money_lines(ready.components, ready.settings, result)))
    files = {} if ready.spec is None else {SPEC: spec_file(ready.spec, ready.folder)}
    return files if result is None else {**files, FILE: estimate_json(result)}


def estimate(ready: Ready, listener: Listener) -> Estimate | None:
    """What the contest will take; None, with a warning, where it cannot be simulated."""
    from whichway.app.models import keep_probed, shared_timings
    from whichway.contest.dry_run.simulate import estimate as simulate
    from whichway.errors import WayFailed
    from whichway.events import WarningGiven

    try:
        with shared_timings(ready.components.bases, ready.settings.cache):
            settings = replace(ready.held, minutes=ready.settings.minutes)  # the rest of a run goes on without a clock
            result = simulate(ready.task, ready.components, settings, listener)
        keep_probed(result.seconds_per_row, ready.task.name)
        return result
    except WayFailed as error:
        listener(WarningGiven(f"no estimate of time: {error}"))
        return None


def estimate_lines(ready: Ready, listener: Listener) -> list[str]:
    """The estimate for a reader, as `plan` shows it."""
    from dataclasses import asdict

    from whichway.app.hosted import money_lines
    from whichway.report import estimates

    result = estimate(ready, listener) if ready.probe else None
    money = list(money_lines(ready.components, ready.settings, result)) if ready.components.prices else []
    if result is None:
        return money
    facts = {"within": result.within, "ways": {name: asdict(amount) for name, amount in result.ways.items()}}
    lines = estimates.before(estimates.lines_of(facts), result.within)
    notes = [f"  {note}" for note in result.notes]
    return ["estimate (from a probe of this machine; list time)", *lines, *notes, *_what_fits(ready, result), *money]


def _what_fits(ready: Ready, result: Estimate) -> list[str]:
    """For a contest against the clock, which ways it would try in which order."""
    from whichway.contest.timed.purchases import Market, forecast
    from whichway.nouns import split_name

    minutes = ready.settings.minutes
    if not result.pieces or minutes is None:
        return []
    ways = {name: ready.components.ways[split_name(name)[0]] for name in result.pieces}
    kinds, random = {name: way.KIND for name, way in ways.items()}, {name for name, way in ways.items() if way.RANDOM}
    market = Market(kinds, frozenset(random), len(ready.task.test), 0, ready.plan.confidence)
    fitting, rest = forecast(result.pieces, market, 60 * minutes)
    tried = ", ".join(fitting) or "nothing"
    lines = [f"  In {minutes:g} minutes: {tried}, in about this order; then seeds or folds, as time is left."]
    return lines + ([f"  Not likely to fit: {', '.join(rest)}."] if rest else [])


def lines_of(ready: Ready) -> list[str]:
    """The plan for a reader: data, model, ways with their options, limits, and what the test split can show."""
    from whichway.contest.selection.race import looks
    from whichway.verdict.explain.number_format import score_format

    plan = ready.plan
    form = score_format(plan.metric_plain)
    set_limits = {name: limit for name, limit in to_json(plan.budget).items() if limit is not None}
    limits = [f"{limit:g} {name}" for name, limit in set_limits.items()]
    at = ", ".join(map(str, looks(plan.rows["dev"])))
    race = f"after {at} dev rows" if plan.race else "none: every dev row for every candidate"
    budget_text = " or ".join(limits) + " for each way" if limits else "no limit"
    gap = can_show(plan.smallest_gap, len(plan.ways), form)
    lines = [
        f"task        {plan.task}: {plan.ask}",
        f"rows        {', '.join(f'{plan.rows[k]} {k}' for k in ('train', 'dev', 'test'))}",
        *([f"unlabelled  {plan.unlabelled['rows']} rows for a teacher"] if plan.unlabelled else []),
        f"metric      {plan.metric.name}; margin {form.size(plan.margin)}; confidence {plan.confidence:g}",
        *_models(plan),
        *(
            [f"folds       {plan.folds}: every row is test once; for each fold another is dev, the rest is trained on"]
            if plan.folds > 1
            else [f"seeds       {', '.join(map(str, plan.seeds))}"]
        ),
        *(
            [f"minutes     {ready.settings.minutes:g} for the whole contest, then a verdict from what stands"]
            if ready.settings.minutes
            else []
        ),
        f"budget      {budget_text}; ${plan.price_per_hour:g} an hour",
        f"can show    {gap}",
        f"race        {race}",
        *([f"curve       {', '.join(map(str, plan.curve))} training rows, for each seed"] if plan.curve else []),
        *([f"repeats     {plan.repeats}, where answers are drawn"] if plan.repeats > 1 else []),
        *([f"until       {form.score(plan.until)} on dev, then a training stops"] if plan.until is not None else []),
        *(
            ["precision   int8 products of frozen weights in trainings, where a training's rows allow it"]
            if plan.precision
            else []
        ),
        *(f"{name:<12}{_shown(value)}" for name, value in plan.options.items()),
        f"run folder  {ready.folder}",
        "ways",
    ]
    wide = max(14, *(len(way) + 2 for way in plan.ways))
    for way, options in plan.ways.items():
        lines.append(f"  {way:<{wide}}{', '.join(f'{k}={_shown(v)}' for k, v in options.items()) or 'no options'}")
        lines += [f"  {'':<{wide}}{note}" for note in _floor(options, plan.rows["train"])]
    return [*lines, *(f"warning: {warning}" for warning in plan.warnings)]


def can_show(gap: float | None, ways: int, form: ScoreFormat) -> str:
    """The smallest difference that a contest's test rows show, for a reader of `plan` or `check`."""
    if gap is None:
        return "a difference of unknown size"
    return f"a difference of {form.size(gap)}, 9 times of 10, where {plural(ways, 'way is', 'ways are')} tried"


def _models(plan: Plan) -> list[str]:
    models = plan.models or {"": {"model": plan.model, "revision": plan.revision}}
    lines: list[str] = []
    for name, model in models.items():
        description = f"{model['model']}, revision {model['revision'] or 'none'}" + (f" ({name})" if name else "")
        lines.append(f"{'' if lines else 'model':<12}{description}")
    return lines


def _floor(options: Mapping[str, Any], rows: int) -> list[str]:
    """What will be trained: epochs and steps, and that the floor on steps asks for more than the epochs."""
    from whichway.training_length import training_length

    if not {"epochs", "steps", "batch"} <= options.keys():
        return []
    length = training_length(rows, options["batch"], options["epochs"], options["steps"])
    note = f"trains {length.epochs:.3g} epochs of {rows} rows, {length.steps} steps"
    return [f"{note} (the floor of {options['steps']}; set epochs to get just these)"
            if length.epochs > options["epochs"] else note]  # fmt: skip


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
