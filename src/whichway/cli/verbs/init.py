"""Write a commented task.yaml, with columns found in your data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def init(
    data: Annotated[Path | None, Argument(help="A data file, to find the columns in.")] = None,
    out: Annotated[Path | None, Option(help="The file to write (task.yaml); never over an existing one.")] = None,
    example: Annotated[str | None, Option(help="Copy an example instead: support, letters (open-ended).")] = None,
) -> None:
    """Write a commented task.yaml, with columns found in your data."""
    from whichway.app import bundled_examples
    from whichway.app.task_draft import draft
    from whichway.errors import OptionError, UserError

    if example is not None:
        if data is not None:
            raise OptionError("init: give a data file or --example, not both.")
        path = bundled_examples.copy(example, out or Path(example))
        print(f"{path} written. Change it, then: whichway run {path}")
        return
    out = out or Path("task.yaml")
    text = draft(data, out)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{out} exists already; nothing was written. Give another name with --out.") from None
    print(f"{out} written. Next: whichway check {out}")
