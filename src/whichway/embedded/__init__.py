"""The small model that ships with the package, so that a first run needs no download."""

from __future__ import annotations

from pathlib import Path

from whichway.errors import ModelError


def path() -> Path:
    """The embedded model's folder.

    Raises:
        ModelError: this installation has none.
    """
    folder = Path(__file__).parent / "model"
    if not (folder / "model.safetensors").exists():
        raise ModelError(
            f"The embedded model is missing in {folder}. Install the package again, or give a folder with --model."
        )
    return folder
