"""A finished run as the inputs of its verdict, without loading a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whichway.runs.results import RunResults
    from whichway.runs.run import Run


def results_of(run: Run | Path, columns: Sequence[str] | None = None) -> RunResults:
    """The run as the verdict sees it.

    Args:
        run: the run, or its folder.
        columns: input columns to slice by; None: those with few values.

    Raises:
        UserError: the folder holds no finished run.
    """
    from whichway.nouns import MetricSpec, from_json
    from whichway.runs.results import run_results
    from whichway.runs.run import as_run
    from whichway.tasks import metrics

    run = as_run(run)
    plan = run.plan_data
    checks = from_json(MetricSpec, plan["checks"]) if plan.get("checks") else None
    return run_results(run, metrics.load(from_json(MetricSpec, plan["metric"])), columns, metrics.checks_of(checks))
