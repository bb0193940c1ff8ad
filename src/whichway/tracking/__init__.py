"""Trackers: a finished run as an experiment of MLflow, Weights & Biases or TensorBoard, one file each, found by name.

A tracker is a module with `SUMMARY`, `NEEDS` (the extra of the package that brings its library) and
`track(experiment, where)`. It reads what a run folder holds and nothing else, so that it can be done at any time, and
done again: a run that is tracked twice stands there once.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, cast

from whichway.errors import OptionError, did_you_mean
from whichway.nouns import Standing
from whichway.runs.folder import run_id
from whichway.runs.run import Run


@dataclass(frozen=True, slots=True)
class TrackedWay:
    """A way of a run, as trackers show it.

    Attributes:
        name: of the way, with its model where there are several.
        parameters: its options, kind and model.
        metrics: what the verdict says of it in numbers; what is not known is left out.
        spent: (dollars, seconds) at list price so far, after each line of the ledger.
    """

    name: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    spent: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Experiment:
    """A finished run, as trackers show it.

    Attributes:
        task: its name.
        id: of the run.
        ways: in the order of the verdict.
        facts: of the run as a whole: answer, choice, headline, metric, rows.
        files: that may be kept with it: verdict, plan, report.
    """

    task: str
    id: str
    ways: tuple[TrackedWay, ...]
    facts: Mapping[str, str]
    files: tuple[Path, ...]


class Tracker(Protocol):
    """A module of this package."""

    SUMMARY: str
    NEEDS: str

    def track(self, experiment: Experiment, where: str) -> str:
        """Hand a run over.

        Args:
            experiment: the run.
            where: the tracker's word for the place; "": its default.

        Returns:
            Where it can be seen, for a reader.

        Raises:
            OptionError: the place cannot be used.
        """
        ...


def names() -> list[str]:
    """The trackers."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def tracker_of(name: str) -> Tracker:
    """The tracker of a name, with its library.

    Raises:
        OptionError: there is none ("did you mean"), or its library is not installed.
    """
    if name not in names():
        raise OptionError(f"there is no tracker '{name}'.{did_you_mean(name, names())}")
    try:
        return cast(Tracker, importlib.import_module(f"{__name__}.{name}"))
    except ImportError as error:
        raise OptionError(f"the tracker {name} needs its library: pip install 'whichway[{name}]' ({error}).") from error


def experiment_of(run: Run) -> Experiment:
    """What trackers show of a run.

    Raises:
        UserError: the run is not finished, or damaged.
    """
    verdict, plan = run.verdict, run.plan_data
    facts = {"answer": verdict.answer, "choice": verdict.choice or "", "headline": verdict.headline,
             "metric": plan["metric"]["name"], "rows": str(verdict.rows), "run": run_id(run.path)}  # fmt: skip
    files = [run.path / name for name in ("verdict.json", "plan.json", "report.html")]
    ways = tuple(_way(standing, run) for standing in verdict.standings)
    return Experiment(plan["task"], run_id(run.path), ways, facts, tuple(path for path in files if path.exists()))


def _way(standing: Standing, run: Run) -> TrackedWay:
    options = {key: str(value) for key, value in run.plan_data["ways"].get(standing.way, {}).items()}
    about = {"kind": standing.kind, "status": standing.status, "model": standing.model or run.plan_data["model"]}
    return TrackedWay(standing.way, {**options, **about}, _numbers(standing), _spent(standing.way, run))


def _numbers(standing: Standing) -> dict[str, float]:
    values = {field.name: getattr(standing, field.name) for field in fields(standing)}
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}


def _spent(way: str, run: Run) -> list[tuple[float, float]]:
    """Running totals over the ledger's lines of a way, at list price."""
    totals, usd, seconds = [], 0.0, 0.0
    line: Mapping[str, Any]
    for line in run.ledger:
        if line["who"] == way:
            usd, seconds = usd + line["usd"], seconds + line["seconds"]
            totals.append((usd, seconds))
    return totals
