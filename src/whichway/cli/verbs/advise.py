"""Before anything runs: a prior opinion with its sources, what the data can show, and what to run first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from whichway.cli.flags import TaskFlags, spread


@spread
def advise(
    task: TaskFlags,
    kind: Annotated[
        Literal["classification", "extraction", "generation", "reasoning"] | None, Option(help="What is asked.")
    ] = None,
    rows: Annotated[int | None, Option(min=0, help="Labelled rows, where no data is given.")] = None,
    latency_ms: Annotated[float | None, Option(min=0, help="Milliseconds that an answer may take.")] = None,
    hardware: Annotated[Literal["cpu", "gpu", "hosted"] | None, Option(help="What the model runs on.")] = None,
    privacy: Annotated[Literal["local", "any"] | None, Option(help="Whether data must stay here.")] = None,
    maintainer: Annotated[
        Literal["nobody", "developer", "ml engineer"] | None, Option(help="Who looks after it.")
    ] = None,
    changes: Annotated[
        Literal["weekly", "monthly", "yearly", "never"] | None, Option(help="How often the task changes.")
    ] = None,
    like: Annotated[Path | None, Option(help="A finished run to estimate time from.")] = None,
    probe: Annotated[
        bool, Option("--probe", help="Estimate time from a probe of this machine, some seconds, instead of an old run.")
    ] = False,
    calibrate: Annotated[
        list[Path] | None, Option(metavar="RUN", help="Check the opinion against finished runs; repeatable.")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Give a prior opinion. On a terminal it asks what flags and data do not tell; nothing is run but a probe."""
    import json as as_json
    import sys

    from whichway.app import advise as app
    from whichway.cli.questions import ask
    from whichway.cli.task_flags import spec_of
    from whichway.nouns import to_json
    from whichway.report import advice as page

    if calibrate:
        result = app.calibrate(calibrate)
        print(as_json.dumps(to_json(result), allow_nan=False) if json else "\n".join(page.calibration(result)))
        return
    flags = {
        "kind": kind, "rows": rows, "latency_ms": latency_ms, "hardware": hardware, "privacy": privacy,
        "maintainer": maintainer, "changes": changes, "volume": task.keys.get("volume"),
    }  # fmt: skip
    known = {name: value for name, value in flags.items() if value is not None}
    spec = None if task.task is None and "data" not in task.keys else spec_of(task)
    opinion = app.advise(spec, known, like, probe, ask if sys.stdin.isatty() and not json else None)
    if json:
        print(as_json.dumps(to_json(opinion), allow_nan=False))
    else:
        data = task.task or task.keys.get("data")
        print("\n".join(page.lines(opinion.situation, opinion.advice, opinion.estimate, data)))
