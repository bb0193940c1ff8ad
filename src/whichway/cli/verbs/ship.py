"""Write a run's winner as a folder: prompt, adapter, card, and a program for language models that needs no whichway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def ship(
    run: Annotated[Path, Argument(help="A finished run folder.")],
    out: Annotated[Path, Option(help="The folder to write.")] = Path("winner"),
    candidate: Annotated[
        str | None, Option(help="A candidate's id, or the start of it, instead of the winner.")
    ] = None,
    way: Annotated[str | None, Option(help="A way's best candidate instead of the winner.")] = None,
) -> None:
    """Write a run's winner as a folder: prompt, trained part, model card, manifest."""
    from whichway.ship import ship as write

    shipped = write(run, out, candidate, way)
    print(f"{shipped.candidate.way} ({shipped.candidate.id}) -> {shipped.folder}")
    for name in shipped.files:
        print(f"  {name}")
