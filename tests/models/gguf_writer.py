"""Writes tiny GGUF files as llama.cpp's converter does: the other direction of what is tested, written on its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
GEMMA = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
WIDE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
SIZES = {**WIDE, "intermediate_size": 96, "max_position_embeddings": 256, "pad_token_id": None}
SCALAR = {"query_pre_attn_scalar": 32, "sliding_window": 8}
OWN: dict[str, dict[str, Any]] = {
    "llama": {"head_dim": 16},
    "llama3": {"head_dim": 16, "rope_theta": 500_000.0, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}},
    "biased": {"head_dim": 16, "attention_bias": True},
    "linear": {"head_dim": 16, "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "yarn": {"head_dim": 16, "rope_scaling": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}},
    "mistral": {"head_dim": 32, "sliding_window": None},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 32},
    "gemma": {"head_dim": 32},
    "gemma2": {"head_dim": 32, "num_hidden_layers": 3, **SCALAR},
    "gemma3": {"head_dim": 32, "num_hidden_layers": 7, "rope_theta": 1_000_000.0, "rope_local_base_freq": 10_000.0,
               **SCALAR},
    "gemma3_linear": {"head_dim": 32, "num_hidden_layers": 7, "rope_theta": 1_000_000.0,
                      "rope_local_base_freq": 10_000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
                      **SCALAR},
    "phi3": {"sliding_window": 8},
    "phi3_long": {"original_max_position_embeddings": 64, "partial_rotary_factor": 0.5, "rope_scaling": {
        "rope_type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.5], "long_factor": [1.0, 2.0, 3.0, 4.0]}},
}  # fmt: skip
KIND = {"llama3": "llama", "biased": "llama", "linear": "llama", "yarn": "llama"}
KIND |= {"gemma3": "gemma3_text", "gemma3_linear": "gemma3_text", "phi3_long": "phi3"}
FILE = {"llama3": "llama", "biased": "llama", "linear": "llama", "yarn": "llama", "gemma3_linear": "gemma3"}
FILE |= {"phi3_long": "phi3"}


def module(case: str, vocab: int = 320, **changes: Any) -> Any:
    """A random module of one of the cases in `OWN`, in float32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(KIND.get(case, case), vocab_size=vocab, **{**SIZES, **OWN[case], **changes})
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        for name, parameter in model.named_parameters():
            torch.nn.init.normal_(parameter, std=0.3 if "embed" in name else 0.15)
            if name.endswith("norm.weight") and "gemma" not in case:
                parameter.data += 1
    return model.requires_grad_(False)


def write(file: Path, model: Any, case: str, tokenizer: dict[str, Any], kind: str = "F32", **metadata: Any) -> Path:
    """Write `model` as a GGUF file; matrices are stored as `kind`, all else as float32."""
    writer = gguf.GGUFWriter(file, FILE.get(case, case))
    arch, config = FILE.get(case, case), model.config
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    values = {
        "general.name": f"tiny {case}",
        f"{arch}.block_count": config.num_hidden_layers,
        f"{arch}.context_length": config.max_position_embeddings,
        f"{arch}.embedding_length": config.hidden_size,
        f"{arch}.feed_forward_length": config.intermediate_size,
        f"{arch}.attention.head_count": config.num_attention_heads,
        f"{arch}.attention.head_count_kv": config.num_key_value_heads,
        f"{arch}.attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        **({f"{arch}.attention.key_length": head} if "head_dim" in OWN[case] else {}),
        **_positions(arch, case, config),
        **tokenizer,
        **metadata,
    }
    for key, value in values.items():
        if value is not None:
            _add(writer, key, value)
    for name, array in _tensors(arch, model):
        matrix = array.ndim > 1
        stored = gguf.GGMLQuantizationType[kind if matrix else "F32"]
        writer.add_tensor(name, gguf.quantize(array, stored), raw_dtype=stored)
    for name, array in _factors(case, config):
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add(writer: Any, key: str, value: Any) -> None:
    adders = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    if isinstance(value, list):
        writer.add_array(key, value)
    elif key != "general.architecture":
        adders[type(value)](key, value)


def _positions(arch: str, case: str, config: Any) -> dict[str, Any]:
    own = OWN[case]
    found: dict[str, Any] = {f"{arch}.rope.freq_base": float(own["rope_theta"])} if "rope_theta" in own else {}
    scaling = own.get("rope_scaling") or {}
    if scaling.get("rope_type") in ("linear", "yarn"):
        found[f"{arch}.rope.scaling.type"] = scaling["rope_type"]
        found[f"{arch}.rope.scaling.factor"] = float(scaling["factor"])
    if "original_max_position_embeddings" in {**own, **scaling} and scaling["rope_type"] != "llama3":
        original = {**own, **scaling}["original_max_position_embeddings"]
        found[f"{arch}.rope.scaling.original_context_length"] = original
    if case == "phi3_long":
        found["phi3.rope.dimension_count"] = 8
    if own.get("sliding_window"):
        found[f"{arch}.attention.sliding_window"] = own["sliding_window"]
    if case == "gemma2":
        found |= {"gemma2.attn_logit_softcapping": 50.0, "gemma2.final_logit_softcapping": 30.0}
    return found


def _tensors(arch: str, model: Any) -> Any:
    names = NAMES | (GEMMA if arch in ("gemma2", "gemma3") else {})
    tied = model.config.tie_word_embeddings
    for name, parameter in model.state_dict().items():
        if name == "lm_head.weight" and tied:
            continue
        match = re.fullmatch(r"(model\.layers\.(\d+)\.)?(.+)\.(weight|bias)", name)
        assert match, name
        array = parameter.numpy().astype(np.float32)
        if arch in ("llama", "mistral") and match[3] in ("self_attn.q_proj", "self_attn.k_proj"):
            config = model.config
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            array = _pairs(array, heads)
        if arch.startswith("gemma") and match[3].endswith("norm"):
            array = array + 1
        prefix = f"blk.{match[2]}." if match[2] else ""
        yield f"{prefix}{names[match[3]]}.{match[4]}", np.ascontiguousarray(array)


def _pairs(array: Any, heads: int) -> Any:
    """llama.cpp's `permute`: halves of each head to neighbouring pairs."""
    return array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def _factors(case: str, config: Any) -> Any:
    scaling = OWN[case].get("rope_scaling") or {}
    if case == "phi3_long":
        for length in ("long", "short"):
            yield f"rope_factors_{length}.weight", np.array(scaling[f"{length}_factor"], dtype=np.float32)
    if case == "llama3":
        yield "rope_freqs.weight", np.array(_llama3(scaling, 500_000.0, 16), dtype=np.float32)


def _llama3(scaling: dict[str, Any], base: float, size: int) -> list[float]:
    """As llama.cpp's converter computes the factors."""
    old = scaling["original_max_position_embeddings"]
    low, high, factor = scaling["low_freq_factor"], scaling["high_freq_factor"], scaling["factor"]
    factors = []
    for frequency in 1.0 / base ** (np.arange(0, size, 2) / size):
        wavelength = 2 * np.pi / frequency
        if wavelength < old / high:
            factors.append(1.0)
        elif wavelength > old / low:
            factors.append(factor)
        else:
            smooth = (old / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return factors


def byte_level(template: str | None = None, pre: str = "smollm", **changes: Any) -> dict[str, Any]:
    """Metadata of a byte-level vocabulary of 320 tokens, with four special ones and `<think>`."""
    from tiny_tokenizer import tiny_tokenizer

    core = tiny_tokenizer(template).backend_tokenizer
    import json

    model = json.loads(core.to_str())["model"]
    tokens = [core.id_to_token(i) for i in range(core.get_vocab_size())]
    tokens += [f"[PAD{i}]" for i in range(len(tokens), 319)]
    tokens = [*tokens[:319], "<think>"]
    kinds = [3] * 4 + [1] * 315 + [4]
    merges = [" ".join(merge) for merge in model["merges"] if "".join(merge) in tokens]
    found = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.chat_template": template,
    }
    return {**found, **{f"tokenizer.{key}": value for key, value in changes.items()}}
