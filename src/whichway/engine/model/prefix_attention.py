"""Attention over a prefix that all rows share and over each row's own keys, in one softmax.

Three ways to compute it, which give the same but for rounding: plain products, fused attention over copied prefixes,
and fused attention over both parts joined by their sums. Which one is taken depends on device, format and length.

Shapes: B rows, S queries of a row, C keys of a row, P the prefix, N key/value heads, G query heads for each, D the size
of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from whichway.engine.model import throughput

LONG = 1024  # keys; above it fused attention is faster than two plain matrix products (and needs less memory)
_CACHED = 1 << 20  # scores computed at a time, so that they stay in the processor's cache
_CHUNK = 256  # tokens of a long prefix that ask together
SCORES = 1 << 26  # held at once by plain products after a shared prefix

KeyValue = tuple[Tensor, Tensor]  # each [N, P, D]


@dataclass(frozen=True, slots=True)
class AttentionParams:
    """What a layer asks of its attention: scale, sliding window, cap on scores."""

    scaling: float
    window: int | None = None
    softcap: float | None = None


def attend_rows(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    prefix: KeyValue | None,
    row_mask: Tensor | None,
    prefix_mask: Tensor | None,
    how: AttentionParams,
) -> Tensor:
    """Attention over a shared prefix and each row's own keys, in one softmax.

    Args:
        q: `[N, B, G, S, D]`.
        k: `[N, B, C, D]`.
        v: `[N, B, C, D]`.
        prefix: keys and values that all rows share; never copied per row by the plain path.
        row_mask: `[B or 1, S, C]` bool, which of its row's keys a token sees; None: causal.
        prefix_mask: `[B, S, P]` bool, which prefix keys a token sees; None: all.
        how: scale, cap.

    Returns:
        `[N, B, G, S, D]`.
    """
    if prefix is None and row_mask is None and how.softcap is None:
        return _causal(q, k, v, how)
    if row_mask is None:
        row_mask = causal(k.shape[2], q.device)[None]
    if how.softcap is None and _is_long(q, k, prefix):
        return _fused(q, k, v, prefix, row_mask, prefix_mask, how.scaling)
    if how.softcap is None and prefix_mask is None and _merges(q):
        return _merged(q, k, v, prefix, row_mask, how.scaling)
    return _plain(q, k, v, prefix, row_mask, prefix_mask, how)


def _is_long(q: Tensor, k: Tensor, prefix: KeyValue | None) -> bool:
    """Whether fused attention pays; after a shared prefix it does not: it wants the prefix copied for every row."""
    if q.is_cuda:
        return True
    keys = k.shape[2] + (prefix[0].shape[1] if prefix else 0)
    return keys > LONG and (prefix is None or q.shape[:-1].numel() * keys > SCORES)


def _merges(q: Tensor) -> bool:
    """Whether a processor's fused attention may be used, and pays here; it has no gradients by its sums."""
    if q.device.type != "cpu" or torch.is_grad_enabled() or q.dtype == torch.float64:
        return False
    return _merging_pays(q.dtype)


@cache
def _merging_pays(kind: torch.dtype) -> bool:
    """Measured once, on a few rows after a prompt: some processors are faster at plain products."""
    q, k = torch.ones(4, 16, 1, 48, 64, dtype=kind), torch.ones(4, 16, 48, 64, dtype=kind)
    prefix, seen, how = (
        (k[:, :8].flatten(1, 2), k[:, :8].flatten(1, 2)),
        causal(48, q.device)[None],
        AttentionParams(0.125),
    )
    plain = throughput.seconds(lambda: _plain(q, k, k, prefix, seen, None, how))
    return throughput.seconds(lambda: _merged(q, k, k, prefix, seen, how.scaling)) < plain


def _merged(q: Tensor, k: Tensor, v: Tensor, prefix: KeyValue | None, seen: Tensor, scaling: float) -> Tensor:
    """Fused attention over the prefix (all rows together) and over each row's own keys, joined by their sums.

    With weights `e^s / Z` in each part, both together are the parts' outputs in the proportion of their `Z`.
    """
    heads, rows, groups, size, depth = q.shape
    mask = torch.zeros(seen.shape, device=q.device, dtype=q.dtype).masked_fill_(~seen, torch.finfo(q.dtype).min)
    mask = mask.repeat(1, groups, 1)[:, None]  # [1 or B, 1, G S, C]
    asks = q.flatten(2, 3)
    own, sums = _flash(asks.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), scaling, mask)
    own, sums = own.transpose(0, 1), sums.transpose(0, 1)  # [N, B, G S, D] and [N, B, G S]
    if prefix is not None:
        ahead, far = _flash(asks.flatten(1, 2)[None], prefix[0][None], prefix[1][None], scaling)
        share = torch.sigmoid(far.reshape(sums.shape) - sums).to(q.dtype)[..., None]
        own = torch.lerp(own, ahead.reshape(own.shape), share)
    return own.reshape(heads, rows, groups, size, depth)


def _flash(q: Tensor, k: Tensor, v: Tensor, scaling: float, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Attention `[B, H, Q, D]`, and the logarithm of each query's sum of exponentials `[B, H, Q]`, float32.

    What `scaled_dot_product_attention` calls on a processor; it alone gives the sums, too.
    """
    attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out, sums = attend(q, k, v, 0.0, False, attn_mask=mask, scale=scaling)
    return out, sums


def causal(size: int, device: torch.device) -> Tensor:
    """`[size, size]` bool lower triangle."""
    return torch.ones(size, size, dtype=torch.bool, device=device).tril_()


def _causal(q: Tensor, k: Tensor, v: Tensor, how: AttentionParams) -> Tensor:
    if q.shape[1] == 1 and q.shape[3] > _CHUNK and not (q.is_cuda or torch.is_grad_enabled() or _merges(q)):
        return _in_chunks(q, k, v, how)
    groups = q.shape[2]
    q, shape = q.flatten(0, 1), q.shape
    k, v = (t.flatten(0, 1)[:, None].expand(-1, groups, -1, -1) for t in (k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=how.scaling).view(shape)


def _in_chunks(q: Tensor, k: Tensor, v: Tensor, how: AttentionParams) -> Tensor:
    """Causal attention of one long row, some queries at a time behind all earlier keys."""
    parts = []
    for start in range(0, q.shape[3], _CHUNK):
        here = slice(start, start + _CHUNK)
        own, values = k[:, :, here], v[:, :, here]
        before = (k[:, 0, :start], v[:, 0, :start]) if start else None
        parts.append(_plain(q[:, :, :, here], own, values, before, causal(own.shape[2], q.device)[None], None, how))
    return torch.cat(parts, dim=3)


def _fused(
    q: Tensor, k: Tensor, v: Tensor, prefix: KeyValue | None, seen: Tensor, far: Tensor | None, scaling: float
) -> Tensor:
    heads, rows, groups, size, _ = q.shape
    if prefix is not None:
        k, v = (
            torch.cat([shared[:, None].expand(-1, rows, -1, -1), own], dim=2)
            for shared, own in zip(prefix, (k, v), strict=True)
        )
        if far is None:
            far = seen.new_ones(1, 1, prefix[0].shape[1])
        ahead = far.expand(seen.shape[0] if far.shape[0] == 1 else far.shape[0], size, -1)
        seen = torch.cat([ahead, seen.expand(ahead.shape[0], -1, -1)], dim=2)
    mask = seen[:, None].expand(-1, groups, -1, -1).flatten(1, 2)[None]  # [1, B, G * S, P + C]
    out = F.scaled_dot_product_attention(q.flatten(2, 3), k, v, attn_mask=mask, scale=scaling)
    return out.view(heads, rows, groups, size, -1)


def _plain(
    q: Tensor, k: Tensor, v: Tensor, prefix: KeyValue | None, seen: Tensor, far: Tensor | None, how: AttentionParams
) -> Tensor:
    """By plain products; softmax in float32 or longer, whatever the format of the rest."""
    heads, rows, groups, size, depth = q.shape
    wide = q.dtype if q.dtype == torch.float64 else torch.float32
    asks = (q.to(wide) * how.scaling).reshape(heads, rows, groups * size, depth)
    own = torch.matmul(asks, k.to(wide).transpose(2, 3)).view(heads, rows, groups, size, -1)
    own = _capped(own, how).masked_fill(~seen[:, None], torch.finfo(wide).min)
    if prefix is None:
        return torch.matmul(own.softmax(-1).to(v.dtype).flatten(2, 3), v).view(heads, rows, groups, size, -1)
    far = None if far is None else far[:, None].expand(-1, groups, -1, -1).flatten(0, 2)
    shared, of_own = _beside(asks.flatten(1, 2), own.flatten(1, 3), prefix, far, how)
    of_own = torch.matmul(of_own.view(heads, rows, groups * size, -1), v)
    return shared.view_as(of_own).add_(of_own).view(heads, rows, groups, size, depth)


def _beside(
    asks: Tensor, own: Tensor, prefix: KeyValue, far: Tensor | None, how: AttentionParams
) -> tuple[Tensor, Tensor]:
    """What the prefix's values give `[N, Q, D]`, and the weights of the own keys `[N, Q, C]`, by one softmax over both.

    Some queries at a time: their scores then stay in the processor's cache. They have the format of the values, as in
    transformers' eager attention: in float32 they would take a third longer behind a long prompt.
    """
    keys, values = prefix[0].transpose(1, 2).contiguous(), prefix[1]
    asks, own = asks.to(values.dtype), own.to(values.dtype)
    length, low = keys.shape[2], torch.finfo(own.dtype).min
    step = max(16, _CACHED // (asks.shape[0] * (length + own.shape[2])))
    prefix_outputs: list[Tensor] = []
    own_weights: list[Tensor] = []
    for start in range(0, asks.shape[1], step):
        here = slice(start, start + step)
        scores = _capped(torch.bmm(asks[:, here], keys), how)
        if far is not None:
            scores = scores.masked_fill(~far[here], low)
        weights = torch.cat([scores, own[:, here]], dim=-1).softmax(-1)
        prefix_outputs.append(torch.bmm(weights[..., :length], values))
        own_weights.append(weights[..., length:])
    return torch.cat(prefix_outputs, dim=1), torch.cat(own_weights, dim=1)


def _capped(scores: Tensor, how: AttentionParams) -> Tensor:
    return scores if how.softcap is None else torch.tanh(scores / how.softcap) * how.softcap
