"""How a run is to be held, beside what the task itself says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichway.nouns import Budget


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A user's wishes about one run. What is not said comes from the task, then from the defaults.

    Attributes:
        ways: names of ways and families ("all-prompt"); None: the task's, or the default ones.
        way_options: (way, option, value), over the options that the task gives.
        budget: limits for each way, over the task's.
        probe: estimate time and memory from a probe of some seconds.
        out: the run folder; None: runs/NAME.
        cache: shared cache of replies and trainings; None: .cache beside the run folder.
        feedback: a feedback file, or the folder of a served run: its rows are trained on as well.
    """

    ways: tuple[str, ...] | None = None
    way_options: tuple[tuple[str, str, Any], ...] = ()
    budget: Budget = field(default_factory=Budget)
    probe: bool = True
    out: Path | None = None
    cache: Path | None = None
    feedback: Path | None = None
