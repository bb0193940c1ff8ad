"""Arrow files and streams (Feather among them)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from whichway.tasks.readers._columnar import contents, read_arrow
from whichway.tasks.readers._contents import Contents
from whichway.tasks.table import BadRows, ReadOptions

EXTENSIONS = (".arrow", ".feather", ".ipc")


def read(path: Path, options: ReadOptions, bad: BadRows) -> Contents:
    """The rows of an Arrow file or stream.

    Raises:
        DataError: it is damaged.
    """
    return contents(read_arrow(path, "arrow", lambda: table_of(path)), path)


def table_of(path: Path) -> Any:
    """The Arrow table of a file or stream; raises as pyarrow does."""
    import pyarrow as arrow

    with arrow.memory_map(str(path)) as source:
        try:
            return arrow.ipc.open_stream(source).read_all()
        except arrow.ArrowInvalid:
            return arrow.ipc.open_file(source).read_all()
