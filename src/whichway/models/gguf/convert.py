"""Convert a GGUF file to a model folder: config.json, safetensors, tokenizer, chat template, generation_config.json.

Everything downstream (answering, training, shipping) then knows one kind of model. The folder is written beside its
place and renamed when it is complete, so a folder that exists is whole. Weights are written tensor by tensor; the
largest one that has to be held is a query or key projection.

**Formats.** A tensor is stored as bfloat16 where that loses nothing, else as float32: dequantised values need more than
bfloat16's 8 bits, and rounding them moves the logits of a 135 M model by up to 0.3 (their standard deviation: 8). The
matrices of models above `weights.EXACT_BELOW` weights are rounded.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from whichway.errors import DiskError, ModelError
from whichway.models.gguf import tokenizer
from whichway.models.gguf.architectures import config
from whichway.models.gguf.header import Header, is_gguf, read
from whichway.models.gguf.parameters import EXACT_BELOW, Parameter, parameters, pieces
from whichway.models.gguf.values import to_bfloat16

__all__ = ["convert", "is_gguf"]

VERSION = 1  # of what is written; raise it when the same file gives another folder
SOURCE = "source.json"
_ROOM = 20_000_000  # bytes for everything besides the weights


def convert(file: Path, folder: Path) -> None:
    """Write the model folder of a GGUF file; nothing is done where it is there already.

    Args:
        file: the GGUF file, whole (not one part of several).
        folder: where the model goes; its parent is made. Two processes may do this at once: one waits for the other.

    Raises:
        ModelError: no GGUF file, cut off, an unknown architecture or tensor type, no tokenizer; or `folder` holds
            something else.
        DiskError: there is not enough room.
    """
    from filelock import FileLock

    header = read(file)
    try:
        settings, words, tensors = config(header), tokenizer.vocabulary(header), parameters(header)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # numbers that cannot be
        raise ModelError(
            f"{file} is damaged: its metadata contradict each other ({error!r}). Fetch it again."
        ) from error
    if len(words.tokens) > settings["vocab_size"]:
        raise ModelError(f"{file} has {len(words.tokens)} tokens and embeds {settings['vocab_size']}; it is damaged.")
    digest = sha256(file)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if _is_done(folder, digest):
                return
            _remove_partial(folder)
            _check_room(folder, tensors)
            _write_beside(header, folder, settings, words, tensors, digest)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskError(f"The disk is full; {file} could not be converted. Make room and try again.") from error
        raise DiskError(f"{file} could not be converted to {folder}: {error}") from error


def sha256(file: Path) -> str:
    """Hex digest of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_done(folder: Path, digest: str) -> bool:
    if not folder.exists() or not any(folder.iterdir()):
        return False
    try:
        source = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        source = {}
    if source.get("sha256") == digest:
        return True
    raise ModelError(f"{folder} is there already and was not made from this file; remove it or give another folder.")


def _partial(folder: Path) -> str:
    return f".{folder.name}.partial-"


def _remove_partial(folder: Path) -> None:
    """Remove what killed conversions left; the lock is held, so none of it is in use."""
    for left in folder.parent.glob(f"{_partial(folder)}*"):
        shutil.rmtree(left, ignore_errors=True)


def _check_room(folder: Path, tensors: Sequence[Parameter]) -> None:
    needed = sum(_bytes(parameter, kind) for parameter, kind in zip(tensors, formats(tensors), strict=True)) + _ROOM
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise DiskError(
            f"{folder} needs {needed / 1e6:,.0f} MB; its disk has {free / 1e6:,.0f} MB left. Make room and try again."
        )


def _write_beside(
    header: Header,
    folder: Path,
    settings: dict[str, Any],
    words: tokenizer.Vocabulary,
    tensors: Sequence[Parameter],
    digest: str,
) -> None:
    beside = Path(tempfile.mkdtemp(prefix=_partial(folder), dir=folder.parent))
    try:
        kinds = formats(tensors)
        tokenizer.build(header, words).save(str(beside / "tokenizer.json"))
        ends = tokenizer.generation(words)
        width = "float32" if "F32" in kinds else "bfloat16"
        marks = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))  # None, where a class has a default
        _write_json(beside / "config.json", {**settings, **marks, **ends, "torch_dtype": width})
        _write_json(beside / "generation_config.json", ends)
        _write_json(beside / "tokenizer_config.json", tokenizer.settings(header, words))
        if words.chat_template:
            (beside / "chat_template.jinja").write_text(words.chat_template, encoding="utf-8")
        _write_json(beside / SOURCE, _source(header, digest, width))
        _write_weights(header, beside / "model.safetensors", tensors, kinds)
        beside.chmod(0o755)  # mkdtemp makes it the user's alone
        beside.replace(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _source(header: Header, digest: str, width: str) -> dict[str, Any]:
    return {
        "format": "gguf",
        "sha256": digest,
        "name": str(header.metadata.get("general.name", "")),
        "architecture": header.architecture,
        "licence": str(header.metadata.get("general.license", "")),
        "quantisation": dict(sorted(Counter(info.kind for info in header.tensors.values()).items())),
        "stored_as": width,
        "converter": VERSION,
    }


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def formats(tensors: Sequence[Parameter]) -> list[str]:
    """How each parameter is stored: "BF16" or "F32"."""
    weights = sum(int(np.prod(parameter.info.shape)) for parameter in tensors)
    rounded = weights > EXACT_BELOW
    return ["BF16" if p.exact or (rounded and len(p.info.shape) > 1) else "F32" for p in tensors]


def _bytes(parameter: Parameter, kind: str) -> int:
    return int(np.prod(parameter.info.shape)) * (2 if kind == "BF16" else 4)


def _write_weights(header: Header, file: Path, tensors: Sequence[Parameter], kinds: Sequence[str]) -> None:
    """One safetensors file (https://huggingface.co/docs/safetensors), written as it goes."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for parameter, kind in zip(tensors, kinds, strict=True):
        size = _bytes(parameter, kind)
        shape = list(parameter.info.shape)
        entries[parameter.name] = {"dtype": kind, "shape": shape, "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for parameter, kind in zip(tensors, kinds, strict=True):
            for part in pieces(header, parameter):
                stored = to_bfloat16(part) if kind == "BF16" else part
                stream.write(np.ascontiguousarray(stored).data)
        stream.flush()
        os.fsync(stream.fileno())
