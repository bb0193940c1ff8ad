"""Say what a run would do, and what it could show, without running it."""

from __future__ import annotations

from whichway.cli.flags import ContestFlags, TaskFlags, spread


@spread
def plan(task: TaskFlags, contest: ContestFlags) -> None:
    """Say what a run would do: rows, ways with all options, seeds, the smallest gap it can show, time and memory."""
    from whichway.app.run import estimate_lines, lines_of, prepare
    from whichway.cli.fetching import with_models
    from whichway.cli.progress import follow
    from whichway.cli.task_flags import request_of, spec_of

    ready = with_models(lambda: prepare(spec_of(task, contest), request_of(contest)), task.yes)
    print("\n".join(lines_of(ready)), flush=True)
    with follow(ready.probe) as listener:
        for line in estimate_lines(ready, listener):
            print(line)
