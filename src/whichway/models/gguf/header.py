"""The header of a GGUF file: metadata, and where each tensor lies.

Layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): magic, version, counts, key-value pairs, one entry
for each tensor, padding, tensor data. The header is read by hand instead of by `gguf.GGUFReader`, which makes one array
object for each token of the vocabulary (seconds at 262,144 tokens) and does not notice that a file is cut off.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.errors import ModelError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of the file."""

    name: str
    shape: tuple[int, ...]  # of the values, slowest dimension first, as torch writes it
    kind: str  # quantisation type by name: "F32", "Q4_K", ...
    start: int  # of its bytes in the file
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself."""

    file: Path
    metadata: Mapping[str, Any]  # numbers, texts, flags; arrays as lists
    tensors: Mapping[str, TensorInfo]

    @property
    def architecture(self) -> str:
        """`general.architecture`: "llama", "qwen2", ..."""
        return str(self.metadata["general.architecture"])

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key of this architecture: `get("block_count")` reads "llama.block_count"."""
        return self.metadata.get(f"{self.architecture}.{key}", default)

    def need(self, key: str) -> Any:
        """The same where a model cannot be built without it.

        Raises:
            ModelError: the file does not have it.
        """
        value = self.get(key)
        if value is None:
            raise ModelError(f"{self.file} says nothing about {self.architecture}.{key}; it is incomplete.")
        return value


def is_gguf(file: Path) -> bool:
    """Whether a file begins as a GGUF file does."""
    with file.open("rb") as stream:
        return stream.read(4) == MAGIC


def read(file: Path) -> Header:
    """The header of a GGUF file, checked: every tensor that it names lies inside the file.

    Raises:
        ModelError: the file is no GGUF, of an unknown version, cut off or damaged, one part of several, or holds
            tensors of a type that cannot be read.
    """
    if not file.is_file():
        raise ModelError(f"There is no file {file}.")
    if not is_gguf(file):
        raise ModelError(f"{file} is not a GGUF file: it does not begin with GGUF. Was the download complete?")
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _HeaderReader(file, data).header()
        except (struct.error, _End) as error:
            raise ModelError(
                f"{file} is cut off: its header does not fit into its {len(data):,} bytes. Fetch it again."
            ) from error
        except (UnicodeDecodeError, ValueError, OverflowError) as error:
            raise ModelError(f"{file} is damaged: {error}. Fetch it again.") from error


class _End(Exception):
    """The file ends before what it announces."""


class _HeaderReader:
    """Walks through the header of one file."""

    def __init__(self, file: Path, data: mmap.mmap) -> None:
        self.file = file
        self.data = data
        self.at = len(MAGIC)

    def header(self) -> Header:
        version = self._scalar("I")
        if version not in _VERSIONS:
            swapped = struct.unpack(">I", struct.pack("<I", version))[0]
            why = "is big-endian" if swapped in _VERSIONS else f"has version {version}"
            raise ModelError(f"{self.file} {why}; GGUF files of version 2 and 3, little-endian, can be read.")
        tensors, pairs = self._scalar("Q"), self._scalar("Q")
        metadata = dict(self._pair() for _ in range(self._fits(pairs, 13)))
        self._check(metadata)
        entries = [self._entry() for _ in range(self._fits(tensors, 24))]
        alignment = int(metadata.get("general.alignment", _ALIGNMENT)) or _ALIGNMENT
        start = math.ceil(self.at / alignment) * alignment
        infos = [self._info(start, *entry) for entry in entries]
        return Header(self.file, metadata, {info.name: info for info in infos})

    def _check(self, metadata: Mapping[str, Any]) -> None:
        if "general.architecture" not in metadata:
            raise ModelError(f"{self.file} names no general.architecture, so it holds no model.")
        parts = int(metadata.get("split.count", 1) or 1)
        if parts > 1:
            raise ModelError(
                f"{self.file} is one of {parts} parts of a model; join them: llama-gguf-split --merge {self.file} OUT."
            )

    def _fits(self, count: int, least: int) -> int:
        """`count`, when so many things of at least `least` bytes can still come."""
        if count * least > len(self.data) - self.at:
            raise _End
        return int(count)

    def _scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.data, self.at)
        self.at += struct.calcsize(f"<{code}")
        return value

    def _text(self) -> str:
        length = self._fits(self._scalar("Q"), 1)
        text = self.data[self.at : self.at + length].decode("utf-8")
        self.at += length
        return text

    def _pair(self) -> tuple[str, Any]:
        key = self._text()
        return key, self._value(self._scalar("I"))

    def _value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            inner, count = self._scalar("I"), self._scalar("Q")
            if inner in _SCALARS:
                return self._numbers(_SCALARS[inner], count)
            return [self._value(inner) for _ in range(self._fits(count, 8))]
        raise ValueError(f"it has a value of the unknown type {kind}")

    def _numbers(self, code: str, count: int) -> list[Any]:
        size = struct.calcsize(f"<{code}")
        values = struct.unpack_from(f"<{self._fits(count, size)}{code}", self.data, self.at)
        self.at += size * count
        return list(values)

    def _entry(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._text()
        shape = tuple(reversed(self._numbers("Q", self._scalar("I"))))
        return name, shape, self._scalar("I"), self._scalar("Q")

    def _info(self, start: int, name: str, shape: tuple[int, ...], kind: int, offset: int) -> TensorInfo:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        try:
            word = GGMLQuantizationType(kind)
        except ValueError as error:
            raise ModelError(f"{self.file}: tensor {name} is of the unknown type {kind}.") from error
        block, block_bytes = GGML_QUANT_SIZES[word]
        if shape and shape[-1] % block:
            raise ValueError(f"tensor {name} ({word.name}) has rows of {shape[-1]} values, no multiple of {block}")
        size = math.prod(shape) // block * block_bytes
        if start + offset + size > len(self.data):
            raise ModelError(
                f"{self.file} is cut off: tensor {name} ends at byte {start + offset + size:,}, "
                f"the file has {len(self.data):,}. Fetch it again."
            )
        return TensorInfo(name, shape, word.name, start + offset, size)
