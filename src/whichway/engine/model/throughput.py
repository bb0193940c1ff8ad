"""How fast this machine multiplies matrices: measured, not looked up. Chooses the format of weights and the threads.

One busy foreign process can make two threads slower than one, and a processor that knows bfloat16 may only emulate it.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

_ROWS = 512  # of the products that decide: with few, what a call costs would decide instead
_NARROW = 128  # below this width the products are too small for a format to matter, so float32 stays exact
_WORTH = 1.5  # bfloat16 rounds: it must pay
_WORTH_THREADS = 1.2
_FRESH_SECONDS = 5.0
_measured: dict[int, tuple[float, int]] = {}  # most threads -> when measured, what came out


def product_rate(kind: torch.dtype, rows: int = 256, width: int = 512, repeats: int = 6) -> float:
    """Floating-point operations a second in `[rows, width] x [width, width]`; the fastest of a few."""
    left, right = torch.ones(rows, width, dtype=kind), torch.ones(width, width, dtype=kind)
    return 2 * rows * width * width / seconds(lambda: left @ right, repeats)


def seconds(work: Callable[[], object], repeats: int = 6) -> float:
    """The seconds of the fastest of a few runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


@functools.lru_cache(maxsize=8)
def dtype(where: torch.device, width: int) -> torch.dtype:
    """The format of frozen weights for a model of this width: bfloat16 where it is measured to pay, else float32."""
    if where.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if width < _NARROW:
        return torch.float32
    size = min(max(width, 256), 1024)
    kinds = (torch.bfloat16, torch.float32)  # in turns: a busy moment must not choose
    measured_rates = [[product_rate(kind, rows=_ROWS, width=size, repeats=2) for kind in kinds] for _ in range(3)]
    short, long = (max(rates) for rates in zip(*measured_rates, strict=True))
    return torch.bfloat16 if short > _WORTH * long else torch.float32


def threads(most: int) -> int:
    """One thread, or `most` where they are measured to be faster just now; asked again after a few seconds."""
    if most <= 1:
        return 1
    now = time.monotonic()
    if most not in _measured or now - _measured[most][0] > _FRESH_SECONDS:
        with using(1):
            alone = _usual_seconds()
        with using(most):
            together = _usual_seconds()
        _measured[most] = (now, most if together * _WORTH_THREADS < alone else 1)
    return _measured[most][1]


def _usual_seconds() -> float:
    """The median seconds of a few small products and sums, such as a small model's step is made of."""
    left, right = torch.ones(256, 512), torch.ones(512, 256)
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(2):
            (left @ right).sum(-1)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


@contextmanager
def fitting() -> Iterator[None]:
    """Products on as many threads as are measured to be fastest now."""
    with using(threads(torch.get_num_threads())):
        yield


@contextmanager
def using(count: int) -> Iterator[None]:
    """Products on `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
