"""Attention of packed rows for training, with its gradient by hand.

The shared prefix and all rows lie in one sequence. A `Block` is a set of queries with the keys they see: the prefix
attends to itself, the rows attend to the prefix and themselves. In the last layer only the trained positions ask.
Scores and softmax are float32 whatever the format of the products. Up to `pack.LONG` keys plain products are used;
above that (and on a GPU) PyTorch's fused attention.

Shapes: B rows, Q queries of a row, K keys that a row sees, N key/value heads, G query heads for each, D a head's depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from whichway.engine import pack

_FAR = -1e30  # added to the score of a key that is not seen; finite, so that padding gives no NaN


@dataclass(slots=True)
class Block:
    """Queries and the keys they see, as indices into the packed sequence."""

    rows: int
    queries: Tensor | None  # [B Q] index of each query among the block's asking tokens; None: all of them, in order
    keys: Tensor | None  # [B K] index of each key; None: all of them, in order
    home: Tensor | None  # index into [B Q] of each asking token; None: as they are
    shared: int  # keys at the start of each row that all rows share
    own: Tensor | None  # index into [B (K - shared)] of each key token that is nobody else's; None: as they are
    seen: Tensor  # [1 or B, Q, K] bool


@dataclass(slots=True)
class Sheet:
    """One training piece: a shared prefix and rows, packed behind it."""

    ids: Tensor  # [T]
    positions: Tensor  # [T]
    keep: Tensor  # [M] where a token is predicted from
    wanted: Tensor  # [M] what is to be predicted there
    prefix: int
    lengths: tuple[int, ...]  # of the rows
    kept: tuple[int, ...]  # predicted tokens of each row, at its end

    def blocks(self, window: int | None) -> list[Block]:
        """All tokens ask: the prefix itself, then the rows."""
        blocks = [self._prefix(window)] if self.prefix else []
        return [*blocks, self._rows(self.lengths, window)]

    def last(self, window: int | None) -> list[Block]:
        """Only the kept tokens ask, in the order of `keep`."""
        return [self._rows(self.kept, window)]

    def _prefix(self, window: int | None) -> Block:
        device = self.ids.device
        at = torch.arange(self.prefix, device=device)
        return Block(1, at, at, None, self.prefix, None, _sight(at[None], at[None], window))

    def _rows(self, asking: Sequence[int], window: int | None) -> Block:
        """The last `asking[b]` tokens of each row ask."""
        sizes, asked = torch.tensor(self.lengths), torch.tensor(asking)
        longest, most, rows = int(sizes.max()), int(asked.max()), len(sizes)
        start = sizes.cumsum(0) - sizes + self.prefix
        slot = torch.arange(longest)
        real = slot[None] < sizes[:, None]
        own = torch.where(real, start[:, None] + slot, start[:, None])
        front = torch.arange(self.prefix)[None].expand(rows, -1)
        keys = torch.cat([front, own], dim=1).flatten()
        turn = torch.arange(most)
        asks = turn[None] < asked[:, None]
        begins = asked.cumsum(0) - asked
        queries = torch.where(asks, begins[:, None] + turn, begins[:, None]).flatten()
        even = asking is self.lengths
        where = (turn if even else (sizes - asked)[:, None] + turn) + self.prefix  # positions of the queries
        where = where[None] if even else where
        seen = _sight(where, torch.cat([torch.arange(self.prefix), self.prefix + slot])[None], window)
        device = self.ids.device
        home = asks.flatten().nonzero()[:, 0]
        mine = real.flatten().nonzero()[:, 0]
        return Block(
            rows,
            queries.to(device),
            keys.to(device),
            None if len(home) == asks.numel() else home.to(device),
            self.prefix,
            None if len(mine) == real.numel() else mine.to(device),
            seen.to(device),
        )


def sheet(rows: Sequence[tuple[Sequence[int], Sequence[int]]], prefix: Sequence[int], device: torch.device) -> Sheet:
    """Lay out rows of (prompt, answer) token ids whose prompts begin with `prefix`."""
    size = len(prefix)
    ids, positions = list(prefix), list(range(size))
    keep: list[int] = []
    wanted: list[int] = []
    for prompt, answer in rows:
        ids += [*prompt[size:], *answer[:-1]]
        positions += range(size, len(prompt) + len(answer) - 1)
        keep += range(len(ids) - len(answer), len(ids))
        wanted += answer
    made = [torch.tensor(numbers, device=device) for numbers in (ids, positions, keep, wanted)]
    lengths = tuple(len(prompt) + len(answer) - 1 - size for prompt, answer in rows)
    return Sheet(made[0], made[1], made[2], made[3], size, lengths, tuple(len(answer) for _, answer in rows))


def _sight(queries: Tensor, keys: Tensor, window: int | None) -> Tensor:
    """`[B, Q, K]` whether a query at its position sees a key at its position."""
    gap = queries[:, :, None] - keys[:, None, :]
    return (gap >= 0) if window is None else (gap >= 0) & (gap < window)


class Attention:
    """Attention over one block, forward and backward; keeps what the backward needs."""

    def __init__(self, block: Block, heads: int, key_heads: int, scaling: float) -> None:
        self.block, self.heads, self.key_heads, self.scaling = block, heads, key_heads, scaling
        self.groups = heads // key_heads
        self.bias: dict[torch.dtype, Tensor] = {}

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Any]:
        """`[asking, H, D]` queries and `[T, N, D]` keys and values to `[asking, H * D]`, and what `backward` needs."""
        block = self.block
        q = self._queries(q if block.queries is None else q.index_select(0, block.queries))
        k, v = (self._keys(t if block.keys is None else t.index_select(0, block.keys)) for t in (k, v))
        if self._fused(k):
            out, kept = self._long(q, k, v)
        else:
            weights = self._weights(q, k)
            out, kept = torch.bmm(weights, v), (q, k, v, weights)
        return self._asking(out), kept

    def backward(self, grad: Tensor, kept: Any, dk: Tensor, dv: Tensor) -> Tensor:
        """The gradient of the queries `[asking, H, D]`; those of keys and values are added to `dk` and `dv`."""
        grad = self._slots(grad)
        if len(kept) == 2:
            out, inputs = kept
            gq, gk, gv = torch.autograd.grad(out, inputs, grad.view_as(out))
            gq, gk, gv = (g.flatten(0, 1) if g.dim() == 4 else g for g in (gq, gk, gv))
        else:
            q, k, v, weights = kept
            gv = torch.bmm(weights.transpose(1, 2), grad)
            scores = torch.bmm(grad, v.transpose(1, 2))
            scores = torch._softmax_backward_data(scores, weights, -1, weights.dtype)
            gq = torch.bmm(scores, k).mul_(self.scaling)
            gk = torch.bmm(scores.transpose(1, 2), q).mul_(self.scaling)
        self._spread(gk, dk)
        self._spread(gv, dv)
        return self._asking(gq).view(-1, self.heads, gq.shape[-1])

    def _fused(self, k: Tensor) -> bool:
        return k.shape[1] > pack.LONG or k.is_cuda

    def _weights(self, q: Tensor, k: Tensor) -> Tensor:
        long = q.dtype if q.dtype in (torch.float32, torch.float64) else torch.float32
        bias = self._bias(long)
        scores = torch.baddbmm(bias, q.to(long), k.to(long).transpose(1, 2), alpha=self.scaling)
        return scores.softmax(-1).to(q.dtype)

    def _bias(self, dtype: torch.dtype) -> Tensor:
        """`[B N, G Q, K]`, 0 where seen; made once for all layers."""
        if dtype not in self.bias:
            seen = self.block.seen
            bias = torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, _FAR)
            bias = bias[:, None].expand(-1, self.groups, -1, -1).flatten(1, 2)
            if len(bias) > 1:
                bias = bias[:, None].expand(-1, self.key_heads, -1, -1).flatten(0, 1)
            else:
                bias = bias.expand(self.block.rows * self.key_heads, -1, -1)
            self.bias[dtype] = bias
        return self.bias[dtype]

    def _long(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Any]:
        """PyTorch's fused attention; its own graph is kept for the backward."""
        shape = (self.block.rows, self.key_heads)
        wide = [t.reshape(*shape, *t.shape[1:]).detach().requires_grad_() for t in (q, k, v)]
        mask = self.block.seen[:, None].repeat(1, 1, self.groups, 1)  # [1 or B, 1, G Q, K]
        with torch.enable_grad():
            out = F.scaled_dot_product_attention(wide[0], wide[1], wide[2], attn_mask=mask, scale=self.scaling)
        return out.detach().flatten(0, 1), (out, wide)

    def _queries(self, q: Tensor) -> Tensor:
        q = q.view(self.block.rows, -1, self.key_heads, self.groups, q.shape[-1])
        return q.permute(0, 2, 3, 1, 4).reshape(self.block.rows * self.key_heads, -1, q.shape[-1])

    def _keys(self, k: Tensor) -> Tensor:
        k = k.view(self.block.rows, -1, self.key_heads, k.shape[-1])
        return k.transpose(1, 2).reshape(self.block.rows * self.key_heads, -1, k.shape[-1])

    def _asking(self, out: Tensor) -> Tensor:
        """`[B N, G Q, D]` to `[asking, H * D]`."""
        depth = out.shape[-1]
        rows = out.view(self.block.rows, self.key_heads, self.groups, -1, depth)
        packed = rows.permute(0, 3, 1, 2, 4).reshape(-1, self.heads * depth)
        return packed if self.block.home is None else packed.index_select(0, self.block.home)

    def _slots(self, grad: Tensor) -> Tensor:
        """`[asking, H * D]` to `[B N, G Q, D]`; padding gets zeros."""
        if self.block.home is not None:
            wide = grad.new_zeros(self.block.seen.shape[1] * self.block.rows, grad.shape[1])
            grad = wide.index_copy_(0, self.block.home, grad)
        return self._queries(grad.view(len(grad), self.heads, -1))

    def _spread(self, grad: Tensor, into: Tensor) -> None:
        """Add the gradient of gathered keys `[B N, K, D]` to that of the packed ones `[T, N, D]`."""
        block = self.block
        grad = grad.view(block.rows, self.key_heads, -1, grad.shape[-1]).transpose(1, 2)  # [B, K, N, D]
        if block.shared:
            into[: block.shared] += grad[:, : block.shared].sum(0)
        own = grad[:, block.shared :]
        if own.shape[1]:
            own = own.reshape(-1, *own.shape[2:])
            into[block.shared :] += own if block.own is None else own.index_select(0, block.own)
