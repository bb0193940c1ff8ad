"""Random numbers from a seed, without a trace on what others draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from this seed on the processor and on this process's card; other cards are left alone."""
    cards = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(cards):
        torch.manual_seed(seed)
        yield
