"""Say what a run would do, and what it could show, without running it."""

from __future__ import annotations

from whichway.cli.flags import ContestFlags, TaskFlags, spread


@spread
def plan(task: TaskFlags, contest: ContestFlags) -> None:
    """Say what a run would do: rows, ways with all options, seeds, the smallest gap it can show, time and memory."""
    from whichway.app.run import estimate_lines, lines_of, prepare
    from whichway.cli.fetching import fetch_missing
    from whichway.cli.progress import follow

    fetch_missing(task, contest)
    ready = prepare(task, contest)
    print("\n".join(lines_of(ready)), flush=True)
    with follow(ready.probe) as listener:
        for line in estimate_lines(ready, listener):
            print(line)
