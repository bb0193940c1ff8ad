"""Try every way on your data, decide, and write a report."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from whichway.cli.flags import ContestFlags, TaskFlags, spread


@spread
def run(
    task: TaskFlags,
    contest: ContestFlags,
    json: Annotated[
        bool, Option("--json", help="One JSON object on standard output; progress on standard error.")
    ] = False,
    no_progress: Annotated[bool, Option("--no-progress", help="No progress.")] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what would run, as `whichway plan` does, and stop.")
    ] = False,
) -> int:
    """Try every way on your data, decide, and write a report. A rerun resumes; a finished run costs nothing."""
    from whichway.app.run import lines_of, prepare
    from whichway.cli.contest import exit_code, run_and_show
    from whichway.cli.fetching import with_models
    from whichway.cli.task_flags import request_of, spec_of

    ready = with_models(lambda: prepare(spec_of(task, contest), request_of(contest)), task.yes)
    if dry_run:
        print("\n".join(lines_of(ready)))
        return 0
    return exit_code(run_and_show(ready, bars=not no_progress, as_json=json, yes=task.yes))
