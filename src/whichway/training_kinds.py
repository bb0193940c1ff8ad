"""The kinds of training: what each can be set to, its usual learning rate, how it is stored, and its version.

One row of `KINDS` is all that ways, engine, backends and shipping know of a kind beside the code that does it.

Rates: `5e-4 * (2000 / hidden) ** 0.78` for LoRA (Schulman et al., "LoRA Without Regret", 2025, fitted without a check
on models this small) and a tenth of it for whole weights. The other kinds' rates are multiples of it (`times`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeVar

from whichway.errors import OptionError, did_you_mean

OptionsT = TypeVar("OptionsT")
FACTS = "adapter.json"  # beside a trained part: what its training cost, and how it was done
INT8, EXACT = "int8", "exact"  # products with frozen weights: rounded to eight bits, or in the model's own format
Storage = Literal["adapter", "model", "probe", "encoder", "classical", "hosted"]


@dataclass(frozen=True, slots=True)
class NoOptions:
    """A kind that can be set to nothing: it is fitted, and how strongly to regularise is cross-validated."""


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """What can be set for a probe."""

    C: float | None = None  # inverse strength of regularisation; None: by cross-validation


@dataclass(frozen=True, slots=True)
class LabelSetOptions:
    """What a head is told of a task whose rows may have several labels."""

    labels: Sequence[str] = ()  # all that there are
    exact: bool = False  # whether a row counts only where all its labels are right


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
    precision: str = EXACT  # of frozen weights' products; "int8" stays so where the training's first rows allow it
    soup: int = 1  # trainings from one start in as many orders, whose mean is the adapter
    targets: str = "last"  # "all": the answers of the assistant's earlier turns are trained, too


@dataclass(frozen=True, slots=True)
class EncoderOptions(FullOptions):
    """What can be set when all weights of a sentence encoder are trained together with a head."""

    contrastive: float = 0.0  # share of the steps that come first, and only pull texts of one label together
    init: str = "logistic"  # of the head: a logistic fit on the encoder's states, or "zeros"


@dataclass(frozen=True, slots=True)
class EncoderSetOptions(EncoderOptions):
    """The same for rows that may have several labels."""

    labels: Sequence[str] = ()  # all that there are
    exact: bool = False  # whether a row counts only where all its labels are right


@dataclass(frozen=True, slots=True)
class HeadOptions(AdapterOptions):
    """What can be set when a LoRA adapter is trained together with a linear head over the labels."""

    share: float = 1.0  # of the layers, counted from the top, that get the adapter; at least one does
    precision: str = EXACT  # of frozen weights' products; "int8" stays so where the training's first rows allow it
    word_dropout: float = 0.0  # share of a row's own words that each step leaves out; only with all layers
    init: str = "zeros"  # of the head, or "logistic": a fit on the frozen states


@dataclass(frozen=True, slots=True)
class DpoOptions(AdapterOptions):
    """What can be set when a LoRA adapter is trained on preferences."""

    beta: float = 0.1  # how much departing from the base costs


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


@dataclass(frozen=True, slots=True)
class HostedOptions:
    """What can be set when a service trains a model of its own, by the names of OpenAI's protocol."""

    n_epochs: int = 3
    batch_size: int | None = None  # None: the service chooses
    learning_rate_multiplier: float | None = None  # None: the service chooses


@dataclass(frozen=True, slots=True)
class TrainingKind:
    """One kind of training."""

    name: str
    backend: Literal["local", "encoder", "classical", "openai"]  # which backend trains it
    options: type  # a frozen dataclass: what a job of this kind can be set to, with the defaults
    storage: Storage  # the layout of the trained part, and its folder in what is shipped
    version: int = 1  # enters digests: raise it when the same job gives other numbers
    times: float = 1.0  # of LoRA's usual rate
    loads_without_us: bool = True  # whether transformers (and PEFT, for an adapter) load it by themselves
    pairs: bool = False  # rows come in pairs: the wanted answer, then the rejected one
    quotes_data: bool = False  # whether the trained part holds pieces of the training rows
    sets: bool = False  # whether an answer is a set of labels
    on_base: bool = False  # whether the part is a head alone, which the files of its base have to go along with
    shards: bool = False  # whether several processes can share the base in a training


# Rates of few numbers, each of which must move far, are higher: biases, soft prompts. Preferences: a small departure.
_ROWS = (
    TrainingKind("lora", "local", LoraOptions, "adapter", version=3, shards=True),
    TrainingKind("full", "local", FullOptions, "model", version=3, times=0.1),
    TrainingKind("top", "local", TopOptions, "adapter", version=3, shards=True),
    TrainingKind("top_full", "local", TopFullOptions, "model", version=3, times=0.1),
    TrainingKind("bias", "local", BiasOptions, "adapter", version=3, times=2.0),
    TrainingKind("soft_prompt", "local", SoftOptions, "adapter", version=3, times=20.0),
    TrainingKind("dpo", "local", DpoOptions, "adapter", version=3, times=0.1, pairs=True),
    TrainingKind("head", "local", HeadOptions, "adapter", version=3, shards=True),
    TrainingKind("probe", "local", ProbeOptions, "probe", loads_without_us=False, quotes_data=True),
    TrainingKind("encoder", "encoder", NoOptions, "encoder", on_base=True),
    TrainingKind("encoder_multi_label", "encoder", LabelSetOptions, "encoder", on_base=True, sets=True),
    TrainingKind("encoder_full", "encoder", EncoderOptions, "encoder", times=0.1),
    TrainingKind("encoder_full_multi_label", "encoder", EncoderSetOptions, "encoder", times=0.1, sets=True),
    TrainingKind("tfidf", "classical", NoOptions, "classical", loads_without_us=False, quotes_data=True),
    TrainingKind(
        "tfidf_multi_label",
        "classical",
        LabelSetOptions,
        "classical",
        loads_without_us=False,
        quotes_data=True,
        sets=True,
    ),
    TrainingKind("majority", "classical", NoOptions, "classical", loads_without_us=False, quotes_data=True),
    TrainingKind("hosted", "openai", HostedOptions, "hosted", loads_without_us=False),
)
KINDS: dict[str, TrainingKind] = {kind.name: kind for kind in _ROWS}


def kinds_of(backend: str) -> frozenset[str]:
    """Names of the kinds that a backend trains."""
    return frozenset(kind.name for kind in KINDS.values() if kind.backend == backend)


def rounds(kind: str) -> bool:
    """Whether trainings of this kind can multiply their frozen weights in int8."""
    return kind in KINDS and any(f.name == "precision" for f in dataclasses.fields(KINDS[kind].options))


def stored_as(kind: str, storage: Storage) -> bool:
    """Whether trained parts of this kind (a name of `KINDS`; others are none) have this layout."""
    return kind in KINDS and KINDS[kind].storage == storage


# that the work of a trained token does not depend on
FREE_OPTIONS = frozenset(
    {"rate", "factor", "epochs", "checkpoints", "max_steps", "schedule", "warmup", "soup", "text", "beta"}
)

_WORDS: dict[str, tuple[str, ...]] = {
    "schedule": ("linear", "cosine"),
    "variant": ("lora", "rslora", "dora", "pissa"),
    "part": ("auto", "bias", "value", "norm"),
    "targets": ("last", "all"),
    "init": ("logistic", "zeros"),
    "precision": (EXACT, INT8),
}
_SHARES = ("dropout", "word_dropout", "contrastive")
_OF_TASK = ("labels", "exact")  # told by the task, not set by a user
_COUNTS = ("batch", "max_steps", "rank", "tokens", "layers", "soup", "n_epochs", "batch_size")


def options(kind: type[OptionsT], values: Mapping[str, Any]) -> OptionsT:
    """A job's options, checked; counts are whole numbers.

    Raises:
        OptionError: an unknown one, or a value that makes no sense.
    """
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise OptionError(f"Training has no option '{name}'.{did_you_mean(name, known)}")
    for name, value in values.items():
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
        elif name == "share" and not (_positive(name, value) and value <= 1):
            raise OptionError(f"Training option share = {value!r} must be above 0 and at most 1.")
        elif name not in ("text", *_OF_TASK) and value is not None and not _positive(name, value):
            raise OptionError(f"Training option {name} = {value!r} must be a positive number.")
    return kind(**values)


def _positive(name: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return number and (value > 0 or (name in ("warmup", *_SHARES) and value == 0))


def rate_text(options: Mapping[str, Any]) -> str:
    """The learning rate of a training in words, as candidates' notes have it; "" where it has none."""
    if "rate" in options:
        return f"rate {options['rate']:g}"
    return f"{options['factor']:g} × the usual rate" if "factor" in options else ""


def default_rate(width: int, kind: str) -> float:
    """The learning rate that suits a model of this width, for a kind of training."""
    rate: float = 5e-4 * (2000 / width) ** 0.78
    return rate * KINDS[kind].times
