"""Fine-tuning jobs at services: list them, stop one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Option, Typer

CACHE = Path("runs/.cache")
HEAD = ("Job", "Model", "State", "Tuned model")

tuning = Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@tuning.callback(invoke_without_command=True)
def table(
    context: Context,
    cache: Annotated[Path, Option(help="Cache of the runs that asked for them.")] = CACHE,
) -> None:
    """Jobs that runs of this place have asked services for, the newest last."""
    context.obj = cache
    if context.invoked_subcommand is not None:
        return
    from whichway.app.hosted_jobs import jobs

    rows = [(job.record.job or "-", job.record.word, job.status, job.tuned) for job in jobs(cache)]
    if not rows:
        print(f"No fine-tuning job was asked for here (looked into {cache}; --cache names another place).")
        return
    widths = [max(len(row[column]) for row in (HEAD, *rows)) for column in range(len(HEAD))]
    for row in (HEAD, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@tuning.command()
def cancel(context: Context, job: Annotated[str, Argument(help="A job of the table.")]) -> None:
    """Stop a job; what it has trained so far may be billed. The run that asked for it goes on without."""
    from whichway.app.hosted_jobs import stop

    stopped = stop(context.obj, job)
    print(f"{job} of {stopped.record.word}: {stopped.status}")
