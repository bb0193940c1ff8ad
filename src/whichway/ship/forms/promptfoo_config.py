"""A promptfoo configuration with the test rows, answered by `whichway serve`; see `ship.promptfoo`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whichway.ship import promptfoo
from whichway.ship.forms import Export
from whichway.ship.source import ShipSource
from whichway.ship.written_files import write_file

NAME = "promptfoo"
SUMMARY = "a promptfoo configuration with the test rows, answered by `whichway serve RUN`"
RUNTIME = "promptfoo"


def fits(source: ShipSource) -> str:
    """Winners that answer to a prompt; the server asks what no chat request can."""
    return "" if source.asks else "it answers to no prompt"


def write(export: Export, folder: Path) -> None:
    """Write configuration, prompt and, where it is needed, the judge."""
    for name, text in promptfoo.contents(export.source, export.run.row_lines).items():
        write_file(folder / name, text)


def use(source: ShipSource) -> Sequence[str]:
    """How it is run."""
    return ("```", "whichway serve RUN", f"promptfoo eval -c {promptfoo.CONFIG}", "```")
