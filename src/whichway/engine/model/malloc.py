"""How this process holds the memory that tensors take and give back, where the C library is glibc.

By default each thread has an arena of its own, which keeps what the thread has freed from the others, and every large
tensor is a mapping of its own: the system clears its pages anew each time. Answering 128 few-shot rows on the embedded
model peaked at 770 to 786 MB so and at 627 to 632 MB with the settings below, a LoRA training at 1,280 and 650; a
product that writes 33 MB takes 2 ms instead of 18 (`dev/LOG.md`).
"""

from __future__ import annotations

import ctypes
import sys

_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1  # malloc.h
_HELD_BYTES = 256 << 20  # bytes: a contest has a helper beside the process that answers


def hold_freed_memory(held_bytes: int = _HELD_BYTES) -> bool:
    """One arena, no mappings, `held_bytes` bytes of freed memory held on to; returns whether the C library took it."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return all(mallopt(what, value) for what, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, held_bytes)))
