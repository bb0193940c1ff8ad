"""What the simulations share: a table is printed line by line while it is made, and written where asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def write_table(lines: Iterable[str], out: Path | None) -> None:
    """Print each line when it is there; write all of them at the end.

    Args:
        lines: of the page.
        out: the file; None: they are printed only.
    """
    written = []
    for line in lines:
        print(line, flush=True)
        written.append(line)
    if out:
        out.write_text("\n".join(written) + "\n", encoding="utf-8")
