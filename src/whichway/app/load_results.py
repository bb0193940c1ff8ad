"""A finished run folder for the verbs that recompute from it, without any model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whichway.runs.results import Counted


def counted(run: Path, columns: Sequence[str] | None = None) -> Counted:
    """The run folder as the verdict sees it.

    Raises:
        UserError: the folder holds no finished run.
    """
    from whichway.nouns import MetricSpec, from_json
    from whichway.runs.folder import read_plan
    from whichway.runs.results import recount
    from whichway.tasks import metrics

    plan = read_plan(run)
    checks = from_json(MetricSpec, plan["checks"]) if plan.get("checks") else None
    return recount(run, metrics.load(from_json(MetricSpec, plan["metric"])), columns, metrics.checks_of(checks))
