"""The frozen part of a model whose top alone is trained: its states are computed once for all epochs and trials."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from whichway.engine.infer.row_reads import RowReads
from whichway.engine.model import decoder
from whichway.engine.model.activation_store import FILE, ActivationStore, KeptArray
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
        tensors = cached_tensors(folder, key, lambda: _read_once(model, ordered, prefix, first, folder))
        cost = token_cost(model.folder)
        whole = cost.read(size) + sum(cost.read(len(ids) - size, size) for ids in distinct)
        read = (whole * first / len(own_decoder.weights.layers), float(tensors["seconds"]))
        parts = torch.split(tensors["rows"].to(model.device), [len(k) - size for k in sorted(distinct)])
        states = dict(zip(sorted(distinct), parts, strict=True))
        return FrozenStates(first, tensors["prefix"].to(model.device), states, read)


def _key(row: Encoded) -> tuple[int, ...]:
    return (*row.prompt, *row.answer[:-1])  # all that is fed


def _read_once(
    model: Model, rows: Sequence[Encoded], prefix: Sequence[int], first: int, folder: Path
) -> dict[str, Tensor]:
    """The states of some rows, of which those that were read before (for other rows' sake, or by a probe) are kept."""
    store = ActivationStore(folder.parent / FILE)
    try:
        reads = RowReads.of(store, model)
        assert reads is not None
        known = {} if not _float32(model) else _recall(reads, rows, prefix, first)
        rest = [row for row in rows if _key(row) not in known]
        if rest or (prefix and () not in known):
            fresh = _compute(decoder.known(model.module), rest or rows[:1], prefix, first, model.device)
            if _float32(model):
                _remember(reads, fresh, prefix, first)
            known = {**fresh, **known}
    finally:
        store.close()
    own = [known[_key(row)] for row in rows]
    seconds = torch.tensor(sum(states.seconds for states in known.values()), dtype=torch.float64)
    shared = known[()].states if prefix else own[0].states[:0]
    return {"prefix": shared, "rows": torch.cat([one.states for one in own]), "seconds": seconds}


@dataclass(frozen=True, slots=True)
class _States:
    """States of a row after the prefix, or of the prefix itself (under the key `()`), and what they took."""

    states: Tensor
    seconds: float


def _float32(model: Model) -> bool:
    """Whether states have the format in which they are kept."""
    return decoder.known(model.module).wide == torch.float32


def _recall(
    reads: RowReads, rows: Sequence[Encoded], prefix: Sequence[int], first: int
) -> dict[tuple[int, ...], _States]:
    """What is kept of these rows. One that was read behind a shorter prefix serves as well, a longer one does not."""
    size, keys = len(prefix), {reads.states(_key(row), first): _key(row) for row in rows}
    known: dict[tuple[int, ...], _States] = {}
    between = {size: np.zeros((0, 0), np.float32)}  # length of a shorter prefix -> states from there to ours
    for key, entry in reads.store.get(list(keys)).items():
        start = len(keys[key]) - len(entry.array)  # what was the prefix then
        if start <= size:
            states = torch.from_numpy(entry.array[size - start :].copy())
            known[keys[key]] = _States(states, entry.seconds * len(states) / max(1, len(entry.array)))
            between.setdefault(start, entry.array[: size - start])
    for start, behind in between.items() if prefix else ():
        key = reads.states(prefix[:start], first)
        front = reads.store.get([key]).get(key)
        if front is not None and len(front.array) == start:
            whole = np.concatenate([front.array, behind]) if start < size else front.array
            known[()] = _States(torch.from_numpy(whole.copy()), front.seconds)
            break
    return known


def _remember(reads: RowReads, fresh: dict[tuple[int, ...], _States], prefix: Sequence[int], first: int) -> None:
    entries = {
        reads.states(ids or tuple(prefix), first): KeptArray(one.states.numpy(), one.seconds)
        for ids, one in fresh.items()
        if len(one.states)
    }
    reads.store.put(entries)


def _compute(
    own_decoder: decoder.Decoder, rows: Sequence[Encoded], prefix: Sequence[int], first: int, device: torch.device
) -> dict[tuple[int, ...], _States]:
    known: dict[tuple[int, ...], _States] = {}
    for piece in _pieces(rows, len(prefix)):
        start = time.perf_counter()
        paper = pack_train_batch([(row.prompt, row.answer) for row in piece], prefix, device)
        states = own_decoder.below(paper, first).cpu()
        each = (time.perf_counter() - start) / len(states)
        parts = torch.split(states[len(prefix) :], [len(_key(row)) - len(prefix) for row in piece])
        known |= {_key(row): _States(part, len(part) * each) for row, part in zip(piece, parts, strict=True)}
        if prefix:
            known[()] = _States(states[: len(prefix)].clone(), len(prefix) * each)
    return known


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
