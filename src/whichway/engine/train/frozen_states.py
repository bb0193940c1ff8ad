"""The frozen part of a model whose top alone is trained: its states are computed once for all epochs and trials."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from whichway.engine.model import decoder
from whichway.engine.model.attention import pack_train_batch
from whichway.engine.model.token_cost import token_cost
from whichway.engine.train.activation_cache import cached_tensors
from whichway.engine.train.adapter_check import Encoded

if TYPE_CHECKING:
    from whichway.engine.model.load import Model

_VERSION = 2
_TOKENS = 2048  # run together


@dataclass(frozen=True, slots=True)
class FrozenStates:
    """States in front of layer `first`: `[P, hidden]` of the shared prefix, and of each row after it."""

    first: int
    prefix: Tensor
    rows: dict[tuple[int, ...], Tensor]  # by the row's token ids
    read: tuple[float, float]  # work of reading them, in tokens through the whole model, and its seconds

    def __call__(self, rows: Sequence[Encoded]) -> Tensor:
        """States of the prefix and these rows, packed as `attention.sheet` packs them."""
        return torch.cat([self.prefix, *(self.rows[_key(row)] for row in rows)])

    @staticmethod
    def of(model: Model, rows: Sequence[Encoded], prefix: Sequence[int], first: int, folder: Path) -> FrozenStates:
        """From disk, or computed and kept beside the training's `folder`.

        The key holds the base's revision, the layer, the format, and all token ids.
        """
        own_decoder = decoder.known(model.module)
        distinct = {_key(row): row for row in rows}
        ordered = [distinct[key] for key in sorted(distinct)]
        size = len(prefix)
        key = ["below", _VERSION, model.revision, first, str(own_decoder.weights.dtype), size, sorted(distinct)]
        tensors = cached_tensors(folder, key, lambda: _compute(own_decoder, ordered, prefix, first, model.device))
        cost = token_cost(model.folder)
        whole = cost.read(size) + sum(cost.read(len(ids) - size, size) for ids in distinct)
        read = (whole * first / len(own_decoder.weights.layers), float(tensors["seconds"]))
        parts = torch.split(tensors["rows"].to(model.device), [len(k) - size for k in sorted(distinct)])
        states = dict(zip(sorted(distinct), parts, strict=True))
        return FrozenStates(first, tensors["prefix"].to(model.device), states, read)


def _key(row: Encoded) -> tuple[int, ...]:
    return (*row.prompt, *row.answer[:-1])  # all that is fed


def _compute(
    own_decoder: decoder.Decoder, rows: Sequence[Encoded], prefix: Sequence[int], first: int, device: torch.device
) -> dict[str, Tensor]:
    shared, own, start = torch.empty(0), [], time.perf_counter()
    for piece in _pieces(rows, len(prefix)):
        states = own_decoder.below(
            pack_train_batch([(row.prompt, row.answer) for row in piece], prefix, device), first
        ).cpu()
        shared = states[: len(prefix)].clone()
        own.append(states[len(prefix) :])
    seconds = torch.tensor(time.perf_counter() - start, dtype=torch.float64)
    return {"prefix": shared, "rows": torch.cat(own), "seconds": seconds}


def _pieces(rows: Sequence[Encoded], size: int) -> list[list[Encoded]]:
    pieces: list[list[Encoded]] = [[]]
    total = 0
    for row in rows:
        more = len(row.prompt) + len(row.answer) - 1 - size
        if pieces[-1] and total + more > _TOKENS:
            pieces.append([])
            total = 0
        pieces[-1].append(row)
        total += more
    return pieces
