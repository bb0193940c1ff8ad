"""Write a run's winner as a folder: prompt, adapter, card, and a program for language models that needs no whichway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from whichway.errors import OptionError


def ship(
    run: Annotated[Path, Argument(help="A finished run folder.")],
    out: Annotated[
        Path | None, Option(help="The folder to write; default: winner, or winner-promptfoo for that format.")
    ] = None,
    candidate: Annotated[
        str | None, Option(help="A candidate's id, or the start of it, instead of the winner.")
    ] = None,
    way: Annotated[str | None, Option(help="A way's best candidate instead of the winner.")] = None,
    format: Annotated[str, Option(help="folder, or promptfoo: a configuration with the test rows.")] = "folder",  # noqa: A002
) -> None:
    """Write a run's winner as a folder: prompt, trained part, model card, manifest; or as a promptfoo configuration."""
    out = out or Path("winner" if format == "folder" else f"winner-{format}")
    if format == "promptfoo":
        from whichway.ship.promptfoo import export

        source, names = export(run, out, candidate, way)
        print("\n".join([f"{source.candidate.way} ({source.candidate.id}) -> {out}", *(f"  {name}" for name in names)]))
        return
    if format != "folder":
        raise OptionError(f"--format {format}: write folder or promptfoo.")
    from whichway.app.configure import backends
    from whichway.ship import ship as write

    shipped = write(run, out, candidate, way, backends())
    print(f"{shipped.candidate.way} ({shipped.candidate.id}) -> {shipped.folder}")
    for name in shipped.files:
        print(f"  {name}")
