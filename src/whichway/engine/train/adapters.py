"""Put a trained part on a base model: always on a fork, so the base stays as it was and several can be open at once."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch

from whichway.engine.model import forward
from whichway.engine.model.load import fork
from whichway.engine.model.tokenizer_files import first_line
from whichway.engine.model.weights import PARTS
from whichway.engine.train import bitfit, prompt_tuning
from whichway.errors import ModelError


def lora(base: Any, folder: Path) -> Any:
    """A fork of `base` with the PEFT adapter in `folder`.

    In float32 it is merged, which answers at the base's speed; in a shorter format merging would round the adapter
    away, so there it stays a part of its own, and so it does where the base's layers lie on several devices.
    """
    wrapped = peft_model(base, folder, trainable=False)
    kind = next(base.parameters()).dtype
    if kind == torch.float32 and not forward.in_parts(base):
        # safe_merge works on copies: the memory shared with the base is left alone.
        return wrapped.merge_and_unload(safe_merge=True).requires_grad_(False).eval()
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:  # PEFT keeps them in float32; products want one format
            parameter.data = parameter.data.to(kind)
    return wrapped.get_base_model().eval()


def peft_model(base: Any, folder: Path, *, trainable: bool) -> Any:
    """A fork of `base` wrapped by PEFT, with the adapter in `folder` as parts of their own."""
    from peft import PeftConfig, PeftModel

    module = fork(base)
    places = vars(module).pop(PARTS, None)  # PEFT would lay the layers out anew
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            config = PeftConfig.from_pretrained(str(folder), local_files_only=True)
            if config.task_type == "SEQ_CLS":  # its head is on `base` already; see `head.put`
                config.task_type, config.modules_to_save = "CAUSAL_LM", None
            wrapped = PeftModel.from_pretrained(
                module, str(folder), is_trainable=trainable, config=config, local_files_only=True
            )
    except Exception as error:  # not an adapter, another base's adapter, broken files
        raise ModelError(f"The adapter in {folder} cannot be put on this model: {first_line(error)}") from error
    if places is not None:
        setattr(module, PARTS, places)
    missing = [str(w.message) for w in warned if "missing adapter keys" in str(w.message)]
    if missing:
        raise ModelError(f"The adapter in {folder} lacks weights for this model: {missing[0][:200]}")
    return wrapped


def full(base: Any, folder: Path) -> Any:
    """A fork of `base` whose weights are those in `folder`."""
    from safetensors.torch import load_file

    module = fork(base)
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(file)
    for name, parameter in module.named_parameters():
        if name not in tensors or tensors[name].shape != parameter.shape:
            raise ModelError(f"The weights in {folder} do not fit the base: {name} is missing or has another shape.")
        parameter.data = tensors[name].to(parameter)
    return module


def trained(base: Any, folder: Path) -> Any:
    """A fork of `base` with the trained part in `folder`, an adapter or weights."""
    file = folder / "adapter_config.json"
    if not file.exists():
        return full(base, folder)
    config = json.loads(file.read_text(encoding="utf-8"))
    if config.get("peft_type") == "PROMPT_TUNING":
        return prompt_tuning.put(base, folder)
    if config.get("peft_type") == "LN_TUNING" or config.get("lora_bias") or config.get("bias") == "all":
        return bitfit.put(base, folder, config)
    return lora(base, folder)
