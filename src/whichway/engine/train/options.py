"""What can be set for a training, by its kind, and the learning rate that is taken when none is given.

Rates: `5e-4 * (2000 / hidden) ** 0.78` for LoRA (Schulman et al., "LoRA Without Regret", 2025, fitted without a check
on models this small) and a tenth of it for whole weights. The other kinds' rates are multiples of it (`_TIMES`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
    checkpoints: int | Sequence[float] | None = None  # so many, or shares of the steps; None: one per epoch


@dataclass(frozen=True, slots=True)
class AdapterOptions(FullOptions):
    """What can be set when an adapter is trained."""

    rank: int = 16
    alpha: float | None = None  # None: twice the rank; for rsLoRA 8, which at rank 16 is the same scale
    dropout: float = 0.0
    variant: str = "lora"  # or "rslora", "dora", "pissa"


@dataclass(frozen=True, slots=True)
class LoraOptions(AdapterOptions):
    """What can be set when a LoRA adapter is trained on rows of which each step may see other words."""

    word_dropout: float = 0.0  # share of a row's own words that each step leaves out
    soup: int = 1  # trainings from one start in as many orders, whose mean is the adapter
    targets: str = "last"  # "all": the answers of the assistant's earlier turns are trained, too


@dataclass(frozen=True, slots=True)
class EncoderOptions(FullOptions):
    """What can be set when all weights of a sentence encoder are trained together with a head."""

    contrastive: float = 0.0  # share of the steps that come first, and only pull texts of one label together
    init: str = "logistic"  # of the head: a logistic fit on the encoder's states, or "zeros"


@dataclass(frozen=True, slots=True)
class DpoOptions(AdapterOptions):
    """What can be set when a LoRA adapter is trained on preferences."""

    beta: float = 0.1  # how dearly departing from the base is paid


@dataclass(frozen=True, slots=True)
class BiasOptions(FullOptions):
    """What can be set when biases or norm gains alone are trained."""

    part: str = "auto"  # "bias", "value", "norm"; "auto": biases where the model has some, else value biases


@dataclass(frozen=True, slots=True)
class SoftOptions(FullOptions):
    """What can be set when a soft prompt is trained."""

    tokens: int = 20  # learned vectors
    text: str = ""  # whose embeddings they start from, repeated or cut; "": drawn from the vocabulary


@dataclass(frozen=True, slots=True)
class TopOptions(AdapterOptions):
    """What can be set when a LoRA adapter on the top layers is trained."""

    layers: int = 2


@dataclass(frozen=True, slots=True)
class TopFullOptions(FullOptions):
    """What can be set when all weights of the top layers are trained."""

    layers: int = 2


KINDS: dict[str, type[FullOptions]] = {
    "lora": LoraOptions, "full": FullOptions, "top": TopOptions, "top_full": TopFullOptions,
    "bias": BiasOptions, "soft_prompt": SoftOptions, "dpo": DpoOptions,
}  # fmt: skip
_WORDS: dict[str, tuple[str, ...]] = {
    "schedule": ("linear", "cosine"),
    "variant": ("lora", "rslora", "dora", "pissa"),
    "part": ("auto", "bias", "value", "norm"),
    "targets": ("last", "all"),
    "init": ("logistic", "zeros"),
}
_SHARES = ("dropout", "word_dropout", "contrastive")
_COUNTS = ("batch", "max_steps", "rank", "tokens", "layers", "soup")
# Times LoRA's rate. Biases and soft prompts: few numbers, each of which must move far; preferences: a small departure.
_TIMES = {"lora": 1.0, "top": 1.0, "full": 0.1, "top_full": 0.1, "bias": 2.0, "soft_prompt": 20.0, "dpo": 0.1}


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
        if name in _WORDS:
            if value not in _WORDS[name]:
                words = ", ".join(map(repr, _WORDS[name][:-1]))
                raise OptionError(f"Training option {name} = {value!r} must be {words} or {_WORDS[name][-1]!r}.")
        elif name == "checkpoints" and isinstance(value, list | tuple):
            if not all(a < b for a, b in pairwise((0, *value))) or (0, *value)[-1] != 1:
                raise OptionError(f"Training option checkpoints = {value!r} must be rising shares that end with 1.")
        elif name in _SHARES and not (_positive(name, value) and value < 1):
            raise OptionError(f"Training option {name} = {value!r} must be at least 0 and less than 1.")
        elif name in _COUNTS and value is not None and not (isinstance(value, int) and _positive(name, value)):
            raise OptionError(f"Training option {name} = {value!r} must be a positive whole number.")
        elif name != "text" and value is not None and not _positive(name, value):
            raise OptionError(f"Training option {name} = {value!r} must be a positive number.")
    return kind(**given)


def _positive(name: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return number and (value > 0 or (name in ("warmup", *_SHARES) and value == 0))


def default_rate(width: int, kind: str) -> float:
    """The learning rate that suits the model's width."""
    rate: float = 5e-4 * (2000 / width) ** 0.78
    return rate * _TIMES[kind]
