"""Rows packed after one shared prefix: the layout of their tokens.

Tokens of all rows lie in one sequence `[1, R]` without padding, so linear layers do no wasted work. Attention alone
sees rows: each token attends to the shared prefix (keys and values computed once) and to its own row, causally, or
along a tree of answer tokens after the row. Position ids continue from the prefix. The result equals running each row
alone.

Shapes: R packed tokens, B rows, S the longest row, C keys of a row, P the prefix, H query heads, N key/value heads,
G = H / N, D the size of a head, V the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from whichway.engine.model.prefix_attention import AttentionParams, KeyValue, attend_rows, causal

ATTENTION = "whichway"  # the name under which transformers finds our attention
EVEN = 32  # tokens; see `spare`


@dataclass(slots=True)
class PrefixCache:
    """The shared prefix's ids, with its keys and values."""

    ids: list[int]
    layers: list[KeyValue] | None


@dataclass(frozen=True, slots=True)
class Tree:
    """Answer tokens that every row is continued with at once; each sees its ancestors, not its siblings."""

    ids: tuple[int, ...]
    parents: tuple[int, ...]  # index into `ids`; -1: the row's last token

    @property
    def depths(self) -> list[int]:
        """0 for tokens that follow the row directly."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
        return depths

    def mask(self) -> Tensor:
        """`[T, T]` bool: token i sees token j when j is i or an ancestor of i."""
        seen = torch.eye(len(self.ids), dtype=torch.bool)
        for i, parent in enumerate(self.parents):
            if parent >= 0:
                seen[i] |= seen[parent]
        return seen


class Layout(Protocol):
    """How attention is to be computed in one forward pass."""

    positions: Tensor

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, how: AttentionParams) -> Tensor:
        """`[H, R, D]` and `[N, R, D]` in, `[R, H, D]` out."""
        ...

    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Take up keys and values of a layer whose attention nobody needs."""
        ...

    def on(self, device: torch.device) -> Layout:
        """The same layout for a layer on this device, where a model's layers lie on several."""
        ...


@dataclass(slots=True)
class PackedRows:
    """Layout of packed rows. Build it with `pack_rows`."""

    positions: Tensor  # [R]
    shape: tuple[int, int]  # B, S
    slots: Tensor | None  # [B * S] packed index of each padded slot; None: rows are equally long
    unpack_index: Tensor | None  # [R] slot of each packed token
    row_mask: Tensor | None  # [B, S, S] bool; None: plain causal
    prefix: Sequence[KeyValue] | Mapping[int, KeyValue] | None = None  # by layer, each where its layer is
    key_values: dict[int, KeyValue] | None = None  # filled with this pass's keys and values, `[N, R, D]`, when not None
    elsewhere: dict[torch.device, PackedRows] = field(default_factory=dict, repr=False)

    def on(self, device: torch.device) -> PackedRows:
        """The same layout with its indices and masks on this device; keys and values stay where their layers are."""
        if device == self.positions.device:
            return self
        if device not in self.elsewhere:
            slots, index, mask = (
                None if t is None else t.to(device) for t in (self.slots, self.unpack_index, self.row_mask)
            )
            positions = self.positions.to(device)
            moved = replace(self, positions=positions, slots=slots, unpack_index=index, row_mask=mask)
            self.elsewhere[device] = moved
        return self.elsewhere[device]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, how: AttentionParams) -> Tensor:
        """Attention of each token over the prefix and its row."""
        self.store(layer, key, value)
        heads, groups = key.shape[0], query.shape[0] // key.shape[0]
        rows = self.rows(query)
        q = rows.reshape(heads, groups, *rows.shape[1:]).transpose(1, 2)  # [N, B, G, S, D]
        prefix = self.prefix[layer] if self.prefix else None
        seen, far = self._windows(how.window, prefix)
        out = attend_rows(q, self.rows(key), self.rows(value), prefix, seen, far, how)
        flat = out.permute(1, 3, 0, 2, 4).flatten(0, 1).flatten(1, 2)  # [B * S, H, D]
        return flat if self.unpack_index is None else flat.index_select(0, self.unpack_index)

    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Take up keys and values of a layer whose attention nobody needs."""
        if self.key_values is not None:  # as views they would keep the queries beside them in memory
            self.key_values[layer] = (key.contiguous(), value.contiguous())

    def even(self, keep: Tensor) -> bool:
        """Whether `keep` names equally many tokens of each row, row after row."""
        if len(keep) % self.shape[0]:
            return False
        rows = (self._slot(keep) // self.shape[1]).view(self.shape[0], -1)
        return bool((rows == torch.arange(self.shape[0], device=rows.device)[:, None]).all())

    def _slot(self, keep: Tensor) -> Tensor:
        return keep if self.unpack_index is None else self.unpack_index[keep]

    def ask(self, layer: int, query: Tensor, key: Tensor, value: Tensor, how: AttentionParams, keep: Tensor) -> Tensor:
        """Attention of the tokens `keep` alone (an `even` choice): queries `[H, K, D]` in, `[K, H, D]` out."""
        self.store(layer, key, value)
        rows, longest = self.shape
        heads, groups = key.shape[0], query.shape[0] // key.shape[0]
        q = query.reshape(heads, groups, rows, -1, query.shape[-1]).transpose(1, 2)  # [N, B, G, M, D]
        prefix = self.prefix[layer] if self.prefix else None
        seen, far = self._windows(how.window, prefix)
        row, place = (t.view(rows, -1) for t in (self._slot(keep) // longest, self._slot(keep) % longest))
        seen = causal(longest, q.device)[None] if seen is None else seen
        seen = seen[row if len(seen) > 1 else torch.zeros_like(row), place]  # [B, M, S]
        far = None if far is None else far[row if len(far) > 1 else torch.zeros_like(row), place]
        out = attend_rows(q, self.rows(key), self.rows(value), prefix, seen, far, how)
        return out.permute(1, 3, 0, 2, 4).flatten(0, 1).flatten(1, 2)

    def rows(self, packed: Tensor) -> Tensor:
        """`[N, R, D]` to `[N, B, S, D]`; slots after a row's end repeat some token and are never seen."""
        if self.slots is not None:
            packed = packed.transpose(0, 1).index_select(0, self.slots).transpose(0, 1)
        return packed.reshape(packed.shape[0], *self.shape, packed.shape[2])

    def _windows(self, window: int | None, prefix: KeyValue | None) -> tuple[Tensor | None, Tensor | None]:
        """Masks over the row and over the prefix, with a sliding window applied where it bites."""
        if window is None or int(self.positions.max()) < window:
            return self.row_mask, None
        at = (self.positions if self.slots is None else self.positions[self.slots]).view(self.shape)
        seen = causal(self.shape[1], at.device)[None] if self.row_mask is None else self.row_mask
        seen = seen & (at[:, :, None] - at[:, None, :] < window)
        if prefix is None:
            return seen, None
        return seen, at[:, :, None] - torch.arange(prefix[0].shape[1], device=at.device) < window


@dataclass(slots=True)
class PrefixedRows:
    """Layout of the shared prefix and of rows after it in one pass: the rows attend to what the prefix gives there.

    A model whose weights are fetched layer by layer runs once so, and is followed back once.
    """

    front: PackedRows  # the prefix
    packed: PackedRows  # the rows
    positions: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.positions = torch.cat([self.front.positions, self.packed.positions])

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, how: AttentionParams) -> Tensor:
        """Attention of the prefix over itself, and of each row over the prefix and itself."""
        size = len(self.front.positions)
        (q, row_q), (k, row_k), (v, row_v) = ((t[:, :size], t[:, size:]) for t in (query, key, value))
        self.packed.prefix = {layer: (k, v)}
        first = self.front.attend(layer, q, k, v, how)
        return torch.cat([first, self.packed.attend(layer, row_q, row_k, row_v, how)])

    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Every layer attends."""
        raise NotImplementedError

    def on(self, device: torch.device) -> PrefixedRows:
        """This layout: the layers of a model that is trained so are run on one device."""
        return self


@dataclass(slots=True)
class DecodeStep:
    """Layout of one decoding step: one new token per row, with the keys and values of the row so far."""

    cache: list[KeyValue]  # per layer `[N, B, C, D]`, with room for the tokens to come
    lengths: Tensor  # [B] own tokens so far, without the new one
    start: int  # length of the prefix
    prefix: Sequence[KeyValue] | Mapping[int, KeyValue] | None
    elsewhere: dict[torch.device, DecodeStep] = field(default_factory=dict, repr=False)
    positions: Tensor = field(init=False)
    used: int = field(init=False)

    def __post_init__(self) -> None:
        self.positions = self.lengths + self.start
        self.used = int(self.lengths.max()) + 1

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, how: AttentionParams) -> Tensor:
        """Write the new keys and values, then attend to prefix and row."""
        keys, values = self.cache[layer]
        each = torch.arange(len(self.lengths), device=key.device)
        keys[:, each, self.lengths], values[:, each, self.lengths] = key, value
        heads, groups = key.shape[0], query.shape[0] // key.shape[0]
        q = query.reshape(heads, groups, *query.shape[1:]).transpose(1, 2)[:, :, :, None]  # [N, B, G, 1, D]
        prefix = self.prefix[layer] if self.prefix else None
        seen, far = self._windows(how.window, prefix)
        out = attend_rows(q, keys[:, :, : self.used], values[:, :, : self.used], prefix, seen, far, how)
        return out[:, :, :, 0].transpose(0, 1).flatten(1, 2)

    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """A decoding step asks for every token."""
        raise NotImplementedError

    def on(self, device: torch.device) -> DecodeStep:
        """The same step with its lengths on this device; keys and values stay where their layers are."""
        if device == self.lengths.device:
            return self
        if device not in self.elsewhere:
            self.elsewhere[device] = replace(self, lengths=self.lengths.to(device))
        return self.elsewhere[device]

    def _windows(self, window: int | None, prefix: KeyValue | None) -> tuple[Tensor, Tensor | None]:
        slots = torch.arange(self.used, device=self.lengths.device)
        seen = slots[None] <= self.lengths[:, None]
        if window is None or int(self.positions.max()) < window:
            return seen[:, None], None
        seen = seen & (self.lengths[:, None] - slots[None] < window)
        if prefix is None:
            return seen[:, None], None
        far = self.positions[:, None] - torch.arange(prefix[0].shape[1], device=seen.device) < window
        return seen[:, None], far[:, None]


def pack_rows(
    lengths: Sequence[int],
    start: int,
    device: torch.device,
    *,
    tree: Tree | None = None,
    prefix: Sequence[KeyValue] | None = None,
    keep: bool = False,
    even: bool = False,
) -> PackedRows:
    """Lay out rows of `lengths` tokens, each followed by the tree's tokens, after a prefix of `start` tokens.

    Args:
        lengths: tokens of each row, without the tree's.
        start: position of each row's first token.
        device: where the masks live.
        tree: answer tokens that follow every row.
        prefix: the shared prefix's keys and values, one pair per layer.
        keep: record this pass's keys and values in `kept`.
        even: up to a multiple of `EVEN` tokens, by padding that is in no row: only linear layers see it.
    """
    extra = len(tree.ids) if tree else 0
    sizes = torch.tensor(lengths) + extra
    rows, longest = len(lengths), int(sizes.max())
    slots = home = None
    padding = padding_tokens(int(sizes.sum())) if even else 0
    if padding or (rows > 1 and int(sizes.min()) != longest):
        real = torch.arange(longest)[None] < sizes[:, None]
        home = real.flatten().nonzero()[:, 0].to(device)
        slots = torch.zeros(rows * longest, dtype=torch.long, device=device)
        slots[home] = torch.arange(len(home), device=device)
        home = torch.cat([home, home.new_zeros(padding)])
    after = torch.tensor(tree.depths, dtype=torch.long) if tree else torch.empty(0, dtype=torch.long)
    positions = torch.cat([torch.cat([torch.arange(n), n + after]) for n in lengths]) + start
    positions = torch.cat([positions, positions.new_zeros(padding)])
    seen = _branches(lengths, longest, tree).to(device) if tree and extra else None
    return PackedRows(positions.to(device), (rows, longest), slots, home, seen, prefix, {} if keep else None)


def _branches(lengths: Sequence[int], longest: int, tree: Tree) -> Tensor:
    """`[B, S, S]`: causal within the row, ancestors only within the tree after it."""
    seen = causal(longest, torch.device("cpu")).repeat(len(lengths), 1, 1)
    branch, size = tree.mask(), len(tree.ids)
    for row, n in zip(seen, lengths, strict=True):
        row[n : n + size, n : n + size] = branch
    return seen


def register() -> None:
    """Make our attention known to transformers, under the name `ATTENTION`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    layout: Layout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: `[1, heads, R, D]` in, `[1, R, H, D]` out; plain sdpa without a layout."""
    if layout is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        out: Tensor = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )[0]
        return out, None
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    how = AttentionParams(scaling, others.get("sliding_window"), others.get("softcap"))
    return layout.on(query.device).attend(module.layer_idx, query[0], key[0], value[0], how)[None], None


def pads_shapes(kind: torch.dtype, device: torch.device) -> bool:
    """Whether passes are padded to even sizes: bfloat16 products on a processor compile a kernel for each new shape.

    The first product of a shape takes 2 to 8 times as long as the next (`dev/LOG.md`).
    """
    return kind == torch.bfloat16 and device.type == "cpu"


def padding_tokens(count: int, least: int = 0) -> int:
    """Tokens of padding, `least` of them at least, that make `count` a multiple of `EVEN`."""
    return -(count + least) % EVEN + least


def predicted(prompt: int, answer: int, spans: Sequence[tuple[int, int]] = ()) -> list[int]:
    """Places in a row's tokens from which a trained token is predicted, in order: each is the one after its place.

    Args:
        prompt: tokens of the prompt.
        answer: tokens of the answer after it.
        spans: `(start, end)` of earlier answers inside the prompt that are trained too.
    """
    return [place - 1 for span in (*spans, (prompt, prompt + answer)) for place in range(*span)]


def common(sequences: Sequence[list[int]]) -> int:
    """Length of the longest prefix that all sequences share and that leaves each at least one token."""
    return max(0, min(agree(sequences), min(len(s) for s in sequences) - 1))


def agree(sequences: Sequence[list[int]]) -> int:
    """Length of the longest prefix that all sequences share."""
    first, last = min(sequences), max(sequences)  # in order of content: what these two share, all share
    return next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
