"""What is known before anything runs: from a task, or from a finished run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.errors import UserError

if TYPE_CHECKING:
    from whichway.nouns import Task, Verdict
    from whichway.tasks import Examined, Spec
    from whichway.verdict.advice import Situation

RUNS = Path("runs")
LONG = 60  # characters of a target from which text is generated rather than extracted


def of_task(spec: Spec | None) -> tuple[Situation, Examined | None]:
    """The situation that a task's own data describe; an empty one without a task."""
    from whichway.verdict.advice import Situation

    if spec is None:
        return Situation(), None
    from whichway.app.load_task import load_task

    examined = load_task(spec)
    return situation(examined.task), examined


def situation(task: Task) -> Situation:
    """What a task's own rows say before anything runs."""
    from whichway.app.folds import test_rows
    from whichway.scoring import row_variance
    from whichway.tasks import metrics
    from whichway.tasks.subjective import subjective_word
    from whichway.verdict.advice import Situation

    lengths = sorted(len(e.target) for e in (*task.train, *task.dev, *task.test))
    short = bool(lengths) and not task.reference_free and lengths[len(lengths) // 2] <= LONG
    return Situation(
        kind="classification" if task.labels else "extraction" if short else "generation",
        rows=len(lengths),
        test_rows=test_rows(task),
        labels=len(task.labels) or None,
        volume=task.volume,
        parameters=size(task.model),
        row_variance=row_variance(metrics.load(task.metric), task.test),
        unlabelled=len(task.unlabelled),
        subjective=subjective_word(task),
    )


def size(model: str) -> float | None:
    """Parameters of a model of the shelf or on this disk; None where that cannot be told."""
    from whichway import models
    from whichway.models import model_files, shelf

    try:
        entry = shelf.load().entries.get(models.name_of(model))
        if entry is not None:
            return float(entry.parameters)
        folder = models.here(model)  # nothing is fetched for an opinion
        return float(model_files.parameters(folder)) if folder is not None else None
    except (UserError, OSError, ValueError):
        return None


def of_run(run: Path) -> tuple[str, Situation, Verdict]:
    """A finished run's situation, as it was before it ran, and its verdict."""
    from whichway.runs.folder import data_rows, read_plan, read_verdict
    from whichway.verdict.advice import Situation

    plan = read_plan(run)
    labels, rows = len(plan["labels"]), plan["rows"]
    about = Situation(
        kind="classification" if labels else None,
        rows=data_rows(plan),
        test_rows=rows.get("test"),
        labels=labels or None,
        volume=plan["volume"],
        parameters=size(plan["model"]),
    )
    return str(run), about, read_verdict(run)


@dataclass(frozen=True, slots=True)
class WayEstimate:
    """Time and money to make and test one way, from a finished run scaled by rows."""

    way: str
    seconds: float
    usd: float


@dataclass(frozen=True, slots=True)
class AdviceEstimate:
    """Time and money of each way, and where the numbers come from."""

    source: str
    ways: tuple[WayEstimate, ...]
    scaled: bool = True  # by rows, from another run


def estimate(about: Situation, examined: Examined | None, like: Path | None) -> AdviceEstimate | None:
    """Time and money of each way, from a finished run of the same model; None where there is none."""
    from whichway import models
    from whichway.runs.folder import data_rows, read_plan, read_verdict

    model = models.name_of(examined.task.model if examined else "")
    run = like or _of_model(model)
    if run is None or about.rows is None:
        return None
    plan, verdict = read_plan(run), read_verdict(run)
    factor = about.rows / max(1, data_rows(plan))
    price = plan["price_per_hour"] / 3600
    ways = []
    for line in verdict.standings:
        seconds = (line.seconds_fit + line.seconds_per_row * line.rows * max(1, line.seeds)) * factor
        ways.append(WayEstimate(line.way, seconds, seconds * price))
    return AdviceEstimate(str(run), tuple(ways))


def probed(spec: Spec) -> AdviceEstimate:
    """Time and money of each way from a probe of this machine, which takes some seconds."""
    from whichway.app.run import estimate as dry_run
    from whichway.app.run import prepare
    from whichway.contracts import follow_nothing

    result = dry_run(prepare(spec), follow_nothing)
    ways = tuple(WayEstimate(name, way.seconds, way.usd) for name, way in (result.ways if result else {}).items())
    return AdviceEstimate("a probe of this machine", ways, scaled=False)


def _of_model(model: str) -> Path | None:
    """A finished run of the model among the runs here, the first by name."""
    import json

    for path in sorted(RUNS.glob("*/verdict.json")):
        try:
            plan = json.loads((path.parent / "plan.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if plan.get("model") == model:
            return path.parent
    return None
