"""A contest from the command line: progress on standard error, the verdict on standard output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from whichway.cli.exit_codes import interrupted
from whichway.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from whichway.app.run import Ready
    from whichway.contest import Outcome


def run_and_show(
    ready: Ready, *, bars: bool, as_json: bool, yes: bool = False, events: Path | None = None, plain: bool = False
) -> Outcome:
    """Run the contest, then show what came out.

    Args:
        ready: the contest.
        bars: show progress.
        as_json: print one JSON object on standard output, and nothing else there.
        yes: the user has agreed to what hosted models cost.
        events: a file that hears every event as well.
        plain: no colours, frames or bars.
    """
    from whichway.app.event_log import logged
    from whichway.app.run import run_contest
    from whichway.app.summary import summary
    from whichway.cli.progress import follow, show

    with follow(bars, plain) as listener, logged(listener, events) as heard:
        outcome = run_contest(ready, heard, lambda lines: agree(lines, yes))
    if not as_json:
        show(outcome.run, plain=plain, fit=True)
    out = sys.stderr if as_json else sys.stdout
    print(f"Paid by this start: {outcome.paid_seconds:.1f} s, ${outcome.paid_usd:.4f}.", file=out)
    if as_json:
        print(f"Report: {outcome.run.path / 'report.html'}", file=sys.stderr)
        facts = summary(outcome.run, ready.components.metric)
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    return outcome


def agree(lines: list[str], yes: bool) -> None:
    """Say what hosted models will cost, and ask on a terminal.

    Raises:
        OptionError: nobody can be asked, or the answer was no.
    """
    from whichway.app.hosted import refuse_unasked

    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        refuse_unasked(lines)
    print("\n".join(lines), file=sys.stderr)
    if yes:
        return
    # where bars are drawn, text without an end of line is read as markup, and brackets would vanish
    print("Go on? (y/N) ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise OptionError("Nothing was sent. Set a cap with --budget-usd, or take a model on this machine.")


def exit_code(outcome: Outcome) -> int:
    """0, 130 when the user interrupted it, or 1 when nothing competed.

    Nothing competes where no way gave anything to measure, or several were lost and only baselines are left.

    The reasons stand in the report, and here; one that several ways share is told once.
    """
    if outcome.interrupted:
        return interrupted()
    standings = outcome.verdict.standings
    measured = [s for s in standings if s.status == "ok" and s.unparsed < 1]
    lost = [s for s in standings if s not in measured]
    if measured and (len(lost) < 2 or any(s.kind != "baseline" for s in measured)):
        return 0
    reasons: dict[str, list[str]] = {}
    for s in lost:
        reasons.setdefault(s.reason or "not one of its answers could be read", []).append(s.way)
    names = ", ".join(s.way for s in measured)
    only = f"Only {names} could be measured, so nothing is decided"
    what = only if measured else "Every way failed, so there is no verdict"
    print(f"error: {what}.", file=sys.stderr)
    for reason, ways in reasons.items():
        print(f"  {', '.join(ways)}: {reason}", file=sys.stderr)
    return 1
