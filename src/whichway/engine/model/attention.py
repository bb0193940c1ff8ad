"""Attention of packed rows for training, with its gradient by hand.

The shared prefix and all rows lie in one sequence. A `Block` is a set of queries with the keys they see: the prefix
attends to itself, the rows attend to the prefix and themselves. In the last layer only the trained positions ask.
The prefix's keys are never copied per row: all rows together ask them in one product, each row its own keys in
another, and one softmax goes over both. Scores and softmax are float32 whatever the format of the products. Long
blocks, and all of them on a GPU, use PyTorch's fused attention.

Shapes: B rows, Q queries of a row, K own keys of a row, P shared keys, N key/value heads, G query heads for each, D a
head's depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from whichway.engine.model import packing, prefix_attention

_FAR = -1e30  # added to the score of a key that is not seen; finite, so that padding gives no NaN
_EIGHTS = 8  # rows are padded to a multiple: products of other widths take up to twice as long
_KEPT_WEIGHTS = 1 << 22  # weights of a block that are kept for the backward; more are computed again


@dataclass(slots=True)
class Block:
    """Queries and the keys they see, as indices into the packed sequence."""

    rows: int
    span: slice  # the own keys of all rows, in the packed sequence
    prefix_keys: int  # keys at the start of the sequence that all rows see
    queries: Tensor | None  # [B Q] index of each query among the block's asking tokens; None: all of them, in order
    keys: Tensor | None  # [B K] index of each own key within the span; None: all of them, in order
    unpack_queries: Tensor | None  # index into [B Q] of each asking token; None: as they are
    unpack_keys: Tensor | None  # index into [B K] of each token of the span; None: as they are
    row_mask: Tensor  # [1 or B, Q, K] bool
    prefix_mask: Tensor | None  # [1 or B, Q, P] bool, which shared keys are seen; None: all


@dataclass(slots=True)
class PackedTrainBatch:
    """One packed training batch: a shared prefix, and the rows after it."""

    ids: Tensor  # [T]
    positions: Tensor  # [T]
    keep: Tensor  # [M] where a token is predicted from
    wanted: Tensor  # [M] what is to be predicted there
    prefix: int
    lengths: tuple[int, ...]  # of the rows
    target_counts: tuple[int, ...]  # predicted tokens of each row
    places: Tensor  # [M] place of each of them in its row, behind the prefix; on the processor
    real: int  # predicted tokens without those of the padding, which come last

    def blocks(self, window: int | None) -> list[Block]:
        """All tokens ask: the prefix itself, then the rows."""
        blocks = [self._prefix(window)] if self.prefix else []
        return [*blocks, self._rows(self.lengths, window)]

    def last(self, window: int | None) -> list[Block]:
        """Only the kept tokens ask, in the order of `keep`."""
        return [self._rows(self.target_counts, window)]

    def _prefix(self, window: int | None) -> Block:
        at = torch.arange(self.prefix, device=self.ids.device)
        return Block(1, slice(0, self.prefix), 0, None, None, None, None, _visible(at[None], at[None], window), None)

    def _rows(self, asking: Sequence[int], window: int | None) -> Block:
        """All tokens of each row ask, or the `asking[b]` predicted ones."""
        sizes, query_counts = torch.tensor(self.lengths), torch.tensor(asking)
        every = asking is self.lengths
        keys, own = _padded(sizes)
        queries, home = (keys, own) if every else _padded(query_counts)
        front = torch.arange(self.prefix)
        where = (torch.arange(queries.shape[1])[None] if every else self.places[queries]) + self.prefix  # positions
        seen = _visible(where, (self.prefix + torch.arange(keys.shape[1]))[None], window)
        far = None if window is None or not self.prefix else _visible(where, front[None], window)
        device = self.ids.device
        span = slice(self.prefix, self.prefix + sum(self.lengths))
        return Block(
            len(sizes),
            span,
            self.prefix,
            None if len(home) == queries.numel() else queries.flatten().to(device),
            None if len(own) == keys.numel() else keys.flatten().to(device),
            None if len(home) == queries.numel() else home.to(device),
            None if len(own) == keys.numel() else own.to(device),
            seen.to(device),
            None if far is None or bool(far.all()) else far.to(device),
        )


def _padded(sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of `sizes` tokens, padded: index `[B, S]` of the token in each slot, and the slot of each token."""
    slot = torch.arange(-(-int(sizes.max()) // _EIGHTS) * _EIGHTS)
    real = slot[None] < sizes[:, None]
    start = (sizes.cumsum(0) - sizes).clamp(max=int(sizes.sum()) - 1)[:, None]
    return torch.where(real, start + slot, start), real.flatten().nonzero()[:, 0]


def pack_train_batch(
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    prefix: Sequence[int],
    device: torch.device,
    *,
    even: bool = False,
    spans: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> PackedTrainBatch:
    """Lay out rows of (prompt, answer) token ids whose prompts begin with `prefix`.

    `spans`: earlier answers in each row's prompt, behind the prefix, that are predicted too, as `(start, end)`.
    `even`: up to a multiple of `pack.EVEN` tokens, of which a multiple of 8 are predicted, by one more row of padding.
    """
    size = len(prefix)
    ids, positions = list(prefix), list(range(size))
    keep: list[int] = []
    wanted: list[int] = []
    places: list[int] = []
    target_counts: list[int] = []
    for (prompt, answer), more in zip(rows, spans or [()] * len(rows), strict=True):
        at, tokens = packing.predicted(len(prompt), len(answer), more), [*prompt, *answer]
        keep += [len(ids) + place - size for place in at]
        wanted += [tokens[place + 1] for place in at]
        places += [place - size for place in at]
        target_counts.append(len(at))
        ids += tokens[size:-1]
        positions += range(size, len(tokens) - 1)
    lengths = [len(prompt) + len(answer) - 1 - size for prompt, answer in rows]
    real = len(keep)
    padded_targets = -real % _EIGHTS if even else 0
    padding = packing.padding_tokens(len(ids), padded_targets) if even else 0
    if padding:
        ids, positions, wanted = ids + [0] * padding, positions + [0] * padding, wanted + [0] * padded_targets
        keep += range(len(ids) - padded_targets, len(ids))
        lengths.append(padding)
        target_counts.append(padded_targets)
        places += range(padding - padded_targets, padding)
    tensors = [torch.tensor(numbers, device=device) for numbers in (ids, positions, keep, wanted)]
    where = torch.tensor(places, dtype=torch.long)
    return PackedTrainBatch(
        tensors[0], tensors[1], tensors[2], tensors[3], size, tuple(lengths), tuple(target_counts), where, real
    )


def _visible(queries: Tensor, keys: Tensor, window: int | None) -> Tensor:
    """`[B, Q, K]` whether a query at its position sees a key at its position."""
    gap = queries[:, :, None] - keys[:, None, :]
    return (gap >= 0) if window is None else (gap >= 0) & (gap < window)


class Attention:
    """Attention over one block, forward and backward; keeps what the backward needs."""

    def __init__(self, block: Block, heads: int, key_heads: int, scaling: float) -> None:
        self.block, self.heads, self.key_heads, self.scaling = block, heads, key_heads, scaling
        self.groups = heads // key_heads
        self.hidden = [None if seen is None else self._bias(seen) for seen in (block.row_mask, block.prefix_mask)]

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Any]:
        """`[asking, H, D]` queries and `[T, N, D]` keys and values to `[asking, H * D]`, and what `backward` needs."""
        block = self.block
        q = self._queries(q if block.queries is None else q.index_select(0, block.queries))
        keys, values = (_Keys(t[: block.prefix_keys].transpose(0, 1), self._own(t)) for t in (k, v))
        if self._fused(q):
            out, saved = self._long(q, keys, values)
            return self._asking(out), saved
        weights = self._weights(q, keys)
        out = self._mixed(weights, values)
        return self._asking(out), (q, keys, values, weights if weights.numel() <= _KEPT_WEIGHTS else None)

    def backward(self, grad: Tensor, saved: Any, dk: Tensor, dv: Tensor) -> Tensor:
        """The gradient of the queries `[asking, H, D]`; those of keys and values are added to `dk` and `dv`."""
        grad = self._slots(grad)
        if len(saved) == 2:
            out, inputs = saved
            gq, *others = torch.autograd.grad(out, inputs, grad)
            gk, gv = _Keys(*others[:2]), _Keys(*others[2:])
        else:
            gq, gk, gv = self._back(grad, *saved)
        self._spread(gk, dk)
        self._spread(gv, dv)
        return self._asking(gq).view(-1, self.heads, gq.shape[-1])

    def _back(self, grad: Tensor, q: Tensor, k: _Keys, v: _Keys, weights: Tensor | None) -> tuple[Tensor, _Keys, _Keys]:
        """Gradients of queries, keys and values, by plain matrix products."""
        weights = self._weights(q, k) if weights is None else weights
        scores = self._joined(grad, v)
        scores = torch._softmax_backward_data(scores, weights, -1, weights.dtype)
        gq = self._mixed(scores, k).mul_(self.scaling)
        gk = self._of_keys(scores, q)
        gk.prefix.mul_(self.scaling)
        gk.rows.mul_(self.scaling)
        return gq, gk, self._of_keys(weights, grad)

    def _fused(self, q: Tensor) -> bool:
        keys = self.block.row_mask.shape[2] + self.block.prefix_keys
        behind = self.block.prefix_keys and q.shape[:3].numel() * keys <= prefix_attention.SCORES
        return q.is_cuda or (keys > prefix_attention.LONG and not behind)

    def _weights(self, q: Tensor, k: _Keys) -> Tensor:
        """`[N, B G Q, P + K]`: one softmax over shared and own keys."""
        long = q.dtype if q.dtype in (torch.float32, torch.float64) else torch.float32
        scores = self._joined(q.to(long).mul(self.scaling), _Keys(k.prefix.to(long), k.rows.to(long)), self.hidden)
        return scores.softmax(-1).to(q.dtype)

    def _joined(self, asks: Tensor, keys: _Keys, hidden: Sequence[Tensor | None] = (None, None)) -> Tensor:
        """Products `[N, B G Q, P + K]` of `[N, B, G Q, D]` with the shared and with each row's own keys."""
        flat = asks.flatten(1, 2)
        own = torch.matmul(asks, keys.rows.transpose(2, 3))
        if hidden[0] is not None:
            own += hidden[0]
        if not self.block.prefix_keys:
            return own.flatten(1, 2)
        front = torch.bmm(flat, keys.prefix.transpose(1, 2))
        if hidden[1] is not None:
            front.view(*asks.shape[:3], -1).add_(hidden[1])
        return torch.cat([front, own.flatten(1, 2)], dim=-1)

    def _split(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """`[N, B G Q, P]` and `[N, B, G Q, K]`; contiguous, as products of strided matrices take twice as long."""
        size, front = self.block.rows, self.block.prefix_keys
        own = weights[..., front:].reshape(len(weights), size, -1, weights.shape[-1] - front)
        return weights[..., :front].contiguous(), own

    def _mixed(self, weights: Tensor, values: _Keys) -> Tensor:
        """`[N, B, G Q, D]`: values in the proportion of the weights."""
        front, own = self._split(weights)
        out = torch.matmul(own, values.rows)
        return out.add_(torch.bmm(front, values.prefix).view_as(out)) if self.block.prefix_keys else out

    def _of_keys(self, weights: Tensor, asks: Tensor) -> _Keys:
        """Transposed: what all rows give to the shared keys `[N, P, D]`, and each row to its own `[N, B, K, D]`."""
        front, own = self._split(weights)
        shared = torch.bmm(front.transpose(1, 2), asks.flatten(1, 2))
        return _Keys(shared, torch.matmul(own.transpose(2, 3), asks))

    def _bias(self, seen: Tensor) -> Tensor:
        """`[1 or B, G Q, keys]`, 0 where seen; made once for all layers."""
        bias = torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, _FAR)
        return bias.repeat(1, self.groups, 1)

    def _long(self, q: Tensor, k: _Keys, v: _Keys) -> tuple[Tensor, Any]:
        """PyTorch's fused attention; its own graph is kept for the backward."""
        inputs = [t.detach().requires_grad_() for t in (q, k.prefix, k.rows, v.prefix, v.rows)]
        mask = self.block.row_mask
        if self.block.prefix_keys:
            far = self.block.prefix_mask
            far = mask.new_ones(*mask.shape[:2], self.block.prefix_keys) if far is None else far
            mask = torch.cat([far.expand(len(mask), -1, -1), mask], dim=2)
        mask = mask.repeat(1, self.groups, 1)[:, None]  # [1 or B, 1, G Q, P + K]
        with torch.enable_grad():
            rows = inputs[0].transpose(0, 1)
            keys, values = (
                torch.cat([front.expand(self.block.rows, -1, -1, -1), own.transpose(0, 1)], dim=2)
                for front, own in (inputs[1:3], inputs[3:])
            )
            out = F.scaled_dot_product_attention(rows, keys, values, attn_mask=mask, scale=self.scaling)
            out = out.transpose(0, 1)
        return out.detach(), (out, inputs)

    def _queries(self, q: Tensor) -> Tensor:
        """`[B Q, H, D]` to `[N, B, G Q, D]`."""
        q = q.view(self.block.rows, -1, self.key_heads, self.groups, q.shape[-1])
        return q.permute(2, 0, 3, 1, 4).flatten(2, 3)

    def _own(self, k: Tensor) -> Tensor:
        """`[T, N, D]` to each row's own `[N, B, K, D]`."""
        k = k[self.block.span]
        k = k if self.block.keys is None else k.index_select(0, self.block.keys)
        return k.view(self.block.rows, -1, *k.shape[1:]).permute(2, 0, 1, 3).contiguous()

    def _asking(self, out: Tensor) -> Tensor:
        """`[N, B, G Q, D]` to `[asking, H * D]`."""
        depth = out.shape[-1]
        rows = out.view(self.key_heads, self.block.rows, self.groups, -1, depth)
        packed = rows.permute(1, 3, 0, 2, 4).reshape(-1, self.heads * depth)
        return packed if self.block.unpack_queries is None else packed.index_select(0, self.block.unpack_queries)

    def _slots(self, grad: Tensor) -> Tensor:
        """`[asking, H * D]` to `[N, B, G Q, D]`; padding gets zeros."""
        if self.block.unpack_queries is not None:
            wide = grad.new_zeros(self.block.row_mask.shape[1] * self.block.rows, grad.shape[1])
            grad = wide.index_copy_(0, self.block.unpack_queries, grad)
        return self._queries(grad.view(len(grad), self.heads, -1))

    def _spread(self, grad: _Keys, into: Tensor) -> None:
        """Add the gradients of shared and own keys to those of the packed ones `[T, N, D]`."""
        block = self.block
        if block.prefix_keys:
            into[: block.prefix_keys] += grad.prefix.transpose(0, 1)
        own = grad.rows.permute(1, 2, 0, 3).flatten(0, 1)
        into[block.span] += own if block.unpack_keys is None else own.index_select(0, block.unpack_keys)


@dataclass(slots=True)
class _Keys:
    """Keys or values of a block."""

    prefix: Tensor  # [N, P, D]
    rows: Tensor  # [N, B, K, D]
