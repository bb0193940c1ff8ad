"""How a shipped folder is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROWS = 50
PEERS = "WHICHWAY_PEERS"  # environment: another Python that has llama-cpp-python or sentence-transformers


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What the check may take."""

    rows: int = ROWS  # recorded test rows that are answered again, at most
    python: Path | None = None  # a Python with runtimes that this one lacks; None: the one that WHICHWAY_PEERS names
