"""Products with frozen weights in int8, on processors that are measured to be faster at them.

Weights are rounded for each output, activations for each row, both to a scale of their own without an offset, so a
row's result never depends on the rows beside it. The operator is FBGEMM's, which PyTorch brings along. Processors
without VNNI add pairs of products in sixteen bits, which overflow where activations have eight bits; there activations
get seven. Which of the two holds is measured as well (`activation_steps`).
"""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from whichway.engine.model import throughput
from whichway.models import model_cache
from whichway.models.speed import machine

FILE = "int8.json"  # in the model cache: how much faster int8 products are on this machine
_STEPS = (127, 63)  # on either side of zero: eight bits, seven bits
_LEAST = 1e-30  # stands for the largest value of a row of zeros
_ALMOST = 0.02  # share of a sum that may be missing
_WORTH = 1.4  # int8 rounds: it must pay; a training gains about half of this
_NARROW = 128  # below this width the products are too small to gain
_ROWS = 384  # of the products that decide, about those of a step


class Int8Weight:
    """A frozen matrix `[O, I]`, rounded and packed."""

    def __init__(self, weight: Tensor, steps: int) -> None:
        """`steps`: of activations on either side of zero, see `activation_steps`."""
        wide = weight.detach().float()
        scales = (wide.abs().amax(1) / 127).clamp_min_(_LEAST)
        whole = (wide / scales[:, None]).round_().to(torch.int8).contiguous()
        zeros = torch.zeros(len(wide), dtype=torch.long)
        with _engine():
            rounded = torch._make_per_channel_quantized_tensor(whole, scales.double(), zeros, 0)
            self._packed = torch.ops.quantized.linear_prepack(rounded, None)
        self._scale, self._zero = 1 / steps, steps + 1

    def __call__(self, inputs: Tensor) -> Tensor:
        """`x W^T`: `[T, I]` to `[T, O]`, in the format of the inputs."""
        wide = inputs.float()
        # one extreme after the other: torch's own norms and `aminmax` over the last axis take ten times as long
        top = torch.maximum(wide.amax(1, keepdim=True), wide.amin(1, keepdim=True).neg_()).clamp_min_(_LEAST)
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        out: Tensor = product(wide / top, self._scale, self._zero, self._packed)
        return out.mul_(top).to(inputs.dtype)


@dataclass(frozen=True, slots=True)
class Int8Pair:
    """A frozen matrix for both directions of a training: about half the memory of its float32."""

    forward: Int8Weight  # x W^T
    backward: Int8Weight  # g W

    @staticmethod
    def of(weight: Tensor, steps: int) -> Int8Pair:
        """Both roundings of `[O, I]`: the forward's by output, the backward's by input."""
        return Int8Pair(Int8Weight(weight, steps), Int8Weight(weight.t(), steps))


@contextmanager
def _engine() -> Iterator[None]:
    """FBGEMM packs weights inside, without a word about the deprecation of PyTorch's other quantized parts."""
    quantized: Any = torch.backends.quantized
    before = quantized.engine
    quantized.engine = "fbgemm"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        quantized.engine = before


@functools.cache
def activation_steps() -> int | None:
    """Steps of activations on either side of zero whose sums do not overflow here; None: there are no such products."""
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return None
    for steps in _STEPS:
        try:
            largest = Int8Weight(torch.ones(64, 512), steps)(torch.ones(16, 512)) / 512
        except RuntimeError:  # a build of PyTorch without the operator
            return None
        if bool(((largest - 1).abs() < _ALMOST).all()):
            return steps
    return None


def pays(width: int, dtype: torch.dtype) -> bool:
    """Whether int8 products of a model of this width are faster here by enough than those in `dtype`.

    Measured once and kept in the model cache; deleting its `int8.json` has it measured again.
    """
    if width < _NARROW:
        return False
    key, here = f"{width} {str(dtype).removeprefix('torch.')}", machine()
    known = model_cache.read_json(FILE).get(here, {}).get(key)
    if not isinstance(known, int | float):
        known = round(speedup(width, dtype), 2)
        model_cache.update_json(FILE, lambda file: file.setdefault(here, {}).update({key: known}))
    return bool(known >= _WORTH)


def speedup(width: int, dtype: torch.dtype, repeats: int = 5) -> float:
    """How many times faster int8 products of both directions are than those in `dtype`; 0 where there are none.

    One thread, both in turns, in seconds of the processor: what else is busy must not decide.
    """
    steps = activation_steps()
    if steps is None:
        return 0.0
    plain = rounded = 0.0
    with throughput.using(1):
        for outputs, inputs in ((3 * width, width), (width, 3 * width)):
            weight, x = torch.randn(outputs, inputs).to(dtype), torch.randn(_ROWS, inputs).to(dtype)
            packed = Int8Weight(weight, steps)
            pairs = [(_took(lambda: F.linear(x, weight)), _took(lambda: packed(x))) for _ in range(repeats)]  # noqa: B023
            plain, rounded = plain + min(a for a, _ in pairs), rounded + min(b for _, b in pairs)
    return plain / rounded


def _took(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
