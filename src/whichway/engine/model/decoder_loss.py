"""The loss of a decoder's training pass, and its gradient, by hand: the whole model as one function of autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from whichway.engine.model import layers
from whichway.engine.model.attention import Sheet
from whichway.engine.model.decoder import Kept, Trunk

_HEAD_TOKENS = 256  # whose logits are held at once
_KEPT_BYTES = 1 << 26  # of probabilities kept for the backward of the loss; above it they are computed again


class Losses(torch.autograd.Function):
    """Negative log-probability `[M]` of every wanted token of a sheet; the whole model in one function.

    Gradients go straight to the slots of the trained weights, so the graph holds nothing else; `anchor` is any tensor
    that requires gradients and makes autograd call the backward.
    """

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, trunk: Trunk, sheet: Sheet, states: Tensor | None, first: int) -> Tensor:
        """Losses in float32 or longer."""
        del anchor  # autograd alone looks at it
        kept = Kept(first)
        out = trunk.forward(sheet, kept, states)
        normal, behind = layers.norm(out, trunk.weights.norm)
        held = len(normal) * len(trunk.weights.head.value) * normal.element_size() <= _KEPT_BYTES
        ctx.trunk, ctx.sheet, ctx.kept, ctx.behind, ctx.normal = trunk, sheet, kept, behind, normal
        ctx.away = [] if held else None
        losses = []
        for here, wanted in zip(*_parts(normal, sheet.wanted), strict=True):
            chances = F.linear(here, trunk.weights.head.value).to(trunk.wide).log_softmax(-1)
            losses.append(-chances.gather(1, wanted[:, None])[:, 0])
            if held:
                ctx.away.append(_away(chances, wanted).to(normal.dtype))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        """Add the gradients to the slots."""
        trunk, sheet, head = ctx.trunk, ctx.sheet, ctx.trunk.weights.head
        grad = ctx.normal.new_empty(ctx.normal.shape)
        for n, (weight, here, wanted) in enumerate(zip(*_parts(grads[0], ctx.normal, sheet.wanted), strict=True)):
            if ctx.away is not None:
                away = ctx.away[n]
            else:
                away = _away(F.linear(here, head.value).to(trunk.wide).log_softmax(-1), wanted).to(here.dtype)
            away = away * weight[:, None].to(here.dtype)
            grad[n * _HEAD_TOKENS :][: len(here)] = away @ head.value
            if head.grad is not None:
                layers.add_product(head.grad, away.t(), here)
        out = torch.zeros(grad.shape, dtype=trunk.wide, device=grad.device)
        layers.norm_back(grad, ctx.behind, trunk.weights.norm, out)
        trunk.backward(out, sheet, ctx.kept)
        return (None,) * 5


def losses(anchor: Tensor, trunk: Trunk, sheet: Sheet, states: Tensor | None = None, first: int = 0) -> Tensor:
    """Negative log-probability `[M]` of every wanted token of a sheet; see `Losses`.

    Args:
        anchor: any tensor that requires gradients.
        trunk: the model; gradients go to its slots.
        sheet: the rows.
        states: those in front of layer `first`, when they are known.
        first: the first layer to run.
    """
    apply: Any = Losses.apply
    return torch.as_tensor(apply(anchor, trunk, sheet, states, first))


def _parts(*tensors: Tensor) -> list[tuple[Tensor, ...]]:
    return [torch.split(t, _HEAD_TOKENS) for t in tensors]


def _away(logprobs: Tensor, wanted: Tensor) -> Tensor:
    """Probabilities less the wanted token's one: the gradient of the loss by the logits. Overwrites its input."""
    away = logprobs.exp_()
    away[torch.arange(len(wanted), device=away.device), wanted] -= 1.0  # before rounding: small differences matter
    return away
