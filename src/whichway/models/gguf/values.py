"""The values of tensors: bytes of a GGUF file to float32, and to bfloat16 where that is enough."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from whichway.errors import ModelError
from whichway.models.gguf.header import Header, TensorInfo

Floats = npt.NDArray[np.float32]
_CHUNK = 8_000_000  # values dequantised at once: 32 MB as float32
_FLOATS = {"F32": np.float32, "F16": np.float16, "F64": np.float64}


def values(header: Header, name: str) -> Floats:
    """All values of a tensor, in its shape."""
    info = header.tensors[name]
    return np.concatenate(list(rows(header, info))).reshape(info.shape)


def rows(header: Header, info: TensorInfo) -> Iterator[Floats]:
    """The values of a tensor as float32 `[rows, width]`, a few megabytes at a time.

    Raises:
        ModelError: no way to dequantise its type is known.
    """
    width = info.shape[-1] if info.shape else 1
    count = int(np.prod(info.shape)) // width
    if not count:
        return
    row_bytes = info.size // count
    step = max(1, _CHUNK // width)
    raw = np.memmap(header.file, mode="r", dtype=np.uint8, offset=info.start, shape=(count, row_bytes))
    for first in range(0, count, step):
        yield _dequantized(raw[first : first + step], info, header)


def readable(kind: str) -> bool:
    """Whether tensors of this type can be turned into numbers."""
    from gguf import GGMLQuantizationType
    from gguf.quants import _type_traits

    return kind in _FLOATS or GGMLQuantizationType[kind] in _type_traits


def _dequantized(raw: npt.NDArray[np.uint8], info: TensorInfo, header: Header) -> Floats:
    if info.kind in _FLOATS:
        return np.ascontiguousarray(raw).view(_FLOATS[info.kind]).astype(np.float32)
    from gguf import GGMLQuantizationType, dequantize

    try:
        return dequantize(np.ascontiguousarray(raw), GGMLQuantizationType[info.kind])
    except NotImplementedError as error:
        raise ModelError(f"{header.file}: tensor {info.name} is of type {info.kind}, which cannot be read.") from error


def to_bfloat16(floats: Floats) -> npt.NDArray[np.uint16]:
    """The nearest bfloat16 of each value (ties to even), as its 16 bits."""
    bits = np.ascontiguousarray(floats, dtype=np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def is_bfloat16(floats: Floats) -> bool:
    """Whether bfloat16 holds every value exactly."""
    return not np.any(np.ascontiguousarray(floats, dtype=np.float32).view(np.uint32) & np.uint32(0xFFFF))
