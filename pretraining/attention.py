"""Attention for packed rows on a processor: PyTorch's fused forward, and a backward of plain products.

PyTorch's own backward takes three to five times as long there (half of a step).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

BLOCK = 256  # queries at a time: what lies after them is never computed
NAME = "packed"


class Packed(torch.autograd.Function):
    """Scaled dot-product attention under an additive mask, causal at least."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
        """q, k, v (B, H, T, D); mask (B, 1, T, T), 0 or very negative; returns (B, H, T, D)."""
        out, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v, 0.0, False, attn_mask=mask, scale=scale
        )
        ctx.save_for_backward(q, k, v, mask, out, sums)
        ctx.scale = scale
        return out  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> Any:  # type: ignore[override]
        """Probabilities again from the kept sums, block by block."""
        q, k, v, mask, out, sums = ctx.saved_tensors
        length = q.shape[2]
        delta = (given.float() * out.float()).sum(-1, keepdim=True)
        own, keys, values = [], torch.zeros_like(k, dtype=torch.float32), torch.zeros_like(v, dtype=torch.float32)
        for start in range(0, length, BLOCK):
            end = min(start + BLOCK, length)
            here, there = slice(start, end), slice(0, end)
            scores = (q[:, :, here] @ k[:, :, there].transpose(-1, -2)).float() * ctx.scale
            p = (scores + mask[:, :, here, there].float() - sums[:, :, here, None]).exp()
            grown = (given[:, :, here] @ v[:, :, there].transpose(-1, -2)).float()
            ds = (p * (grown - delta[:, :, here]) * ctx.scale).to(q.dtype)
            own.append(ds @ k[:, :, there])
            keys[:, :, there] += (ds.transpose(-1, -2) @ q[:, :, here]).float()
            values[:, :, there] += (p.to(q.dtype).transpose(-1, -2) @ given[:, :, here]).float()
        return torch.cat(own, 2), keys.to(k.dtype), values.to(v.dtype), None, None


def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float, **_: Any) -> Any:
    """In the form that transformers wants: (B, T, H, D), and no weights."""
    kind = torch.bfloat16 if torch.is_autocast_enabled("cpu") else query.dtype
    out = Packed.apply(query.to(kind), key.to(kind), value.to(kind), mask.to(kind), scaling)
    return out.transpose(1, 2), None


def use(model: Any) -> None:
    """Let a transformers model attend so; its mask is then the additive one of `Packed`."""
    AttentionInterface.register(NAME, attend)
    model.config._attn_implementation = NAME
