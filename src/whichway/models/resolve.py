"""What a user's word for a model means: the one place that turns it into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from whichway.errors import ModelError, ModelMissing, did_you_mean
from whichway.models import converted, fetch, hub, shelf, stores

GGUF = ".gguf"


def find(word: str) -> Path:
    """The model folder that a user's word names.

    A word is a name of the shelf (`smollm2`, `embedded`), `ollama:NAME`, `lmstudio:NAME`, a model folder, a `.gguf`
    file, or a hub name; "" is the shelf's default. A name of the shelf comes first: a folder of the same name is
    written `./NAME`. A GGUF file is converted at its first use, and a hub name downloaded; a model of the shelf is
    fetched by `fetch` only.

    Raises:
        ModelError: there is no such model.
        ModelMissing: it is on the shelf and was not fetched yet.
        DiskError: a conversion or a download does not fit on the disk.
    """
    entries = shelf.load().entries
    word = word or default()
    if word in entries:
        folder = fetch.here(entries[word])
        if folder is None:
            raise ModelMissing(missing(entries[word]), word)
        return folder
    place = _on_disk(word)
    if place is None:
        return _from_hub(word, entries)
    return converted.folder_of(place) if place.is_file() else place


def here(word: str) -> Path | None:
    """The folder that a word names, where it can be used at once; None where it must be fetched or converted first.

    Raises:
        ModelError: a file or a store's model that can never be used.
    """
    entries = shelf.load().entries
    word = word or default()
    if word in entries:
        return fetch.here(entries[word])
    place = _on_disk(word)
    if place is None:
        return hub.here(word) if hub.NAME.fullmatch(word) else None
    return converted.here(place) if place.is_file() else place


def name_of(word: str) -> str:
    """The word itself; for "", the name of the shelf's default."""
    return word or default()


def default() -> str:
    """The name of the model that is under trial where none is named."""
    return shelf.load().default


def default_encoder() -> str:
    """The name of the sentence encoder that is used where none is named."""
    return shelf.load().encoder


def to_convert(word: str) -> Path | None:
    """The GGUF file that a word names and that was not converted yet; None where there is nothing to convert.

    Raises:
        ModelError: a file or a store's model that can never be used.
    """
    if not word or word in shelf.load().entries:
        return None
    place = _on_disk(word)
    return place if place is not None and place.is_file() and converted.here(place) is None else None


def missing(entry: shelf.ShelfEntry) -> str:
    """What a message says of a model of the shelf that was not fetched yet."""
    accept = f" --accept {entry.terms}" if entry.terms else ""
    return (
        f"{entry.name} is not on this machine yet. Fetch it once ({entry.fetch_mb:.0f} MB, licence {entry.licence}): "
        f"whichway models fetch {entry.name}{accept}. Where nothing can be fetched: --model embedded."
    )


def _on_disk(word: str) -> Path | None:
    """The folder or GGUF file that a store's name or a path names; None for other words.

    Raises:
        ModelError: it is there but is no model, or it can only be a path and is not there.
    """
    store, colon, name = word.partition(":")
    if colon and store in (stores.OLLAMA, stores.LMSTUDIO):
        return stores.find(store, name)
    path = Path(word).expanduser()
    if path.is_dir():
        return path
    if path.exists() and path.suffix.lower() != GGUF:
        raise ModelError(
            f"{word} is a file; a model is a folder with config.json, *.safetensors and a tokenizer, or a .gguf file."
        )
    if not path.exists() and path.suffix.lower() == GGUF:
        raise ModelError(f"There is no file {word}.")
    return path if path.exists() else None


def _from_hub(word: str, entries: Mapping[str, shelf.ShelfEntry]) -> Path:
    if not hub.NAME.fullmatch(word):
        raise ModelError(f"There is no folder {word}.")
    try:
        return hub.find(word)
    except ModelError as error:
        near = "" if "/" in word else f" On the shelf:{did_you_mean(word, entries).replace(' Known:', '')}"
        raise ModelError(
            f"There is no folder {word}, and {error}. Give the path of a model folder, or 'embedded', which is always "
            f"here.{near}"
        ) from error
