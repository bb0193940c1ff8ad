"""The model cache: one folder on this machine in which models appear whole or not at all.

<root>/NAME/model/          a model folder: safetensors, tokenizer, configuration
<root>/NAME/origin.json     where it came from
<root>/.work/NAME/          what is being fetched; a later fetch goes on from there
<root>/.locks/NAME.lock     held by the process that fetches
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from whichway.errors import DiskError

VARIABLE = "WHICHWAY_MODELS"
_FULL = (errno.ENOSPC, errno.EDQUOT)


def root() -> Path:
    """The cache's folder: the environment variable WHICHWAY_MODELS, else in the user's cache folder."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    if sys.platform == "darwin":
        base = Path("~/Library/Caches")
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return base.expanduser() / "whichway" / "models"


def origin(name: str) -> dict[str, Any] | None:
    """Where a cached model came from; None where it is not in the cache."""
    try:
        facts = json.loads((root() / name / "origin.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) and folder(name).is_dir() else None


def folder(name: str) -> Path:
    """The model folder of a cached model, whether or not it is there."""
    return root() / name / "model"


def names() -> list[str]:
    """All cached models."""
    place = root()
    folder_names = [path.name for path in place.iterdir()] if place.is_dir() else []
    return sorted(name for name in folder_names if not name.startswith(".") and origin(name) is not None)


def work(name: str) -> Path:
    """The folder in which a model is prepared."""
    return root() / ".work" / name


@contextmanager
def locked(name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a cached model's lock, which ends with the process that holds it.

    Args:
        name: of the model.
        waiting: called once when another process holds the lock.
    """
    from filelock import FileLock, Timeout

    place = root() / ".locks"
    place.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting is not None:
            waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def install(prepared: Path, name: str, facts: Mapping[str, Any]) -> Path:
    """Put a prepared folder (which holds `model/`) in its place, by one rename; its model folder.

    The caller holds the lock.
    """
    (prepared / "origin.json").write_text(json.dumps(dict(facts), indent=1, ensure_ascii=False), encoding="utf-8")
    goal = root() / name
    if goal.exists():  # of an older shelf file, or without an origin
        old = work(name) / "replaced"
        shutil.rmtree(old, ignore_errors=True)
        goal.replace(old)
    os.replace(prepared, goal)
    return goal / "model"


def remove(name: str) -> int:
    """Take a model out of the cache, with what was left of fetching it; the bytes that are free again."""
    with locked(name):
        size = bytes_of(root() / name) + bytes_of(work(name))
        leaving = work(name)
        if (root() / name).exists():
            leaving.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):
                shutil.rmtree(leaving / "removed")
            (root() / name).replace(leaving / "removed")  # it is away at once, even when the next line is interrupted
        shutil.rmtree(leaving, ignore_errors=True)
    return size


def bytes_of(place: Path) -> int:
    """Size of all files below a folder; files that vanish meanwhile count nothing."""
    total = 0
    for path in place.rglob("*") if place.is_dir() else ():
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk is full; safetensors wraps it in an error of its own."""
    return (isinstance(error, OSError) and error.errno in _FULL) or "No space left on device" in str(error)


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Work in the cache: a full or forbidden disk is a clear error, and what was half written is taken away.

    Raises:
        DiskError: the cache cannot be written.
    """
    try:
        yield
    except DiskError:
        shutil.rmtree(work(name), ignore_errors=True)
        raise
    except Exception as error:
        if is_full(error):
            shutil.rmtree(work(name), ignore_errors=True)
            raise DiskError(
                f"The disk is full: {name} could not be written to {root()}, and nothing of it was kept. Free some "
                f"space, or name another place in the environment variable {VARIABLE}."
            ) from error
        if isinstance(error, OSError):
            raise DiskError(
                f"The model cache {root()} cannot be written ({error.strerror or error}). Name another place in the "
                f"environment variable {VARIABLE}."
            ) from error
        raise


def need_space(name: str, megabytes: float) -> None:
    """Refuse to start what cannot fit.

    Raises:
        DiskError: the disk of the cache has less room.
    """
    place = root()
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free / 1e6
    if free < megabytes:
        raise DiskError(
            f"{name} needs {megabytes:.0f} MB on the disk of {place} while it is prepared, and {free:.0f} MB are free. "
            f"Free some space, or name another place in the environment variable {VARIABLE}."
        )


def read_json(name: str) -> dict[str, Any]:
    """A small file of facts in the cache; empty where there is none or it is damaged."""
    try:
        facts = json.loads((root() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def update_json(name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change such a file, written then renamed; a cache that cannot be written is left as it is."""
    with suppress(OSError), locked(name):
        facts = read_json(name)
        change(facts)
        temporary = root() / f".{name}.{os.getpid()}"
        temporary.write_text(json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False), encoding="utf-8")
        temporary.replace(root() / name)
