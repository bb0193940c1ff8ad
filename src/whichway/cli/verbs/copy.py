"""Copy a finished run to a remote folder (s3://, gs://, ...), or from one."""

from __future__ import annotations

from typing import Annotated

from typer import Argument


def copy(
    source: Annotated[str, Argument(help="A finished run: its folder, or its address.")],
    goal: Annotated[str, Argument(help="Where it shall lie: an address such as s3://bucket/run, or a folder.")],
) -> None:
    """Copy a finished run to a remote folder or from one. Addresses are those of fsspec."""
    from whichway.app.remote_folders import copy_run

    names = copy_run(source, goal)
    print(f"{len(names)} files copied to {goal}.")
