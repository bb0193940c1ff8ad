"""Biases alone (BitFit: Ben Zaken et al. 2021, arXiv 2106.10199), a few thousand numbers; or norm gains alone.

Models without biases get zero biases on the value projections, the best single place for them (BEFT,
arXiv 2509.15974). Rates are searched as in `tune_lora`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, TrainDevView
from whichway.ways._train import FACTORS, FOUR, TrainingOptions, trained

KIND = "fine-tune"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """What is trained, and how long."""

    factors: tuple[float, ...] = field(default=FOUR, metadata=FACTORS)
    part: Literal["auto", "bias", "value", "norm"] = field(
        default="auto",
        metadata={"help": "bias: all there are; value: added to values; norm: norm gains; auto: bias, else value"},
    )


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    if not bench.has("bias"):
        raise WayFailed("this model's backend cannot train biases alone")
    yield from trained(task, bench, "bias", options, part=options.part)
