"""Run an example that comes along: customer messages to teams, or (--example letters) letters of lost pets."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from whichway.app.bundled_examples import DEFAULT, find
from whichway.cli.flags import ContestFlags, Plain, TaskFlags, Yes, spread
from whichway.options import MODEL_HELP

SEEDS = 1  # a contest of yours has three: minutes are short


@spread
def demo(
    contest: ContestFlags,
    example: Annotated[
        str, Option(help="support: messages to teams. letters: an open-ended task, quality beside variety.")
    ] = DEFAULT,
    model: Annotated[str | None, Option(help=f"{MODEL_HELP}.")] = None,
    yes: Yes = False,
    json: Annotated[
        bool, Option("--json", help="One JSON object on standard output; progress on standard error.")
    ] = False,
    no_progress: Annotated[bool, Option("--no-progress", help="No progress; warnings are still shown.")] = False,
    plain: Plain = False,
) -> int:
    """Run an example that comes along, end to end, into runs/demo (or runs/demo-NAME)."""
    import dataclasses
    import sys

    from whichway.app.run import RUNS, prepare
    from whichway.cli.contest import exit_code, run_and_show
    from whichway.cli.fetching import with_models
    from whichway.cli.task_flags import request_of, spec_of

    place = "demo" if example == DEFAULT else f"demo-{example}"
    options = {**({} if "folds" in contest.options else {"seeds": SEEDS}), **contest.options}
    flags = dataclasses.replace(contest, out=contest.out or RUNS / place, options=options)
    task = TaskFlags(task=find(example), keys={"model": [model]} if model else {}, yes=yes)
    ready = with_models(lambda: prepare(spec_of(task, flags), request_of(flags)), yes)
    outcome = run_and_show(ready, bars=not no_progress, as_json=json, plain=plain)
    start = "run --data your.csv" if example == DEFAULT else f"init --example {example}"
    print(f"Next: whichway {start}", file=sys.stderr if json else sys.stdout)
    return exit_code(outcome)
