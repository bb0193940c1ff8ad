"""Edit a prompt and see in seconds what it does to the dev score: keep, revert, compare, save."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from typer import Option

from whichway.cli.flags import TaskFlags, spread


@spread
def try_(
    task: TaskFlags,
    once: Annotated[bool, Option("--once", help="Score --prompt against the plain prompt, print, and stop.")] = False,
    rows: Annotated[int | None, Option(min=20, help="Dev rows at most; default: all.")] = None,
    whole: Annotated[bool, Option("--whole", help="Answer every row, also when the difference is clear.")] = False,
    no_calibrate: Annotated[bool, Option("--no-calibrate", help="Labels as they come, without calibration.")] = False,
    json: Annotated[bool, Option("--json", help="With --once: one JSON object.")] = False,
    cache: Annotated[Path, Option(help="Shared cache of replies.")] = Path("runs/.cache"),
) -> None:
    """Edit a prompt and see in seconds what it does to the dev score: keep, revert, compare, save."""
    from whichway.app.prompt_session import open_session
    from whichway.cli.fetching import with_models
    from whichway.cli.playground.interactive import once as score_once
    from whichway.cli.playground.interactive import run_session
    from whichway.cli.task_flags import spec_of

    spec = spec_of(task)
    with ExitStack() as stack:
        seat = with_models(lambda: stack.enter_context(open_session(spec, cache, rows, not no_calibrate)), task.yes)
        if once:
            score_once(seat, whole, json)
        else:
            run_session(seat)
