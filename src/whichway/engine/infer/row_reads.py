"""A row is read once: what a pass through the base computed of it, for whoever asks for the same rendering next.

A zero-shot pass keeps the label scores and a probe's features; a probe's pass keeps its features and, for training
rows, the states in front of the middle layer, from which a training of the upper half goes on (`frozen_states.py`).
Keys hold model, format and token ids, so a kept number is that of this very rendering, whatever was read beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from whichway.engine.model import decoder, packing
from whichway.engine.model.activation_store import ActivationStore, KeptArray
from whichway.engine.model.chat_template import Renderer
from whichway.engine.model.load import Model
from whichway.nouns import Message, Request, digest

_VERSION = 1
Head = tuple[Message, ...]  # what stands before a row


class OwnStarts:
    """Where a row's own tokens start, whatever rows are asked with it: what its last message cannot change."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._known: dict[Head, int] = {}

    def __call__(self, messages: Sequence[Message]) -> int:
        """Tokens in front of the row's own."""
        own = next((n for n, message in enumerate(messages) if message.earlier), len(messages) - 1)
        head = tuple(messages[:own])
        if head not in self._known:
            filled = [(*head, Message(messages[-1].role, text)) for text in ("a", "7")]
            self._known[head] = packing.agree(self._renderer.prompt_ids(filled))
        return self._known[head]


def row_features(
    depths: Sequence[Tensor], lengths: Sequence[int], skips: Sequence[int], extra: int = 0
) -> list[Tensor]:
    """Features `[4 hidden]` of packed rows: the last token's state, and means over the row's own at each depth.

    Args:
        depths: states `[R, hidden]` at three depths, of each row's tokens and `extra` ones behind them.
        lengths: tokens of each row.
        skips: of these, how many in front are not the row's own.
        extra: label tokens behind each row.
    """
    spans = [n + extra for n in lengths]
    parts = [torch.split(states[: sum(spans)].float().cpu(), spans) for states in depths]
    rows = zip(zip(*parts, strict=True), lengths, skips, strict=True)
    return [torch.cat([own[-1][n - 1], *(s[min(skip, n - 1) : n].mean(0) for s in own)]) for own, n, skip in rows]


@dataclass(slots=True)
class PromptRow:
    """A request on its way to its reply."""

    number: int
    request: Request
    ids: list[int]  # the prompt behind the shared prefix
    seconds: float = 0.0
    size: int = 0  # tokens of the whole prompt
    start: int | None = None  # where the row's own tokens start, if what is computed of it is kept


@dataclass(frozen=True, slots=True)
class RowReads:
    """What is kept of rows that a model has read.

    Attributes:
        store: where it is kept.
        base: what decides every number: model, format, versions.
        heads: what stands before rows that more than one way reads; a zero-shot pass keeps more of these.
        starts: of the model's renderings.
        layers: of the model.
        keeps_states: whether the states in front of the middle layer are kept as well, for trainings above it.
    """

    store: ActivationStore
    base: str
    heads: Collection[Head]
    starts: OwnStarts
    layers: int
    keeps_states: bool

    @staticmethod
    def of(store: ActivationStore, model: Model, heads: Collection[Head] = (), states: bool = False) -> RowReads | None:
        """What is kept for a model; None for one that our decoder does not know."""
        known = decoder.decoder_of(model.module)
        if known is None:
            return None
        base = digest([_VERSION, model.revision, str(known.weights.dtype)], 32)
        return RowReads(store, base, heads, OwnStarts(model.renderer), len(known.weights.layers), states)

    def shared(self, request: Request) -> bool:
        """Whether other ways read this rendering as well."""
        return request.decoding.mode == "choose" and request.messages[:-1] in self.heads

    def features(self, ids: Sequence[int], start: int) -> str:
        """Key of a row's features; `start`: of its own tokens."""
        return digest([self.base, "features", list(ids), start], 32)

    def scores(self, ids: Sequence[int], labels: Sequence[Sequence[int]]) -> str:
        """Key of the scores of labels, given as token ids, behind a row."""
        return digest([self.base, "scores", list(ids), [list(label) for label in labels]], 32)

    def states(self, ids: Sequence[int], layer: int) -> str:
        """Key of the states in front of a layer, of the last of these tokens; how many is the array's length."""
        return digest([self.base, "states", list(ids), layer], 32)


class ComputedRows:
    """What a session has computed of the rows of a call, until it is kept.

    Attributes:
        reads: where it is kept; None: nowhere.
        seen: gets the shared prefix's states in front of the middle layer, where those are kept.
    """

    def __init__(self, reads: RowReads | None) -> None:
        self.reads = reads
        self.seen: dict[int, Tensor] | None = {} if reads is not None and reads.keeps_states else None
        self._arrays: dict[int, dict[str, Tensor]] = {}  # number of a row -> arrays by key

    def mark(self, rows: Sequence[PromptRow]) -> None:
        """Say of which rows more is kept than the reply."""
        if self.reads is None:
            return
        for row in rows:
            row.start = self.reads.starts(row.request.messages) if self.reads.shared(row.request) else None

    def note(
        self, rows: Sequence[PromptRow], prefix: Sequence[int], depths: Sequence[Tensor], extra: int = 0
    ) -> list[Tensor]:
        """The features of rows behind a shared prefix; those of marked rows will be kept.

        Args:
            rows: that were run together.
            prefix: token ids that they share.
            depths: states at three depths, of each row's tokens and `extra` ones behind them.
            extra: label tokens behind each row.
        """
        lengths, size, reads = [len(row.ids) for row in rows], len(prefix), self.reads
        features = row_features(depths, lengths, [max(0, (row.start or 0) - size) for row in rows], extra)
        if reads is None:
            return features
        spans = [n + extra for n in lengths]
        middle = torch.split(depths[1][: sum(spans)].float().cpu(), spans) if reads.keeps_states else ()
        for n, row in enumerate(rows):
            if row.start is not None:
                whole = [*prefix, *row.ids]
                self.add(row, reads.features(whole, row.start), features[n])
                if middle:
                    self.add(row, reads.states(whole, reads.layers // 2), middle[n][: lengths[n]].clone())
        front = None if self.seen is None else self.seen.pop(reads.layers // 2, None)
        if front is not None:
            self.add(rows[0], reads.states(prefix, reads.layers // 2), front)
        return features

    def add(self, row: PromptRow, key: str, array: Tensor) -> None:
        """Have an array of a row kept."""
        self._arrays.setdefault(row.number, {})[key] = array

    def keep(self, rows: Sequence[PromptRow]) -> None:
        """Keep all that was noted of these rows, with the seconds that each took."""
        arrays, self._arrays = self._arrays, {}
        if self.reads is None or not arrays:
            return
        entries = {
            key: KeptArray(np.asarray(tensor.detach().float().cpu().numpy()), row.seconds)
            for row in rows
            for key, tensor in arrays.get(row.number, {}).items()
        }
        self.reads.store.put(entries)
