"""Two finished runs against each other, for the command line and for Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whichway.contest.compare_runs import RunComparison
    from whichway.runs.run import Run


def compare(first: Run | Path, second: Run | Path, ways: tuple[str, str] | None, confidence: float) -> RunComparison:
    """Compare two ways of two runs, paired on the test rows that both runs have.

    Args:
        first: a run, or its folder.
        second: another one.
        ways: one of each run; None: what each chose.
        confidence: of the intervals.

    Raises:
        UserError: no finished run, a way that a run does not have, or other metrics.
    """
    from whichway.app.open_results import results_of
    from whichway.contest.compare_runs import compare_ways
    from whichway.runs.run import as_run

    runs = as_run(first), as_run(second)
    one, two = ways or (runs[0].verdict.choice or "", runs[1].verdict.choice or "")
    return compare_ways(results_of(runs[0]), results_of(runs[1]), one, two, confidence, (runs[0].path, runs[1].path))
