"""Models that other programs keep on this disk: Ollama's store and LM Studio's folder, read and never written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from whichway.errors import ModelError, did_you_mean

OLLAMA, LMSTUDIO = "ollama", "lmstudio"
_MODEL_LAYER = "application/vnd.ollama.image.model"
_ADAPTER_LAYER = "application/vnd.ollama.image.adapter"
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}$")


def find(store: str, name: str) -> Path:
    """The GGUF file or model folder that a name in a store stands for.

    Args:
        store: "ollama" or "lmstudio".
        name: as the program itself lists it: `llama3.2:1b`; `publisher/model`, or the file's name.

    Raises:
        ModelError: the store is not on this disk or has no such model, or the model cannot be used.
    """
    if store == OLLAMA:
        return _blob(name, _among("Ollama", f"{ollama_folder()}", name, dict(ollama())))
    return _among("LM Studio", " or ".join(map(str, lmstudio_folders())), name, dict(lmstudio()))


def _among(program: str, place: str, name: str, models: dict[str, Path]) -> Path:
    if name in models:
        return models[name]
    word = name.casefold()
    near = [path for known, path in models.items() if word in _spellings(known)]
    if len(set(near)) == 1:
        return near[0]
    if near:
        fits = ", ".join(known for known in models if word in _spellings(known))
        raise ModelError(f"{program} has several models that '{name}' may mean: {fits}.")
    if not models:
        raise ModelError(f"{program} has no models in {place}.")
    raise ModelError(f"{program} has no model '{name}' in {place}.{did_you_mean(name, models)}")


def _spellings(known: str) -> set[str]:
    """A model's name, and the parts of it that name it where they name only one."""
    known = known.casefold()
    parts = known.split("/")
    names = {known, parts[-1], "/".join(parts[:2]), *parts[1:2]}
    names |= {name.removesuffix(":latest") for name in names} | {name.removesuffix(".gguf") for name in names}
    return names


# Ollama


def ollama_folder() -> Path:
    """Ollama's store: the environment variable OLLAMA_MODELS, else where it is by default."""
    named = os.environ.get("OLLAMA_MODELS")
    if named:
        return Path(named).expanduser()
    own, service = Path("~/.ollama/models").expanduser(), Path("/usr/share/ollama/.ollama/models")
    return service if not own.is_dir() and service.is_dir() else own


def ollama() -> Iterator[tuple[str, Path]]:
    """Every model of Ollama's store: its name as `ollama list` says it, and its manifest."""
    root = ollama_folder() / "manifests"
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        parts = path.relative_to(root).parts
        if len(parts) >= 3 and path.is_file() and not path.name.startswith("."):
            host, *space, model, tag = parts
            shown = model if space == ["library"] else "/".join([*space, model])
            if space != ["library"] and not host.startswith("registry."):  # Ollama's own server goes without saying
                shown = f"{host}/{shown}"
            yield f"{shown}:{tag}", path


def _blob(name: str, manifest: Path) -> Path:
    """The GGUF file that a manifest names."""
    try:
        layers: list[dict[str, Any]] = json.loads(manifest.read_text(encoding="utf-8"))["layers"]
        kinds = [layer["mediaType"] for layer in layers]
        blobs = [str(layer["digest"]) for layer in layers if layer["mediaType"] == _MODEL_LAYER]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"Ollama's manifest {manifest} cannot be read ({type(error).__name__}).") from error
    if _ADAPTER_LAYER in kinds:
        raise ModelError(f"ollama:{name} puts an adapter on its model, which is not taken over. Name the model itself.")
    if len(blobs) != 1:
        raise ModelError(f"ollama:{name} has {len(blobs)} model files; one is needed. Is it a model of another server?")
    file = ollama_folder() / "blobs" / blobs[0].replace(":", "-")
    if not file.is_file():
        raise ModelError(f"Ollama's store lacks the file of {name} ({file}). Get it again: ollama pull {name}")
    return file


# LM Studio


def lmstudio_folders() -> list[Path]:
    """LM Studio's model folders: the one that it was set to, and where they are by default."""
    home = Path("~/.lmstudio").expanduser()
    with suppress(OSError):
        home = Path(Path("~/.lmstudio-home-pointer").expanduser().read_text(encoding="utf-8").strip())
    places = [home / "models", Path("~/.cache/lm-studio/models").expanduser()]
    with suppress(OSError, ValueError, KeyError, TypeError):
        chosen = json.loads((home / "settings.json").read_text(encoding="utf-8"))["downloadsFolder"]
        places.insert(0, Path(chosen).expanduser())
    there = [path for path in dict.fromkeys(places) if path.is_dir()]
    return there or places[:1]


def lmstudio() -> Iterator[tuple[str, Path]]:
    """Every model of LM Studio: `publisher/model/file.gguf` and its file, or `publisher/model` and its folder."""
    for root in lmstudio_folders():
        for folder in sorted(root.glob("*/*")):
            name = f"{folder.parent.name}/{folder.name}"
            for file in sorted(folder.glob("*.gguf")):
                if not file.name.startswith("mmproj") and not _LATER_PART.search(file.stem):
                    yield f"{name}/{file.name}", file
            if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
                yield name, folder
