"""Write a LoRA adapter of PEFT as a GGUF file, by llama.cpp's conventions, to be put on its base model's GGUF file.

Each matrix stands as two: `blk.0.attn_q.weight.lora_a` `[rank, in]` and `...lora_b` `[out, rank]`. The rows of queries
and keys of a Llama are moved as those of the base are, which concerns `lora_b` alone. llama.cpp scales by
`alpha / rank`, whatever the rule of PEFT is, so `alpha` is written such that this gives the scale of PEFT.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whichway.errors import ModelError
from whichway.models.gguf.writer import architecture, pairs, tensor_name

_FRONT = "base_model.model."


def reason_against(folder: Path) -> str:
    """Why an adapter is more than products of two small matrices on a base as it is; "" where it is just that.

    Args:
        folder: of the adapter, as PEFT saves it.
    """
    file = folder / "adapter_config.json"
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if config.get("peft_type") != "LORA" or config.get("task_type") != "CAUSAL_LM":
        return "it is no LoRA adapter of a language model"
    if config.get("use_dora"):
        return "DoRA scales each row as well"
    if config.get("lora_bias") or config.get("bias", "none") != "none" or config.get("modules_to_save"):
        return "it trained more than the low-rank matrices"
    if config.get("init_lora_weights") not in (True, False, None, "gaussian"):
        return f"it starts from a base changed by '{config['init_lora_weights']}'"
    if config.get("rank_pattern") or config.get("alpha_pattern"):
        return "its layers are scaled differently"
    return ""


def write_adapter(folder: Path, settings: Mapping[str, Any], file: Path, name: str) -> None:
    """Write a LoRA adapter.

    Args:
        folder: of the adapter, as PEFT saves it.
        settings: the base model's config.json.
        file: to write.
        name: `general.name`.

    Raises:
        ModelError: an adapter of another kind, or on layers that have no name in a GGUF file.
    """
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    reason = reason_against(folder)
    if reason:
        raise ModelError(f"The adapter in {folder} has no GGUF form: {reason}.")
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    arch, rank = architecture(settings, folder), int(config["r"])
    scale = float(config["lora_alpha"]) / (math.sqrt(rank) if config.get("use_rslora") else rank)
    out = gguf.GGUFWriter(file, arch)
    out.add_type(gguf.GGUFType.ADAPTER)
    out.add_name(name)
    out.add_string("adapter.type", "lora")
    out.add_float32("adapter.lora.alpha", scale * rank)
    for parameter, array in sorted(load_file(folder / "adapter_model.safetensors").items()):
        module, _, part = parameter.removeprefix(_FRONT).removesuffix(".weight").rpartition(".lora_")
        stored = tensor_name(f"{module}.weight", arch)
        if stored is None:
            raise ModelError(f"The adapter in {folder} changes {module}, which has no name in a GGUF file of {arch}.")
        values = array.astype(np.float32)
        if part == "B" and arch == "llama" and (".attn_q." in stored or ".attn_k." in stored):
            values = pairs(values, _heads(settings, stored))
        out.add_tensor(f"{stored}.lora_{part.lower()}", np.ascontiguousarray(values))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _heads(settings: Mapping[str, Any], name: str) -> int:
    heads = int(settings["num_attention_heads"])
    return heads if ".attn_q." in name else int(settings.get("num_key_value_heads") or heads)
