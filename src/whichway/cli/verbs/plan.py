"""Say what a run would do, and what it could show, without running it."""

from __future__ import annotations

from whichway.cli.flags import ContestFlags, TaskFlags, spread


@spread
def plan(task: TaskFlags, contest: ContestFlags) -> None:
    """Say what a run would do: rows, ways with all options, seeds, budget, the smallest gap it can show."""
    from whichway.cli.contest import lines_of, prepare

    print("\n".join(lines_of(prepare(task, contest))))
