"""The parts of a decoder layer, forward and backward by hand: norms, grouped linear layers with LoRA, rotation, MLP.

Each part is a pair: the forward gives what comes next and what its backward needs; the backward adds gradients to the
slots of trained weights and returns that of its input. Nothing is computed for frozen weights. States between layers
are float32 (or longer); products take the format of the weights.

Shapes: T tokens, I inputs, O outputs, H heads, D depth of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from whichway.engine.model.weights import FusedLinear, LoraGroup, Norm

NormSaved = tuple[Tensor, Tensor]  # normalised states, reciprocal scale
LinearSaved = tuple[Tensor, Tensor | None]  # input, input times the adapters' first matrices


def norm(states: Tensor, part: Norm) -> tuple[Tensor, NormSaved]:
    """Normalise `[..., I]`; the result has the format of the weights."""
    kind = part.weight.value.dtype
    size = states.shape[-1]
    centred = states - states.mean(-1, keepdim=True) if part.bias else states
    length = torch.linalg.vector_norm(centred, dim=-1, keepdim=True)
    scale = length.mul_(length).div_(size).add_(part.eps).rsqrt_()
    normal = (centred * scale).to(kind)
    out = normal * part.gain()
    return (out.add_(part.bias.value) if part.bias else out), (normal, scale)


def norm_back(grad: Tensor, saved: NormSaved, part: Norm, into: Tensor) -> None:
    """Add the gradient of the states to `into`."""
    normal, scale = saved
    if part.weight.grad is not None:
        flat = grad.reshape(-1, grad.shape[-1])
        part.weight.grad += (flat * normal.reshape_as(flat)).sum(0)
    if part.bias is not None and part.bias.grad is not None:
        part.bias.grad += grad.reshape(-1, grad.shape[-1]).sum(0)
    grad = (grad * part.gain()).to(into.dtype)
    wide = normal.to(into.dtype)
    shared = torch.linalg.vecdot(grad, wide).unsqueeze(-1).div_(-grad.shape[-1])
    if part.bias is not None:
        grad = grad - grad.mean(-1, keepdim=True)
    into.addcmul_(torch.addcmul(grad, wide, shared), scale)


def linear(inputs: Tensor, group: FusedLinear) -> tuple[Tensor, LinearSaved]:
    """`[T, I]` to `[T, O]`, adapters included."""
    bias = group.bias.value if group.bias else None
    if group.int8 is None:
        out = F.linear(inputs, group.weight.value, bias)
    else:
        out = group.int8.forward(inputs)
        out = out if bias is None else out.add_(bias)
    low = group.lora
    if low is None:
        return out, (inputs, None)
    inner = inputs @ low.a.value.t()
    for i, (start, stop) in enumerate(low.columns):
        part = inner[:, i * low.rank : (i + 1) * low.rank]
        out[:, start:stop].addmm_(part, low.b[i].value.t(), alpha=low.scale)
    return out, (inputs, inner)


def linear_back(grad: Tensor, saved: LinearSaved, group: FusedLinear, *, onward: bool = True) -> Tensor | None:
    """The gradient of the input; `onward` False: it is not needed, and None is returned."""
    inputs, inner = saved
    if group.bias is not None and group.bias.grad is not None:
        group.bias.grad += grad.sum(0)
    if group.weight.grad is not None:
        add_product(group.weight.grad, grad.t(), inputs)
    out = None
    if onward:
        out = grad @ group.weight.value if group.int8 is None else group.int8.backward(grad)
    if group.lora is None or inner is None:
        return out
    narrow = _lora_back(grad, inputs, inner, group.lora)
    return None if out is None else out.addmm_(narrow, group.lora.a.value)


def _lora_back(grad: Tensor, inputs: Tensor, inner: Tensor, low: LoraGroup) -> Tensor:
    """Gradients of the adapters; returns that of `inner` `[T, k r]`."""
    narrow = torch.empty_like(inner)
    for i, (start, stop) in enumerate(low.columns):
        here, span = grad[:, start:stop], slice(i * low.rank, (i + 1) * low.rank)
        narrow[:, span] = here @ low.b[i].value
        into = low.b[i].grad
        if into is not None:
            into.add_((inner[:, span].t() @ here).t(), alpha=low.scale)
    narrow *= low.scale
    if low.a.grad is not None:
        add_product(low.a.grad, narrow.t(), inputs)
    return narrow


def add_product(into: Tensor, left: Tensor, right: Tensor) -> None:
    """`into += left @ right`, in the format of `into`."""
    if into.dtype == left.dtype:
        into.addmm_(left, right)
    else:
        into += left @ right


def rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of `[T, H, D]` by `[T, 1, D]` cosines and `[T, 1, D / 2]` sines; minus the sines: back again."""
    half = states.shape[-1] // 2
    wide = states.to(cos.dtype)
    out = wide * cos
    out[..., :half].addcmul_(wide[..., half:], sin, value=-1)
    out[..., half:].addcmul_(wide[..., :half], sin)
    return out


def activate(inputs: Tensor, activation: str, gated: bool) -> tuple[Tensor, Any]:
    """The MLP's activation: of `[T, 2 O]` gate and value when gated, else of `[T, O]`."""
    if not gated:
        return _act(inputs, activation), (inputs, None, None)
    gate, value = inputs.chunk(2, dim=-1)
    opened = _act(gate, activation)
    return opened * value, (gate, value, opened)


def activate_back(grad: Tensor, saved: Any, activation: str) -> Tensor:
    """The gradient of the activation's input."""
    gate, value, activated = saved
    if value is None:
        return _act_back(grad, gate, activation, torch.empty_like(gate))
    both = grad.new_empty(len(grad), 2 * grad.shape[1])  # written in place: joining afterwards copies it once more
    of_gate, of_value = both.chunk(2, dim=1)
    torch.mul(grad, activated, out=of_value)
    _act_back(grad * value, gate, activation, of_gate)
    return both


def _act(inputs: Tensor, activation: str) -> Tensor:
    if activation == "silu":
        return F.silu(inputs)
    return F.gelu(inputs, approximate="tanh" if activation == "gelu_tanh" else "none")


def _act_back(grad: Tensor, inputs: Tensor, activation: str, into: Tensor) -> Tensor:
    aten = torch.ops.aten
    if activation == "silu":
        return torch.as_tensor(aten.silu_backward.grad_input(grad, inputs, grad_input=into))
    how = "tanh" if activation == "gelu_tanh" else "none"
    return torch.as_tensor(aten.gelu_backward.grad_input(grad, inputs, approximate=how, grad_input=into))
