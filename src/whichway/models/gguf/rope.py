"""Rotary position embeddings: from GGUF keys and factor tensors to `rope_theta` and `rope_scaling`.

llama.cpp stores Llama 3's scaling as one factor for each frequency, computed beforehand; transformers stores the three
numbers that they follow from. They are found again by computing the factors of the published settings and comparing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from whichway.errors import ModelError
from whichway.models.gguf.header import Header
from whichway.models.gguf.values import values

_FACTORS, _LONG, _SHORT = "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"
FACTOR_TENSORS = (_FACTORS, _LONG, _SHORT)
_CLOSE = 1e-3  # relative; the stored factors are float32
_ORIGINAL = (8192, 4096, 16384, 32768)  # context lengths that Llama 3 scaling starts from
_BANDS = ((1.0, 4.0),)  # low and high frequency factors in use


def rope(header: Header, size: int, *, base: float = 10_000.0, partial: bool = False) -> dict[str, Any]:
    """`rope_theta` and `rope_scaling` of a file.

    Args:
        header: the file's.
        size: width of a head.
        base: `rope_theta` where the file names none.
        partial: whether the architecture may rotate a part of each head only.

    Raises:
        ModelError: a scaling, or a partial rotation, that cannot be written down for this architecture.
    """
    theta = float(f"{header.get('rope.freq_base', base):.7g}")
    rotated = int(header.get("rope.dimension_count") or size)
    if rotated != size and not partial:
        raise ModelError(f"{header.file} rotates {rotated} of {size} dimensions of each head, which is not supported.")
    return {"rope_theta": theta, "rope_scaling": _scaling(header, theta, size)}


def _scaling(header: Header, theta: float, size: int) -> dict[str, Any] | None:
    if _FACTORS in header.tensors:
        return _llama3(header, theta, size)
    if _LONG in header.tensors:
        return {
            "rope_type": "longrope",
            "long_factor": _list(header, _LONG),
            "short_factor": _list(header, _SHORT),
        }
    kind = header.get("rope.scaling.type", "none")
    factor = float(header.get("rope.scaling.factor", 1.0))
    if kind == "none" or (kind == "linear" and factor == 1.0):
        return None
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor}
    if kind == "yarn":
        original = header.get("rope.scaling.original_context_length") or header.need("context_length")
        return {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": int(original)}
    raise ModelError(f"{header.file} scales positions by {kind!r}; linear, yarn, longrope and Llama 3's are supported.")


def _list(header: Header, name: str) -> list[float]:
    if name not in header.tensors:
        raise ModelError(f"{header.file} has no tensor {name}; it is incomplete.")
    return [float(f"{value:.7g}") for value in values(header, name)]


def _llama3(header: Header, theta: float, size: int) -> dict[str, Any] | None:
    factors = values(header, _FACTORS)
    factor = round(float(factors.max()), 4)
    if factor == 1.0 and np.all(factors == 1.0):
        return None
    for original in dict.fromkeys((int(header.get("rope.scaling.original_context_length") or 0), *_ORIGINAL)):
        for low, high in _BANDS:
            if original and np.allclose(factors, llama3_factors(theta, size, factor, low, high, original), rtol=_CLOSE):
                return {
                    "rope_type": "llama3",
                    "factor": factor,
                    "low_freq_factor": low,
                    "high_freq_factor": high,
                    "original_max_position_embeddings": original,
                }
    raise ModelError(f"{header.file} has factors of rotation ({_FACTORS}) that follow no known rule.")


def llama3_factors(
    theta: float, size: int, factor: float, low: float, high: float, original: int
) -> npt.NDArray[np.float64]:
    """By what Llama 3 divides each frequency, `[size / 2]`: 1 for high ones, `factor` for low ones, a mix between."""
    turns = original * theta ** (-np.arange(0, size, 2) / size) / (2 * math.pi)  # in the original context
    mix = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return np.asarray(1.0 / ((1.0 - mix) / factor + mix), dtype=np.float64)
