"""The examples that come along: folders with a task file."""

from __future__ import annotations

from pathlib import Path

from whichway.errors import DataError, UserError, did_you_mean

DEFAULT = "support"
TASK = "task.yaml"


def find(name: str) -> Path:
    """An example's task file, from the package or from a checkout of the repository.

    Raises:
        DataError: there is no such example.
    """
    places = [place / name / TASK for place in _places()]
    for place in places:
        if place.is_file():
            return place
    if names():
        raise DataError(f"there is no example '{name}'.{did_you_mean(name, names())}")
    raise DataError(f"{places[0]} is missing. Install whichway again, or use your own data: whichway run --data FILE")


def names() -> list[str]:
    """All examples."""
    return sorted({path.parent.name for place in _places() for path in place.glob(f"*/{TASK}")})


def copy(name: str, goal: Path) -> Path:
    """Copy an example to a folder of the user's, to change it there; returns its task file.

    Raises:
        UserError: the folder exists.
    """
    import shutil

    source = find(name).parent
    try:
        shutil.copytree(source, goal)
    except FileExistsError:
        raise UserError(f"{goal} exists already; nothing was written. Give another name with --out.") from None
    return goal / TASK


def _places() -> list[Path]:
    import whichway

    package = Path(whichway.__file__).parent
    return [place / "examples" for place in (package, *package.parents[1:2])]
