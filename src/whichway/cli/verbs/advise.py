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
    from dataclasses import replace

    from whichway.app import advice_inputs
    from whichway.cli.questions import ask
    from whichway.cli.task_flags import spec_of
    from whichway.errors import OptionError
    from whichway.nouns import to_json
    from whichway.report import advice as told
    from whichway.verdict.advice import advise as opinion
    from whichway.verdict.advice import calibrate as check

    if calibrate:
        calibration = check([advice_inputs.of_run(run) for run in calibrate])
        print(
            as_json.dumps(to_json(calibration), allow_nan=False) if json else "\n".join(told.calibration(calibration))
        )
        return
    spec = None if task.task is None and "data" not in task.keys else spec_of(task)
    if probe and spec is None:
        raise OptionError("--probe wants a task: give a task file, or --data.")
    about, examined = advice_inputs.of_task(spec)
    flags = {
        "kind": kind, "rows": rows, "latency_ms": latency_ms, "hardware": hardware, "privacy": privacy,
        "maintainer": maintainer, "changes": changes, "volume": task.keys.get("volume"),
    }  # fmt: skip
    known = {name: value for name, value in flags.items() if value is not None}
    about = replace(about, **known)  # type: ignore[arg-type]
    if sys.stdin.isatty() and not json:
        about = ask(about)
    advice = opinion(about)
    estimate = advice_inputs.probed(spec) if probe and spec else advice_inputs.estimate(about, examined, like)
    if json:
        print(as_json.dumps(to_json({"situation": about, "advice": advice, "estimate": estimate}), allow_nan=False))
    else:
        print("\n".join(told.lines(about, advice, estimate, task.task or task.keys.get("data"))))
