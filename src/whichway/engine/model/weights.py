"""The weights of a decoder as the engine computes with them: linear layers that read the same input lie in one matrix.

Query, key and value read the same input, gate and up do; each such group is one product. The matrices are stored once:
the model's own parameters become views of them. A `Slot` says where a weight's gradient is summed; a frozen one has no
such place, so nothing is ever computed for it.

Shapes: O outputs and I inputs of a group, r the rank of an adapter, k the adapters of a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from whichway.engine.model.int8 import Int8Pair

_KNOWN = {"llama", "mistral", "qwen2", "qwen3", "gemma", "gpt2"}
_ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}


PARTS = "hf_device_map"  # accelerate's attribute of a module whose layers lie on several devices


class Unknown(Exception):
    """This model, or what was put on it, has parts that are run through transformers instead."""


@dataclass(slots=True)
class ParamView:
    """A weight in the format it is computed in, and where its gradient is summed (None: frozen)."""

    value: Tensor
    parameters: tuple[nn.Parameter, ...]  # the model's own, in order along the first axis of `value`
    grad: Tensor | None = None

    def split(self, at: int) -> tuple[ParamView, ParamView]:
        """The rows before and from `at`, as views."""
        grads = (None, None) if self.grad is None else (self.grad[:at], self.grad[at:])
        return ParamView(self.value[:at], (), grads[0]), ParamView(self.value[at:], (), grads[1])


@dataclass(slots=True)
class LoraGroup:
    """The LoRA adapters of a group: outputs `columns[i]` get `scale * (x a[i].T) b[i].T`."""

    a: ParamView  # [k r, I]
    b: tuple[ParamView, ...]  # each [o, r]
    columns: tuple[tuple[int, int], ...]
    scale: float

    @property
    def rank(self) -> int:
        """The rank of each adapter."""
        return self.b[0].value.shape[1]


@dataclass(slots=True)
class FusedLinear:
    """Linear layers that read the same input."""

    weight: ParamView  # [O, I]
    bias: ParamView | None = None  # [O]
    lora: LoraGroup | None = None
    int8: Int8Pair | None = None  # the weight rounded, where its products are; parts of a split group stay exact

    def split(self, at: int) -> tuple[FusedLinear, FusedLinear]:
        """The outputs before and from `at`, as views."""
        weights = self.weight.split(at)
        biases = self.bias.split(at) if self.bias else (None, None)
        return FusedLinear(weights[0], biases[0], self._part(0, at)), FusedLinear(
            weights[1], biases[1], self._part(at, 1 << 62)
        )

    def _part(self, start: int, stop: int) -> LoraGroup | None:
        low = self.lora
        mine = [i for i, (a, b) in enumerate(low.columns) if a >= start and b <= stop] if low else []
        if low is None or not mine:
            return None
        a = low.a.split(low.rank * (mine[-1] + 1))[0].split(low.rank * mine[0])[1]
        columns = tuple((low.columns[i][0] - start, low.columns[i][1] - start) for i in mine)
        return LoraGroup(a, tuple(low.b[i] for i in mine), columns, low.scale)

    def splits(self, at: int) -> bool:
        """Whether no adapter reaches across `at` (GPT-2 has one layer for query, key and value)."""
        return self.lora is None or all(stop <= at or start >= at for start, stop in self.lora.columns)


@dataclass(slots=True)
class Norm:
    """RMS norm, or layer norm when it has a bias. `plus`: Gemma stores the gain less one."""

    weight: ParamView
    eps: float
    bias: ParamView | None = None
    plus: float = 0.0

    def gain(self) -> Tensor:
        """What the normalised states are multiplied with."""
        return self.weight.value + self.plus if self.plus else self.weight.value


@dataclass(slots=True)
class Layer:
    """The weights of one decoder layer."""

    input_norm: Norm  # attention
    qkv: FusedLinear
    out: FusedLinear
    post_attention_norm: Norm  # attention and MLP
    up: FusedLinear  # gate and up in one, when gated
    down: FusedLinear
    q_norm: Norm | None = None
    k_norm: Norm | None = None
    window: int | None = None


@dataclass(slots=True)
class DecoderWeights:
    """A whole decoder."""

    embed: ParamView  # [V, hidden]
    layers: list[Layer]
    norm: Norm
    head: ParamView  # [V, hidden]; the same slot as `embed` when tied
    heads: int
    key_heads: int
    depth: int  # of a head
    activation: str
    gated: bool
    scale: float = 1.0  # of the embeddings
    positions: ParamView | None = None  # learned ones [context, hidden]
    rotary: Any = None  # positions to (cos, sin)
    slots: list[ParamView] = field(default_factory=list)

    @property
    def dtype(self) -> torch.dtype:
        """The format of the products."""
        return self.embed.value.dtype


def read(module: Any) -> DecoderWeights:
    """The weights of a transformers causal language model, plain or with PEFT's LoRA layers in it.

    Raises:
        Unknown: it has parts that we do not compute ourselves.
    """
    config = module.config.get_text_config()
    if config.model_type not in _KNOWN or getattr(module, PARTS, None):
        raise Unknown(config.model_type)
    reader = _Reader(config)
    return reader.gpt2(module) if config.model_type == "gpt2" else reader.llama(module)


class _Reader:
    """Collects slots while it walks through a model."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.slots: list[ParamView] = []
        name = getattr(config, "hidden_act", None) or getattr(config, "activation_function", None)
        if name not in _ACTIVATIONS:
            raise Unknown(f"activation {name}")
        self.activation = _ACTIVATIONS[str(name)]

    def llama(self, module: Any) -> DecoderWeights:
        base, config = module.model, self.config
        embed = self.slot(base.embed_tokens.weight)
        tied = module.lm_head.weight is base.embed_tokens.weight
        head = embed if tied else self.slot(module.lm_head.weight)
        if getattr(module.lm_head, "bias", None) is not None or getattr(config, "final_logit_softcapping", None):
            raise Unknown("head")
        layers = [self.llama_layer(layer) for layer in base.layers]
        depth = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        scale = float(getattr(base.embed_tokens, "scalar_embed_scale", 1.0))
        return DecoderWeights(
            embed, layers, self.rms(base.norm), head, config.num_attention_heads, config.num_key_value_heads, depth,
            self.activation, True, scale, None, base.rotary_emb, self.slots,
        )  # fmt: skip

    def llama_layer(self, layer: Any) -> Layer:
        attention, mlp = layer.self_attn, layer.mlp
        q_norm, k_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
        return Layer(
            self.rms(layer.input_layernorm),
            self.group(attention.q_proj, attention.k_proj, attention.v_proj),
            self.group(attention.o_proj),
            self.rms(layer.post_attention_layernorm),
            self.group(mlp.gate_proj, mlp.up_proj),
            self.group(mlp.down_proj),
            self.rms(q_norm) if q_norm is not None else None,
            self.rms(k_norm) if k_norm is not None else None,
            getattr(attention, "sliding_window", None) or self.mistral_window(),
        )

    def mistral_window(self) -> int | None:
        return self.config.sliding_window if self.config.model_type == "mistral" else None

    def gpt2(self, module: Any) -> DecoderWeights:
        base, config = module.transformer, self.config
        if config.scale_attn_by_inverse_layer_idx or not config.scale_attn_weights or config.add_cross_attention:
            raise Unknown("attention scale")
        embed = self.slot(base.wte.weight)
        head = embed if module.lm_head.weight is base.wte.weight else self.slot(module.lm_head.weight)
        layers = [
            Layer(
                self.layer_norm(h.ln_1), self.group(h.attn.c_attn), self.group(h.attn.c_proj),
                self.layer_norm(h.ln_2), self.group(h.mlp.c_fc), self.group(h.mlp.c_proj),
            )
            for h in base.h
        ]  # fmt: skip
        return DecoderWeights(
            embed, layers, self.layer_norm(base.ln_f), head, config.n_head, config.n_head,
            config.n_embd // config.n_head, self.activation, False, 1.0, self.slot(base.wpe.weight), None, self.slots,
        )  # fmt: skip

    def slot(self, parameter: nn.Parameter, value: Tensor | None = None) -> ParamView:
        slot = ParamView(parameter.data if value is None else value, (parameter,))
        self.slots.append(slot)
        return slot

    def rms(self, part: Any) -> Norm:
        eps = getattr(part, "variance_epsilon", None) or part.eps
        plus = 1.0 if self.config.model_type == "gemma" else 0.0
        return Norm(self.slot(part.weight), float(eps), plus=plus)

    def layer_norm(self, part: Any) -> Norm:
        return Norm(self.slot(part.weight), float(part.eps), self.slot(part.bias))

    def group(self, *parts: Any) -> FusedLinear:
        """Put linear layers into one matrix; the layers' own parameters become views of it."""
        plain = [getattr(part, "base_layer", part) for part in parts]
        turned = not isinstance(plain[0], nn.Linear)  # GPT-2's layers store [I, O]
        if turned and len(plain) > 1:
            raise Unknown(type(plain[0]).__name__)
        if turned:
            weight = ParamView(plain[0].weight.data.t(), (plain[0].weight,))
            self.slots.append(weight)
        else:
            weight = self.joined([p.weight for p in plain])
        biases = [p.bias for p in plain if p.bias is not None]
        if biases and len(biases) != len(plain):
            raise Unknown("biases on some layers of a group")
        return FusedLinear(weight, self.joined(biases) if biases else None, self.lora(parts, weight))

    def joined(self, parameters: Sequence[nn.Parameter]) -> ParamView:
        tensors = [p.data for p in parameters]
        whole = tensors[0] if len(tensors) == 1 else _already_joined(tensors)
        if whole is None:
            whole = torch.cat(tensors)
            for p, view in zip(parameters, torch.split(whole, [len(t) for t in tensors]), strict=True):
                p.data = view
        slot = ParamView(whole, tuple(parameters))
        self.slots.append(slot)
        return slot

    def lora(self, parts: Sequence[Any], weight: ParamView) -> LoraGroup | None:
        """PEFT's LoRA layers on the parts of a group."""
        adapters: list[tuple[nn.Parameter, nn.Parameter, float, tuple[int, int]]] = []
        start = 0
        for part in parts:
            size = weight.value.shape[0] if len(parts) == 1 else len(getattr(part, "base_layer", part).weight)
            if hasattr(part, "lora_A"):
                adapters.append((*_plain_lora(part), (start, start + size)))
            start += size
        if not adapters:
            return None
        if len({(a.shape[0], scale) for a, _, scale, _ in adapters}) > 1:
            raise Unknown("adapters of several ranks on one group")
        a = self.joined([a for a, _, _, _ in adapters])
        return LoraGroup(
            a, tuple(self.slot(b) for _, b, _, _ in adapters), tuple(c for *_, c in adapters), adapters[0][2]
        )


def _already_joined(tensors: Sequence[Tensor]) -> Tensor | None:
    """The one matrix that the tensors are consecutive views of, if there is one."""
    first, at = tensors[0], tensors[0].storage_offset()
    for t in tensors:
        if t.untyped_storage().data_ptr() != first.untyped_storage().data_ptr() or not t.is_contiguous():
            return None
        if t.storage_offset() != at:
            return None
        at += t.numel()
    shape = (sum(len(t) for t in tensors), *first.shape[1:])
    return first.as_strided(shape, first.stride())


def _plain_lora(part: Any) -> tuple[nn.Parameter, nn.Parameter, float]:
    """The two matrices and the scale of a PEFT layer.

    Raises:
        Unknown: a variant (DoRA, a bias, dropout, several adapters).
    """
    names = list(part.lora_A)
    if len(names) != 1 or part.merged or part.disable_adapters:
        raise Unknown("several adapters")
    name = names[0]
    down: Any = part.lora_A[name]
    up: Any = part.lora_B[name]
    if getattr(part, "lora_variant", {}).get(name) is not None or up.bias is not None:
        raise Unknown("a variant of LoRA")
    if not isinstance(part.lora_dropout[name], nn.Identity) or not isinstance(down, nn.Linear):
        raise Unknown("dropout")
    weights: tuple[nn.Parameter, nn.Parameter] = (getattr(down, "weight"), getattr(up, "weight"))  # noqa: B009
    return (*weights, float(part.scaling[name]))


@dataclass(slots=True)
class MasterWeights:
    """All trained weights in one vector: the optimiser, the norm and the zeroing are one call each.

    `vector` holds float32 (or longer) masters, and the model's parameters are views of it; the slots compute with
    `working`, a copy in the format of the products, or with the masters themselves when the formats agree.
    """

    vector: nn.Parameter
    working: Tensor | None
    names: dict[str, Tensor]  # the model's trained parameters, as views of the vector

    def refresh(self) -> None:
        """After a step: bring the working copy up to date."""
        if self.working is not None:
            self.working.copy_(self.vector.data)


def gather(weights: DecoderWeights, module: Any, dtype: torch.dtype) -> MasterWeights:
    """Put every parameter of `module` that requires gradients into one vector, and tell its slots.

    Args:
        weights: of `module`.
        module: its parameters that require gradients are trained.
        dtype: of the products.
    """
    slots = [s for s in weights.slots if s.parameters and all(p.requires_grad for p in s.parameters)]
    first = slots[0].parameters[0].data
    size = sum(p.numel() for s in slots for p in s.parameters)
    vector = nn.Parameter(torch.empty(size, dtype=first.dtype, device=first.device))
    vector.grad = torch.zeros_like(vector.data)
    working = None if dtype == first.dtype else torch.empty(size, dtype=dtype, device=first.device)
    for slot, start in _places(slots):
        _move(slot, start, vector, working)
    for slot in weights.slots:
        if slot.grad is None and slot.value.dtype != dtype:  # frozen beside trained ones that are float32 on disk
            slot.value = slot.value.to(dtype)
    names = {name: p.data for name, p in module.named_parameters() if p.requires_grad}
    masters = MasterWeights(vector, working, names)
    masters.refresh()
    return masters


def _places(slots: Sequence[ParamView]) -> Iterator[tuple[ParamView, int]]:
    start = 0
    for slot in slots:
        yield slot, start
        start += sum(p.numel() for p in slot.parameters)


def _move(slot: ParamView, start: int, vector: nn.Parameter, working: Tensor | None) -> None:
    assert vector.grad is not None
    at = start
    for p in slot.parameters:
        view = vector.data[at : at + p.numel()].view(p.shape)
        view.copy_(p.data)
        p.data = view
        at += p.numel()
    turned = len(slot.parameters) == 1 and slot.value.shape != slot.parameters[0].shape
    turned = turned or (len(slot.parameters) == 1 and slot.value.dim() == 2 and not slot.value.is_contiguous())
    shape = slot.value.t().shape if turned else slot.value.shape
    used = vector.data if working is None else working
    value, grad = (t[start:at].view(shape) for t in (used, vector.grad))
    slot.value, slot.grad = (value.t(), grad.t()) if turned else (value, grad)
