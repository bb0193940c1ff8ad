"""GGUF files of the user's own, each converted once into the model cache."""

from __future__ import annotations

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whichway.models import model_cache
from whichway.models.fetch import convert, converter
from whichway.models.model_files import file_digest

log = logging.getLogger(__name__)
DIGESTS = "digests.json"  # digests of files that were read before, by path


def name_of(file: Path) -> str:
    """The name that a GGUF file's conversion has in the model cache, by the digest of its content."""
    return f"gguf-{_digest(file)[:16]}-{converter()}"


def here(file: Path) -> Path | None:
    """The converted folder of a GGUF file; None where it was not converted yet."""
    name = name_of(file)
    return model_cache.folder(name) if model_cache.origin(name) is not None else None


def folder_of(file: Path) -> Path:
    """The converted folder of a GGUF file; the first call converts, for seconds to minutes.

    Raises:
        ModelError: its architecture or its types are not known, or it is damaged.
        DiskError: the disk is full, or the cache cannot be written.
    """
    name = name_of(file)
    if model_cache.origin(name) is not None:
        return model_cache.folder(name)
    with model_cache.writing(name), model_cache.locked(name):
        if model_cache.origin(name) is None:
            # at 4 to 8 bits a weight, bfloat16 takes two to four times the file
            model_cache.need_space(file.name, 4 * file.stat().st_size / 1e6)
            prepared = model_cache.work(name) / "prepared"
            shutil.rmtree(model_cache.work(name), ignore_errors=True)
            prepared.mkdir(parents=True)
            log.warning("%s is converted, once, into the model cache", file)  # it takes seconds to minutes
            try:
                convert(file, prepared / "model")
                facts = {"source": str(file), "sha256": _digest(file), "name": file.name}
                model_cache.install(prepared, name, {**facts, "fetched": datetime.now(UTC).strftime("%Y-%m-%d")})
            finally:
                shutil.rmtree(model_cache.work(name), ignore_errors=True)
    return model_cache.folder(name)


def _digest(file: Path) -> str:
    """SHA-256 of a file; a file of gigabytes is read once, and again only when it changes."""
    path, facts = str(file.resolve()), file.stat()
    mark = [facts.st_size, facts.st_mtime_ns]
    known = model_cache.read_json(DIGESTS).get(path)
    if isinstance(known, dict) and known.get("file") == mark:
        return str(known["sha256"])
    sha256 = file_digest(file)

    def remember(digests: dict[str, Any]) -> None:
        digests[path] = {"file": mark, "sha256": sha256}

    model_cache.update_json(DIGESTS, remember)
    return sha256
