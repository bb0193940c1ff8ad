"""Biases or norm gains alone: BitFit, for models with biases and for those without.

BitFit (Ben Zaken et al. 2021, arXiv 2106.10199) trains the biases a model has. Llama-like models have none: they get
zero biases on the value projection, the best single place (BEFT, arXiv 2509.15974), or their norm gains are trained.

Saved in PEFT's format, which has no type for this, in the nearest of its types:

- value biases: LoRA of rank 1 with zero matrices and `lora_bias`, whose bias is the change;
- all biases: LoRA of rank 1 with zero matrices on one layer and `bias="all"`, which carries the model's own biases;
- norm gains: LN tuning, which carries whole norms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from whichway.engine.model.load import fork, own_float32
from whichway.errors import ModelError, OptionError

_FILE = "adapter_model.safetensors"
_FRONT = "base_model.model."


@dataclass(frozen=True, slots=True)
class Chosen:
    """A fork whose chosen numbers alone are trained."""

    module: Any
    part: str  # "bias", "value" or "norm"
    names: tuple[str, ...]
    masks: dict[str, Tensor]  # parameter -> 0: it is there for the layers beside it, and stays as it is


def start(base: Any, part: str, known: bool) -> Chosen:
    """Set up a training.

    Args:
        base: the model; left alone.
        part: "bias", "value", "norm", or "auto": biases where there are some.
        known: whether our own decoder runs it; transformers' layers want one format throughout.

    Raises:
        OptionError: the model has no such part.
    """
    has = [name for name, _ in base.named_parameters() if name.endswith(".bias")]
    part = ("bias" if has else "value") if part == "auto" else part
    norms = [name for name, p in base.named_parameters() if p.dim() == 1 and name.endswith(".weight")]
    own = {"bias": has, "norm": norms, "value": []}[part]
    if part == "bias" and not has:
        raise OptionError("part = 'bias': this model has no biases; 'value' adds some, 'norm' trains the norms.")
    module = fork(base, own=own) if known else own_float32(base)
    masks: dict[str, Tensor] = {}
    if part == "value":
        own, masks = _with_values(module)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in own)
        if name in own:
            parameter.data = parameter.data.float()
    return Chosen(module, part, tuple(own), masks)


def _with_values(module: Any) -> tuple[list[str], dict[str, Tensor]]:
    """Biases on queries, keys and values (computed as one), of which the values' are trained."""
    names, masks = [], {}
    for name, attention in _attentions(module):
        for projection in ("q_proj", "k_proj", "v_proj"):
            layer = getattr(attention, projection)
            _own_bias(layer)
            names.append(f"{name}.{projection}.bias")
            if projection != "v_proj":
                masks[names[-1]] = torch.zeros_like(layer.bias)
    if not names:
        raise OptionError("part = 'value': this model's attention has no value projection of its own; use 'bias'.")
    return names, masks


def _attentions(module: Any) -> Iterator[tuple[str, Any]]:
    for name, part in module.named_modules():
        if all(isinstance(getattr(part, p, None), nn.Linear) for p in ("q_proj", "k_proj", "v_proj")):
            yield name, part


def _own_bias(layer: nn.Linear) -> None:
    """A float32 bias with memory of its own; zeros when there was none."""
    old = layer.bias
    size, where = layer.weight.shape[0], layer.weight.device
    data = torch.zeros(size, device=where) if old is None else old.data.detach().clone().float()
    layer.bias = nn.Parameter(data, requires_grad=False)


def save(chosen: Chosen, base: Any, word: str, folder: Path) -> None:
    """Write an adapter that PEFT loads.

    Args:
        chosen: what was trained.
        base: the model it was set up from.
        word: the base's name or place.
        folder: the adapter's.
    """
    from peft import LNTuningConfig, LoraConfig
    from safetensors.torch import save_file

    values = {name: p.data.detach().float().cpu().contiguous() for name, p in chosen.module.named_parameters()
              if name in chosen.names and name not in chosen.masks}  # fmt: skip
    turned = base.config.model_type == "gpt2"
    common: dict[str, Any] = {"task_type": "CAUSAL_LM", "base_model_name_or_path": word, "inference_mode": True}
    zero: dict[str, Any] = {"r": 1, "lora_alpha": 1, "lora_dropout": 0.0, "fan_in_fan_out": turned, **common}
    config: Any
    if chosen.part == "norm":
        layers = [name.removesuffix(".weight") for name in values]
        config = LNTuningConfig(target_modules=layers, **common)
        tensors = {f"{_FRONT}{name.removesuffix('.weight')}.ln_tuning_layers.weight": v for name, v in values.items()}
        tensors |= _others(base, layers)
    elif chosen.part == "value":
        layers = [name.removesuffix(".bias") for name in values]
        config = LoraConfig(target_modules=layers, lora_bias=True, **zero)
        tensors = {}
        for layer in layers:
            old = base.get_submodule(layer).bias
            change = values[f"{layer}.bias"] - (0.0 if old is None else old.data.float().cpu())
            tensors |= {**_zero_matrices(base, layer), f"{_FRONT}{layer}.lora_B.bias": change}
    else:
        layer = _first_linear(base)
        config = LoraConfig(target_modules=[layer], bias="all", **zero)
        tensors = {_FRONT + name.replace(f"{layer}.bias", f"{layer}.base_layer.bias"): v for name, v in values.items()}
        tensors |= _zero_matrices(base, layer)
    config.save_pretrained(folder)
    save_file(tensors, folder / _FILE, metadata={"format": "pt"})


def _others(base: Any, layers: list[str]) -> dict[str, Tensor]:
    """Biases of the norms whose gains are trained: PEFT's type carries whole norms."""
    biases = {}
    for layer in layers:
        bias = getattr(base.get_submodule(layer), "bias", None)
        if bias is not None:
            biases[f"{_FRONT}{layer}.ln_tuning_layers.bias"] = bias.data.detach().float().cpu().clone()
    return biases


def _first_linear(base: Any) -> str:
    parts: Iterator[tuple[str, Any]] = base.named_modules()
    linear = (name for name, part in parts if isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D")
    return next(name for name in linear if name != "lm_head")


def _zero_matrices(base: Any, layer: str) -> dict[str, Tensor]:
    """The matrices of a LoRA layer of rank 1 that changes nothing."""
    part = base.get_submodule(layer)
    outputs, inputs = part.weight.shape if isinstance(part, nn.Linear) else part.weight.shape[::-1]
    front = f"{_FRONT}{layer}"
    return {f"{front}.lora_A.weight": torch.zeros(1, inputs), f"{front}.lora_B.weight": torch.zeros(outputs, 1)}


def put(base: Any, folder: Path, config: dict[str, Any]) -> Any:
    """A fork of `base` with the biases or norms in `folder`; `config` is its adapter_config.json.

    Raises:
        ModelError: they do not fit the base, or it is an adapter of another make.
    """
    from safetensors.torch import load_file

    tensors = load_file(folder / _FILE)
    if any("lora_" in name and "bias" not in name and bool(t.any()) for name, t in tensors.items()):
        raise ModelError(f"The adapter in {folder} trains biases and matrices at once, which the engine does not know.")
    module = fork(base)
    kind = next(base.parameters()).dtype
    if config.get("lora_bias"):
        for _, attention in _attentions(module):
            for projection in ("q_proj", "k_proj", "v_proj"):
                _own_bias(getattr(attention, projection))
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for name, tensor in tensors.items():
            plain = name.removeprefix(_FRONT)
            for extra in (".base_layer", ".ln_tuning_layers", ".lora_B"):
                plain = plain.replace(extra, "")
            if ".lora_" in name and not name.endswith(".lora_B.bias"):
                continue
            if plain not in parameters or parameters[plain].shape != tensor.shape:
                raise ModelError(f"The adapter in {folder} does not fit the base: it has no {plain} of that shape.")
            old = parameters[plain].data.float() if name.endswith(".lora_B.bias") else 0.0
            parameters[plain].data = (tensor.to(parameters[plain].device) + old).to(kind)
    for name, parameter in parameters.items():
        if name.endswith(".bias"):
            parameter.data = parameter.data.to(kind)
    return module.requires_grad_(False).eval()
