"""What a model folder consists of: which files matter, their digest, and how many parameters they hold."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from whichway.nouns import digest

PATTERNS = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja")


def files_digest(folder: Path) -> str:
    """Digest of all files of a model folder that can matter: the same wherever the folder lies."""
    names = {file.name for pattern in PATTERNS for file in folder.glob(pattern) if file.is_file()}
    return digest([[name, file_digest(folder / name)] for name in sorted(names)])


def file_digest(file: Path) -> str:
    """SHA-256 of a file, computed once per process while it stays as it is."""
    facts = file.stat()
    return _digest_once(str(file.resolve()), facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest_once(path: str, size: int, mtime: int) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def parameters(folder: Path) -> int:
    """How many numbers the weights hold, counted from the headers of the safetensors files."""
    from math import prod

    from safetensors import safe_open

    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "np") as weights:
            total += sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total
