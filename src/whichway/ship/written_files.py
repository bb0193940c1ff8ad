"""Files of a shipped folder: how they are written, and their digests."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import whichway

CHAT_TEXT = Path(whichway.__file__).parent / "engine" / "model" / "chat_text.py"  # shipped as it is, beside use.py
ENCODER_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model")
LIVE = "live.json"  # the rows that prove a trained part live at load: what is shipped should not quote the data
MANIFEST = "manifest.json"


def write_file(path: Path, content: Any) -> None:
    """Write a text as it is, anything else as JSON."""
    text = (
        content
        if isinstance(content, str)
        else json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    )
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write(text)


def program(name: str) -> str:
    """The text of a file of this package that is shipped as it is."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def copy_trained(adapter: Path, place: Path) -> None:
    """A trained part without the rows that prove it live."""
    ignored = shutil.ignore_patterns(LIVE)
    shutil.copytree(adapter, place, copy_function=shutil.copyfile, ignore=ignored, dirs_exist_ok=True)


def copy_encoder(encoder: Path, place: Path) -> None:
    """What transformers reads of an encoder: its configuration, tokenizer and weights, no pickles, no code."""
    place.mkdir(exist_ok=True)
    for file in sorted(path for pattern in ENCODER_FILES for path in encoder.glob(pattern)):
        if file.is_file():
            shutil.copyfile(file, place / file.name)


def digests(folder: Path) -> dict[str, str]:
    """File -> sha256, of all files of a folder but the manifest that lists them."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


def sha256(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
