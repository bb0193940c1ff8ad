"""A trained part on disk: a folder that is there whole or not at all, with what its training cost beside it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whichway.nouns import Adapter, Weights
from whichway.training_kinds import FACTS


@contextmanager
def written(place: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `place` at the end; a kill before that leaves nothing there."""
    temporary = place.parent / f".{place.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    temporary.replace(place)


def write_facts(place: Path, **facts: Any) -> None:
    """What `read_adapter` reads beside the trained part in `place`: its fields, and the size of the part."""
    size = sum(f.stat().st_size for f in place.glob("*.safetensors"))
    (place / FACTS).write_text(json.dumps({**facts, "bytes": size}), encoding="utf-8")


def read_adapter(place: Path, start: Weights) -> Adapter:
    """The checkpoint in `place`, as the noun."""
    facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
    kind = facts.pop("kind")
    return Adapter(dataclasses.replace(start, adapter=place.name, kind=kind), **facts)


def state_file(folder: Path, key: str) -> Path:
    """Where a training keeps its state."""
    return folder / "state" / f"{key}.safetensors"


def finish(state: Path, done: Sequence[str]) -> None:
    """Mark a training as done, with the names of its checkpoints; its state is of no more use."""
    goal = state.with_suffix(".json")
    temporary = goal.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(done), encoding="utf-8")
    temporary.replace(goal)
    state.unlink(missing_ok=True)


def finished(state: Path, folder: Path) -> list[str] | None:
    """The names of a done training's checkpoints; None where it is not done, or one of them is gone."""
    goal = state.with_suffix(".json")
    if not goal.exists():
        return None
    names: list[str] = json.loads(goal.read_text(encoding="utf-8"))
    return names if all((folder / name).exists() for name in names) else None
