"""Activations that several trainings read: computed once, kept on disk under a digest of all that decides them.

Files lie beside the trainings' folders, so trials, epochs and seeds of one contest share them; the contest deletes them
when it ends. A file that cannot be written (a full disk), or is gone, is no error: the numbers are then computed again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from whichway.nouns import digest

LIMIT = 2 << 30  # bytes of one file; more is not kept


def cached_tensors(beside: Path, key: object, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors from disk (mapped, not read), or made and written there.

    Args:
        beside: a training's folder; the file goes to `states/` next to it.
        key: everything that decides the tensors.
        make: gives them.
    """
    from safetensors.torch import load_file, save_file

    place = beside.parent / "states" / f"{digest(key, 32)}.safetensors"
    with contextlib.suppress(FileNotFoundError):
        return load_file(place)
    tensors = make()
    if sum(t.numel() * t.element_size() for t in tensors.values()) > LIMIT:
        return tensors
    temporary = place.with_suffix(f".{os.getpid()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary)
        temporary.replace(place)
        return load_file(place)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        return tensors
