"""Parquet files, also those of Hugging Face `datasets` with their label names."""

from __future__ import annotations

from pathlib import Path

from whichway.tasks.readers._columnar import contents, read_arrow
from whichway.tasks.readers._contents import Contents
from whichway.tasks.table import BadRows, ReadOptions

EXTENSIONS = (".parquet", ".pq")


def read(path: Path, options: ReadOptions, bad: BadRows) -> Contents:
    """The rows of a Parquet file.

    Raises:
        DataError: it is damaged.
    """
    import pyarrow.parquet as parquet

    return contents(read_arrow(path, "parquet", lambda: parquet.ParquetFile(path).read()), path)
