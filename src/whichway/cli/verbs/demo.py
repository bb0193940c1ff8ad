"""Run the example that comes along: customer messages to twelve teams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from whichway.cli.flags import ContestFlags, TaskFlags, spread

NAME = "support"
SEEDS = 2  # one fewer than a contest of yours: three minutes are short


@spread
def demo(
    contest: ContestFlags,
    model: Annotated[str | None, Option(help="'embedded', a model folder, a hub name, or 'fake'.")] = None,
    json: Annotated[
        bool, Option("--json", help="One JSON object on standard output; progress on standard error.")
    ] = False,
    no_progress: Annotated[bool, Option("--no-progress", help="No progress.")] = False,
) -> int:
    """Run the example that comes along, end to end, into runs/demo."""
    import dataclasses
    import sys

    from whichway.cli.contest import RUNS, exit_code, hold, prepare

    flags = dataclasses.replace(contest, out=contest.out or RUNS / "demo", seeds=contest.seeds or SEEDS)
    task = TaskFlags(task=example(), model=[model] if model else None)
    outcome = hold(prepare(task, flags), bars=not no_progress, as_json=json)
    print("Next: whichway run --data your.csv", file=sys.stderr if json else sys.stdout)
    return exit_code(outcome)


def example() -> Path:
    """The example's task file, from the package or from a checkout of the repository.

    Raises:
        DataError: neither has it.
    """
    import whichway
    from whichway.errors import DataError

    package = Path(whichway.__file__).parent
    places = [place / "examples" / NAME / "task.yaml" for place in (package, *package.parents[1:2])]
    for place in places:
        if place.is_file():
            return place
    raise DataError(f"{places[0]} is missing. Install whichway again, or use your own data: whichway run --data FILE")
