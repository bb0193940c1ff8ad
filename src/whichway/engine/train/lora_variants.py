"""Variants of LoRA: rsLoRA and DoRA are switches of PEFT; PiSSA is a start, kept in a form that leaves the base alone.

PiSSA (Meng et al. 2024, arXiv 2404.02948) starts the adapter at the principal part of each weight and takes that part
out of the frozen weight. Here the frozen weight stays: an adapter of twice the rank holds what is trained beside the
start with its sign turned, which never moves. Both say W - B0 A0 + B A. Saved is B A - B0 A0 in small factors of
its own: a plain LoRA adapter on the untouched base, as by PEFT's conversion.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from whichway.engine.model import throughput
from whichway.engine.train.seeded_draws import seeded

_EXACT = 1024  # up to this size all singular vectors are computed; above it the leading ones, by power iteration
_FILE = "adapter_model.safetensors"


def peft_arguments(variant: str) -> dict[str, Any]:
    """What PEFT calls a variant."""
    by_variant: dict[str, dict[str, Any]] = {"rslora": {"use_rslora": True}, "dora": {"use_dora": True}}
    return by_variant.get(variant, {})


def alpha(variant: str, rank: int) -> float:
    """The usual numerator of the scale: rsLoRA (arXiv 2312.03732) divides by the root of the rank, LoRA by the rank."""
    return 8.0 if variant == "rslora" else 2.0 * rank


def linear_layers(module: Any) -> list[str]:
    """The names of all linear layers but the head, as PEFT's "all-linear" finds them."""
    head = module.get_output_embeddings()
    return [
        name
        for name, part in module.named_modules()
        if part is not head and (isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D")
    ]


def has_lengths(part: Any) -> bool:
    """Whether DoRA can train a layer: it divides by the length of each output's weights, which must not be zero."""
    weight = part.weight if isinstance(part, nn.Linear) else part.weight.t()
    return bool(weight.abs().sum(1).min() > 0)


def principal(wrapped: Any, rank: int) -> dict[str, Tensor]:
    """Start every LoRA layer of twice `rank` as PiSSA; returns masks of the trained halves by parameter name."""
    masks: dict[str, Tensor] = {}
    with torch.no_grad(), throughput.using(1):  # sums in one order, so that a resumed training starts from the same
        for name, part in wrapped.named_modules():
            if hasattr(part, "lora_A") and "default" in part.lora_A:
                masks |= _start(name, part, rank)
    return masks


def _start(name: str, part: Any, rank: int) -> dict[str, Tensor]:
    down, up = part.lora_A["default"].weight, part.lora_B["default"].weight
    plain = part.get_base_layer()
    weight = (plain.weight if isinstance(plain, nn.Linear) else plain.weight.t()).float()
    a, b = _factors(weight / part.scaling["default"], rank)
    down.copy_(torch.cat([a, a]))
    up.copy_(torch.cat([b, -b], dim=1))
    moves_a, moves_b = torch.ones_like(down), torch.ones_like(up)
    moves_a[rank:], moves_b[:, rank:] = 0.0, 0.0
    return {f"{name}.lora_A.default.weight": moves_a, f"{name}.lora_B.default.weight": moves_b}


def _factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """`[rank, I]` and `[O, rank]` whose product is the principal part of `weight` `[O, I]`; zeros beyond its rank."""
    if min(weight.shape) <= _EXACT:
        u, s, vh = torch.linalg.svd(weight, full_matrices=False)
    else:
        with seeded(0):
            u, s, v = torch.svd_lowrank(weight, q=rank + 8, niter=8)
        vh = v.t()
    count = min(rank, len(s))
    root = s[:count].sqrt()
    a, b = weight.new_zeros(rank, weight.shape[1]), weight.new_zeros(weight.shape[0], rank)
    a[:count], b[:, :count] = root[:, None] * vh[:count], u[:, :count] * root
    return a, b


def save_compact(wrapped: Any, base: str, folder: Path) -> None:
    """Save a PEFT adapter with each pair of matrices in balanced factors.

    The trained and the fixed half are large and nearly cancel; in a short format that difference would be lost.
    """
    from safetensors.torch import load_file, save_file

    for config in wrapped.peft_config.values():
        config.base_model_name_or_path = base
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    tensors = load_file(folder / _FILE)
    with throughput.using(1):
        for name in [n for n in tensors if n.endswith("lora_A.weight")]:
            other = name.replace("lora_A", "lora_B")
            tensors[name], tensors[other] = _balanced(tensors[name], tensors[other])
    save_file(tensors, folder / _FILE, metadata={"format": "pt"})


def _balanced(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices of the same shapes and the same product `b @ a`, each carrying the root of its singular values."""
    (qb, rb), (qa, ra) = torch.linalg.qr(b.double()), torch.linalg.qr(a.double().t())
    u, s, vh = torch.linalg.svd(rb @ ra.t(), full_matrices=False)
    root, count = s.sqrt(), len(s)
    new_a, new_b = torch.zeros_like(a), torch.zeros_like(b)
    new_a[:count] = (root[:, None] * (vh @ qa.t())).to(a.dtype)
    new_b[:, :count] = (qb @ (u * root)).to(b.dtype)
    assert math.isfinite(float(new_b.sum()))
    return new_a, new_b
