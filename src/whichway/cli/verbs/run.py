"""Try every way on your data, decide, and write a report."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Option

from whichway.cli.flags import ContestFlags, Plain, TaskFlags, spread


@spread
def run(
    task: TaskFlags,
    contest: ContestFlags,
    json: Annotated[
        bool, Option("--json", help="One JSON object on standard output; progress on standard error.")
    ] = False,
    no_progress: Annotated[bool, Option("--no-progress", help="No progress; warnings are still shown.")] = False,
    plain: Plain = False,
    with_feedback: Annotated[
        Path | None,
        Option(
            help="Feedback on a served run (its folder, or the file): ways train on it as well, in a run of its own, "
            "and the end says whether the verdict would change."
        ),
    ] = None,
    events: Annotated[
        Path | None, Option(help="A file to which every event is added as a line of JSON, for who follows the run.")
    ] = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what would run, as `whichway plan` does, and stop.")
    ] = False,
) -> int:
    """Try every way on your data, decide, and write a report. A rerun resumes; a finished run costs nothing."""
    from whichway.app.run import lines_of, prepare
    from whichway.cli.contest import exit_code, run_and_show
    from whichway.cli.fetching import with_models
    from whichway.cli.task_flags import request_of, spec_of

    request = replace(request_of(contest), feedback=with_feedback)
    ready = with_models(lambda: prepare(spec_of(task, contest), request), task.yes)
    if dry_run:
        print("\n".join(lines_of(ready)))
        return 0
    outcome = run_and_show(ready, bars=not no_progress, as_json=json, yes=task.yes, events=events, plain=plain)
    if with_feedback is not None and not outcome.interrupted:
        from whichway.app.feedback_verdict import feedback_verdict

        lines = feedback_verdict(with_feedback, ready, outcome.run)
        print("\n".join(lines), file=sys.stderr if json else sys.stdout)
    return exit_code(outcome)
