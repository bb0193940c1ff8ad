"""Folders that are not on this machine: a finished run is copied to them and from them; no run works in one.

A run appends to its files, renames them and holds locks. Object stores have none of the three, so that two contests in
one such folder could not know of each other; a run there is refused rather than risked.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from whichway.errors import DiskError, OptionError, UserError

LAST = "verdict.json"  # its presence says that the rest is whole
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # a single letter is a drive of Windows


def is_remote(place: str | Path) -> bool:
    """Whether it is an address such as `s3://bucket/run`; a path has made one slash of two."""
    return _SCHEME.match(str(place)) is not None


def refuse_remote(what: str, place: Path | None) -> None:
    """Refuse an address where a run would work.

    Args:
        what: the option, as the user says it.
        place: its value.

    Raises:
        OptionError: it is none of this machine's folders.
    """
    if place is not None and is_remote(place):
        address = _SCHEME.sub(r"\1://", str(place).replace("://", ":/"), count=1)
        raise OptionError(
            f"{what} {address}: a run cannot work there, because it needs locks and files that can be added to and "
            f"renamed. Give a folder of this machine, or of a network drive; `whichway copy RUN {address}` puts the "
            "finished run there."
        )


def copy_run(source: str, goal: str) -> list[str]:
    """Copy a finished run to a remote folder, or from one; exactly one of the two is remote.

    Its verdict is copied last, so that a copy that was interrupted is no finished run. A run may be copied again.

    Args:
        source: folder of the run.
        goal: where it shall lie.

    Returns:
        The files, by their names in the run folder.

    Raises:
        UserError: the run is not finished, or something else lies at the goal.
        OptionError: both are remote, or none; the library for such addresses is missing.
        DiskError: a copy failed.
    """
    if is_remote(source) == is_remote(goal):
        raise OptionError(
            f"copy: one of {source} and {goal} must be an address such as s3://bucket/run, the other a folder."
        )
    try:
        return _push(Path(source), goal) if is_remote(goal) else _pull(source, Path(goal))
    except OSError as error:
        raise DiskError(f"copying {source} to {goal} failed: {error}. Run the same command again.") from error


def _opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise OptionError(f"{address} cannot be used: {error}") from error
    return system, str(path).rstrip("/")


def _push(folder: Path, address: str) -> list[str]:
    system, goal = _opened(address)
    if not (folder / LAST).is_file():
        raise UserError(f"{folder} is no finished run: only finished ones are copied.")
    run = (folder / "run_id").read_bytes()
    if system.exists(goal) and system.find(goal):
        known = f"{goal}/run_id"
        if not system.exists(known) or system.cat_file(known) != run:
            raise UserError(f"{address} holds something else. Give another place.")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if _belongs(path))
    if system.exists(f"{goal}/{LAST}"):
        system.rm_file(f"{goal}/{LAST}")  # whoever reads meanwhile sees an unfinished run
    for name in sorted(names, key=lambda name: (name == LAST, name != "run_id", name)):
        system.makedirs(f"{goal}/{name}".rpartition("/")[0], exist_ok=True)
        system.put_file(str(folder / name), f"{goal}/{name}")
        if system.size(f"{goal}/{name}") != (folder / name).stat().st_size:
            raise OSError(f"{name} did not arrive whole")
    return names


def _belongs(path: Path) -> bool:
    return path.is_file() and path.suffix != ".tmp"


def _pull(address: str, folder: Path) -> list[str]:
    system, source = _opened(address)
    if not system.exists(f"{source}/{LAST}"):
        raise UserError(f"{address} holds no finished run.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty. Give another folder.")
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    names = sorted(str(path).removeprefix(source).lstrip("/") for path in system.find(source))
    for name in names:
        (temporary / name).parent.mkdir(parents=True, exist_ok=True)
        system.get_file(f"{source}/{name}", str(temporary / name))
    if folder.exists():
        folder.rmdir()
    temporary.rename(folder)
    return names
