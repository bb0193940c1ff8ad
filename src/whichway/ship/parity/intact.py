"""Whether a shipped folder holds what its manifest lists."""

from __future__ import annotations

import json
from pathlib import Path

from whichway.ship.written_files import MANIFEST, sha256


def broken_files(folder: Path) -> list[str]:
    """What is missing, cut off or changed, a sentence each; [] where all is as it was written."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as error:
        return [f"{MANIFEST} cannot be read ({type(error).__name__})"]
    problems = [f"{name} is missing" for name in files if not (folder / name).is_file()]
    return problems + [
        f"{name} is not the file that was written" for name, digest in files.items()
        if (folder / name).is_file() and sha256(folder / name) != digest
    ]  # fmt: skip
