"""A contest from the command line: progress on standard error, the verdict on standard output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whichway.app.run import Ready
    from whichway.contest import Outcome


def hold(ready: Ready, *, bars: bool, as_json: bool) -> Outcome:
    """Run the contest, then show what came out.

    Args:
        ready: the contest.
        bars: show progress.
        as_json: print one JSON object on standard output, and nothing else there.
    """
    from whichway.app.run import run_contest
    from whichway.app.summary import summary
    from whichway.cli.progress import follow, show

    with follow(bars) as listener:
        outcome = run_contest(ready, listener)
    if not as_json:
        show(outcome.run)
    out = sys.stderr if as_json else sys.stdout
    print(f"Paid by this start: {outcome.paid_seconds:.1f} s, ${outcome.paid_usd:.4f}.", file=out)
    if as_json:
        print(f"Report: {outcome.run.path / 'report.html'}", file=sys.stderr)
        facts = summary(outcome.run, ready.house.metric)
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    return outcome


def exit_code(outcome: Outcome) -> int:
    """0, or 1 when no way gave anything to measure; the reasons stand in the report, and here."""
    standings = outcome.verdict.standings
    if any(s.status == "ok" and s.unparsed < 1 for s in standings):
        return 0
    print("Every way failed, so there is no verdict:", file=sys.stderr)
    for s in standings:
        print(f"  {s.way}: {s.reason or 'not one of its answers could be read'}", file=sys.stderr)
    return 1
