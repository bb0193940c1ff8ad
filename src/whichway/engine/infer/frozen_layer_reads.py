"""Where only the top of a model was trained, what lies below gives the same for all checkpoints of it: it is kept.

Keys are those of `row_reads.py`, so the states that a training reads serve its answers as well: a row that was trained
on in one fold is tested in another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whichway.engine.infer.row_reads import PromptRow, RowReads
from whichway.engine.model import decoder, forward
from whichway.engine.model.activation_store import KeptArray
from whichway.engine.model.packing import Layout, Tree
from whichway.nouns import digest

_LAYER = re.compile(r"\.(?:layers|h)\.(\d+)\.")
_ABOVE = re.compile(r"(^|\.)(norm|ln_f|final_layernorm|lm_head|score)\.")  # after the last layer


def first_trained(base: Any, module: Any) -> int:
    """The lowest layer of `module` whose weights are not the base's; 0 where something below the layers differs."""
    known = dict(base.named_parameters())
    layers = len(decoder.known(base).weights.layers)
    first = layers
    for name, parameter in module.named_parameters():
        number = _LAYER.search(f".{name}")
        if number and int(number[1]) >= first:
            continue
        mine = known.get(name)
        same = mine is not None and (
            mine.data_ptr() == parameter.data_ptr() or (mine.shape == parameter.shape and torch.equal(mine, parameter))
        )
        if not same and not (number is None and _ABOVE.search(name)):
            first = int(number[1]) if number else 0
    return first


class FrozenLayerReads:
    """The states in front of the first trained layer, by row.

    Args:
        reads: where they are kept.
        first: that layer, 1 or more.
    """

    def __init__(self, reads: RowReads, first: int) -> None:
        self.reads, self.first = reads, first
        self._fresh: dict[str, tuple[Tensor, PromptRow]] = {}

    @staticmethod
    def of(reads: RowReads | None, base: Any, module: Any) -> FrozenLayerReads | None:
        """What is kept of the rows of a module over a base; None where there is nothing to keep."""
        if reads is None or decoder.decoder_of(module) is None:
            return None
        first = first_trained(base, module)
        return FrozenLayerReads(reads, first) if 0 < first < reads.layers else None

    def reach(self, rows: Sequence[PromptRow]) -> int:
        """How long the prefix of these rows may be, so that a row's own states are always behind it."""
        return min(self.reads.starts(row.request.messages) for row in rows)

    def logits(
        self,
        module: Any,
        rows: Sequence[PromptRow],
        prefix: Sequence[int],
        ids: Tensor,
        layout: Layout,
        keep: Tensor,
        only: Tensor | None = None,
        tree: Tree | None = None,
    ) -> Tensor:
        """What `forward.logits` gives; only the trained layers run where the states of all rows are kept."""
        spans = [len(row.ids) + (len(tree.ids) if tree else 0) for row in rows]
        keys = [self._key(prefix, row, tree) for row in rows]
        known = self.reads.store.get(keys)
        arrays = [known[key].array for key in keys if key in known]
        fits = len(arrays) == len(keys) and all(len(a) >= n for a, n in zip(arrays, spans, strict=True))
        states = None
        if fits:  # one that was read behind a shorter prefix has more in front
            own = [array[len(array) - n :] for array, n in zip(arrays, spans, strict=True)]
            states = torch.from_numpy(np.concatenate(own)).to(ids.device)
        logits, computed = forward.logits_from(module, ids, layout, keep, only, (self.first, states))
        if not fits:
            parts = torch.split(computed[: sum(spans)].float().cpu(), spans)
            self._fresh |= {key: (part, row) for key, part, row in zip(keys, parts, rows, strict=True)}
        return logits

    def keep(self) -> None:
        """Keep what was computed since the last call, with the seconds of its rows."""
        fresh, self._fresh = self._fresh, {}
        self.reads.store.put({key: KeptArray(part.numpy(), row.seconds) for key, (part, row) in fresh.items()})

    def _key(self, prefix: Sequence[int], row: PromptRow, tree: Tree | None) -> str:
        key = self.reads.states([*prefix, *row.ids], self.first)
        return key if tree is None or not tree.ids else digest([key, tree.ids, tree.parents], 32)
