"""Where the weights of a model go: whole to one device, or in parts to several cards.

A model that one card holds stays whole: that is faster, and our own decoder runs it. Where it does not fit, its layers
are laid over the cards one after the other to answer (`parts_of`), and a training shares out every weight among
processes, one for each card (`sharding`). Both are decided by the cards' free memory, with a word about why.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from whichway.engine.model.tokenizer_files import config_of
from whichway.errors import ModelError, OptionError
from whichway.models.model_files import parameters

ANSWERING = 2 << 30  # bytes of each of several cards that answers work in, beside the weights
TRAINING = 4 << 30  # bytes of each card that a training works in, at least
_SPARE = 2 << 30  # bytes of each card that a step may take beside what `token_bytes` counts
MOST_TOKENS = {"cpu": 4096, "cuda": 65536}  # in one backward pass of a process
_WIDE, _GATED = 64, 12  # bytes for each number of a layer's state, and of what its MLP opens to; see `token_bytes`
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """How the layers of a model are laid over devices.

    Attributes:
        max_memory: bytes of weights that each device may take, in order; the devices are accelerate's.
        offload: folder for layers that no device takes, which are then read from disk at each pass.
    """

    max_memory: Mapping[int | str, int]
    offload: Path | None = None


@dataclass(frozen=True, slots=True)
class Sharding:
    """How a training shares out its base among processes.

    Attributes:
        count: of processes.
        device: "cuda", a card for each process, or "cpu".
        dtype: name of the format of frozen weights.
        tokens: in one backward pass of a process, at most.
    """

    count: int
    device: str
    dtype: str
    tokens: int


def free_bytes(*, own: bool = False) -> list[int]:
    """Free memory of each card that PyTorch sees; `own`: what this process holds counts as free."""
    if not torch.cuda.is_available():
        return []
    torch.cuda.empty_cache()
    cards = range(torch.cuda.device_count())
    return [int(torch.cuda.mem_get_info(n)[0]) + own * int(torch.cuda.memory_allocated(n)) for n in cards]


def weight_bytes(folder: Path, dtype: torch.dtype) -> int:
    """Bytes of a model's weights in a format."""
    return parameters(folder) * dtype.itemsize


def parts_of(folder: Path, dtype: torch.dtype) -> Parts | None:
    """How a model is laid over the cards to answer; None: the first one holds it, or there are none.

    Raises:
        ModelError: all cards together do not hold it; says what is needed.
    """
    free = free_bytes()
    if not free:
        return None
    size = weight_bytes(folder, dtype)
    if size + ANSWERING * (len(free) > 1) <= free[0]:  # the only card is tried, however little is left beside them
        return None
    room = [max(0, card - ANSWERING) for card in free]
    if size > sum(room):
        raise ModelError(
            f"The model in {folder} does not fit: its weights take {_gib(size)} in {_name(dtype)}, and answers work in "
            f"{_gib(ANSWERING)} of each card beside them. {_cards(free)}. Take a smaller model or more cards, end what "
            "else holds their memory, or hide them (CUDA_VISIBLE_DEVICES=) to compute on the processor."
        )
    log.warning("The model's weights take %s; %s: its layers are laid over the cards.", _gib(size), _cards(free))
    return Parts(dict(enumerate(room)))


def sharding(folder: Path, dtype: torch.dtype, device: str, wanted: int | None) -> Sharding | None:
    """How a training on this model is sharded; None: one process holds all of it.

    Without a word of the user it is sharded where there are several cards and one does not hold the weights twice, for
    answers and for the training beside them, and what the training works in.

    Args:
        folder: of the base.
        dtype: the format of its frozen weights.
        device: "cuda" or "cpu"; on the processor only the user shards.
        wanted: by the user: so many processes; 1: never; None: as memory demands.

    Raises:
        OptionError: there are fewer cards than the user wants processes.
        ModelError: the cards do not hold it together; says what is needed.
    """
    free = free_bytes(own=True) if device == "cuda" else []  # the model leaves the cards for such a training
    count = len(free) if wanted is None else wanted
    if count <= 1:
        return None
    size = weight_bytes(folder, dtype)
    if wanted is None and 2 * size + TRAINING <= free[0]:
        return None
    if device == "cuda" and count > len(free):
        raise OptionError(f"--shards {count}: there are {len(free)} cards; give that number at most.")
    tokens = MOST_TOKENS[device]
    if device == "cuda":
        tokens = min(tokens, _fitting_tokens(folder, size, free[:count], dtype))
    _say_once(str(folder), count, size, "as --shards says" if wanted else _cards(free))
    return Sharding(count, device, _name(dtype), tokens)


@functools.cache
def _say_once(folder: str, count: int, size: int, why: str) -> None:
    log.warning(
        "Trainings are sharded over %d processes, each with a part of %s (the weights take %s; %s).",
        count, folder, _gib(size), why,
    )  # fmt: skip


def _fitting_tokens(folder: Path, size: int, free: list[int], dtype: torch.dtype) -> int:
    """Tokens that a process can follow back at once, beside its part of the weights and those that are whole."""
    config = _inner(folder)
    # Whole at one time: embeddings and head, and two layers, of which one is fetched while the other computes.
    layers = _number(config, "num_hidden_layers", "n_layer")
    around = 2 * _number(config, "vocab_size") * _number(config, "hidden_size", "n_embd") * dtype.itemsize
    held = size // len(free) + around + 2 * max(0, size - around) // max(1, layers)
    room = min(free) - held - _SPARE
    needed = held + TRAINING
    if min(free) < needed:
        raise ModelError(
            f"The model in {folder} does not fit into a sharded training: each of {len(free)} cards has to hold about "
            f"{_gib(needed)} ({_gib(size)} of weights shared out, the embeddings and two layers whole, and "
            f"{_gib(TRAINING)} to work in). {_cards(free)}. Take a smaller model or more cards."
        )
    return max(1, room // token_bytes(config, dtype.itemsize))


def token_bytes(config: Mapping[str, Any], itemsize: int) -> int:
    """About how much memory a token takes until its backward pass, where layers compute theirs again.

    What goes into each layer stays; one layer's own numbers, with those of the adapters on it, and the logits come
    once. Counted by hand from the operations of a gated MLP and attention with a LoRA on each matrix.
    """
    hidden = _number(config, "hidden_size", "n_embd")
    opened = _number(config, "intermediate_size", "n_inner") or 4 * hidden
    layers = _number(config, "num_hidden_layers", "n_layer")
    logits = (itemsize + 8) * _number(config, "vocab_size")
    return layers * hidden * itemsize + _WIDE * hidden + _GATED * opened + logits


def _inner(folder: Path) -> Mapping[str, Any]:
    config = config_of(folder)
    inner: Mapping[str, Any] = config.get("text_config") or config
    return inner


def _number(config: Mapping[str, Any], *names: str) -> int:
    return next((int(config[name]) for name in names if config.get(name)), 0)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _cards(free: list[int]) -> str:
    amounts = ", ".join(_gib(card) for card in free)
    return f"free on the {len(free)} cards: {amounts}" if len(free) > 1 else f"free on the only card: {amounts}"
