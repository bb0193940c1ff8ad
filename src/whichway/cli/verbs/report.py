"""Show a finished run again and rebuild its report.html."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument


def report(run: Annotated[Path, Argument(help="A finished run folder.")]) -> None:
    """Rebuild report.html from the run folder and show the verdict."""
    from whichway.cli.progress import show
    from whichway.report import html
    from whichway.runs.run import Run

    finished = Run(run)
    html.write(finished)
    show(finished)
