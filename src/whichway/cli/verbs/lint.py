"""Check prompts: what weakens them, why, and with --measure what each edit changes on dev."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from whichway.errors import OptionError


def lint(
    files: Annotated[
        list[Path], Argument(metavar="FILE...", help="A text file, slots as YAML, chat messages, a promptfoo config.")
    ],
    task: Annotated[Path | None, Option(help="The task: rules that need rows see its train and dev rows.")] = None,
    measure: Annotated[bool, Option("--measure", help="Measure each suggested edit on dev, with an interval.")] = False,
    model: Annotated[str | None, Option(help="The model that will read the prompt; default: the task's.")] = None,
    provider: Annotated[str | None, Option(help="A hosted provider: openai, anthropic, google, mistral.")] = None,
    context: Annotated[int | None, Option(min=1, help="Its context, in tokens.")] = None,
    reasoning: Annotated[bool, Option("--reasoning", help="It thinks before it answers.")] = False,
    usd_per_million: Annotated[float | None, Option(min=0, help="Its price for a million prompt tokens.")] = None,
    seed: Annotated[
        Path | None, Option(help="The prompt that an optimiser started from: protected parts are compared.")
    ] = None,
    ignore: Annotated[
        list[str] | None, Option(metavar="ID", help="A rule to leave out; repeat it, or use commas.")
    ] = None,
    baseline: Annotated[Path | None, Option(help="Leave out what this file accepts.")] = None,
    write_baseline: Annotated[Path | None, Option(help="Accept all that is found now, in this file.")] = None,
    sarif: Annotated[Path | None, Option(help="Write the findings as SARIF 2.1.0.")] = None,
    json: Annotated[bool, Option("--json", help="One JSON object on standard output.")] = False,
    no_calibrate: Annotated[
        bool, Option("--no-calibrate", help="Measure labels as they come, without calibration.")
    ] = False,
    cache: Annotated[Path, Option(help="Shared cache of replies.")] = Path("runs/.cache"),
) -> int:
    """Check prompts against rules with evidence. Exit code 1 when there are errors."""
    from whichway.app.lint_prompts import LintOptions
    from whichway.cli.linting.check_files import OutputOptions, check

    if measure and task is None:
        raise OptionError("--measure needs --task: an effect is measured on dev rows.")
    known = LintOptions(
        task, model, provider, context, reasoning, usd_per_million, seed, measure, not no_calibrate, cache
    )
    return check(files, known, OutputOptions(tuple(ignore or ()), baseline, write_baseline, sarif, json))
