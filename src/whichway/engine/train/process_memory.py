"""How much memory this process has held at its most."""

from __future__ import annotations

import sys

import torch


def peak_bytes() -> int | None:
    """Bytes: on a GPU what its allocator held, else the resident set; None where the system does not tell."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
