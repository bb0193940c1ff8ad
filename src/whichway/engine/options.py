"""What can be set for a training, by its kind, and the learning rate that is taken when none is given.

Rates: `5e-4 * (2000 / hidden) ** 0.78` for LoRA (Schulman et al., "LoRA Without Regret", 2025, fitted without a check
on models this small) and a tenth of it for whole weights.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from whichway.errors import OptionError, did_you_mean

Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class FullOptions:
    """What can be set when all weights are trained."""

    rate: float | None = None  # peak learning rate; None: by the model's width
    factor: float = 1.0  # times the rate
    epochs: float = 3
    batch: int = 16  # rows per step
    max_steps: int | None = None
    schedule: str = "linear"  # decay after warm-up: "linear" or "cosine"
    warmup: float = 0.06  # share of the steps
    checkpoints: int | None = None  # over the whole run; None: one per epoch


@dataclass(frozen=True, slots=True)
class LoraOptions(FullOptions):
    """What can be set when a LoRA adapter is trained."""

    rank: int = 16
    alpha: float | None = None  # None: twice the rank
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class TopOptions(LoraOptions):
    """What can be set when a LoRA adapter on the top layers is trained."""

    layers: int = 2


@dataclass(frozen=True, slots=True)
class TopFullOptions(FullOptions):
    """What can be set when all weights of the top layers are trained."""

    layers: int = 2


KINDS: dict[str, type[FullOptions]] = {
    "lora": LoraOptions, "full": FullOptions, "top": TopOptions, "top_full": TopFullOptions
}  # fmt: skip


def options(kind: type[Given], given: Mapping[str, Any]) -> Given:
    """A job's options, checked; counts are whole numbers.

    Raises:
        OptionError: an unknown one, or a value that makes no sense.
    """
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            raise OptionError(f"Training has no option '{name}'.{did_you_mean(name, known)}")
    for name, value in given.items():
        if value is not None and name != "schedule" and not _positive(name, value):
            raise OptionError(f"Training option {name} = {value!r} must be a positive number.")
    if given.get("schedule", "linear") not in ("linear", "cosine"):
        raise OptionError(f"Training option schedule = {given['schedule']!r} must be 'linear' or 'cosine'.")
    return kind(**given)


def _positive(name: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return number and (value > 0 or (name in ("warmup", "dropout") and value == 0))


def default_rate(width: int, kind: str) -> float:
    """The learning rate that suits the model's width."""
    rate: float = 5e-4 * (2000 / width) ** 0.78
    return rate if kind in ("lora", "top") else rate / 10
