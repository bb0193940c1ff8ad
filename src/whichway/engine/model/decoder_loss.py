"""The loss of a decoder's training pass, and its gradient, by hand: the whole model as one function of autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from whichway.engine.model import layers
from whichway.engine.model.attention import PackedTrainBatch
from whichway.engine.model.decoder import Decoder, SavedForBackward

_HEAD_TOKENS = 256  # whose logits are held at once
_KEPT_BYTES = 1 << 26  # of probabilities kept for the backward of the loss; above it they are computed again


class Losses(torch.autograd.Function):
    """Negative log-probability `[M]` of every wanted token of a sheet; the whole model in one function.

    Gradients go straight to the slots of the trained weights, so the graph holds nothing else; `anchor` is any tensor
    that requires gradients and makes autograd call the backward.
    """

    @staticmethod
    def forward(
        ctx: Any, anchor: Tensor, own_decoder: Decoder, sheet: PackedTrainBatch, states: Tensor | None, first: int
    ) -> Tensor:
        """Losses in float32 or longer."""
        del anchor  # autograd alone looks at it
        saved = SavedForBackward(first)
        out = own_decoder.forward(sheet, saved, states)
        normal, behind = layers.norm(out, own_decoder.weights.norm)
        held = len(normal) * len(own_decoder.weights.head.value) * normal.element_size() <= _KEPT_BYTES
        ctx.decoder, ctx.sheet, ctx.saved, ctx.behind, ctx.normal = own_decoder, sheet, saved, behind, normal
        ctx.dlogits = [] if held else None
        losses = []
        for here, wanted in zip(*_parts(normal, sheet.wanted), strict=True):
            chances = F.linear(here, own_decoder.weights.head.value).to(own_decoder.wide).log_softmax(-1)
            losses.append(-chances.gather(1, wanted[:, None])[:, 0])
            if held:
                ctx.dlogits.append(_dlogits(chances, wanted).to(normal.dtype))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        """Add the gradients to the slots."""
        own_decoder, sheet, head = ctx.decoder, ctx.sheet, ctx.decoder.weights.head
        grad = ctx.normal.new_empty(ctx.normal.shape)
        for n, (weight, here, wanted) in enumerate(zip(*_parts(grads[0], ctx.normal, sheet.wanted), strict=True)):
            if ctx.dlogits is not None:
                dlogits = ctx.dlogits[n]
            else:
                dlogits = _dlogits(F.linear(here, head.value).to(own_decoder.wide).log_softmax(-1), wanted).to(
                    here.dtype
                )
            dlogits = dlogits * weight[:, None].to(here.dtype)
            grad[n * _HEAD_TOKENS :][: len(here)] = dlogits @ head.value
            if head.grad is not None:
                layers.add_product(head.grad, dlogits.t(), here)
        out = torch.zeros(grad.shape, dtype=own_decoder.wide, device=grad.device)
        layers.norm_back(grad, ctx.behind, own_decoder.weights.norm, out)
        own_decoder.backward(out, sheet, ctx.saved)
        return (None,) * 5


def losses(
    anchor: Tensor, own_decoder: Decoder, sheet: PackedTrainBatch, states: Tensor | None = None, first: int = 0
) -> Tensor:
    """Negative log-probability `[M]` of every wanted token of a sheet; see `Losses`.

    Args:
        anchor: any tensor that requires gradients.
        own_decoder: the model; gradients go to its slots.
        sheet: the rows.
        states: those in front of layer `first`, when they are known.
        first: the first layer to run.
    """
    apply: Any = Losses.apply
    return torch.as_tensor(apply(anchor, own_decoder, sheet, states, first))


def _parts(*tensors: Tensor) -> list[tuple[Tensor, ...]]:
    return [torch.split(t, _HEAD_TOKENS) for t in tensors]


def _dlogits(logprobs: Tensor, wanted: Tensor) -> Tensor:
    """The gradient of the loss by the logits: probabilities less the wanted token's one. Overwrites its input."""
    away = logprobs.exp_()
    away[torch.arange(len(wanted), device=away.device), wanted] -= 1.0  # before rounding: small differences matter
    return away
