"""From GGUF metadata to config.json, one function for each family of architectures.

Everything that the file says is written down, even where it is the default of transformers, whose defaults are one
checkpoint's values. Keys have the names of the hub's own configurations, so that older readers understand them too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from whichway.errors import ModelError
from whichway.models.gguf.header import Header
from whichway.models.gguf.rope import rope

Config = dict[str, Any]
# Keys of other models of the same architecture name that change what is computed, in a way that is not built here.
_FOREIGN = ("expert_count", "logit_scale", "residual_scale", "embedding_scale", "attention.scale", "pooling_type")
_WIDE_GEMMA = {("gemma2", 46), ("gemma3", 62)}  # the 27B models scale attention by the width per head, not by its size


def config(header: Header) -> Config:
    """The config.json of a file.

    Raises:
        ModelError: the architecture is unknown, or a variant that is not supported.
    """
    build = ARCHITECTURES.get(header.architecture)
    if build is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ModelError(f"{header.file} is of architecture {header.architecture!r}; supported: {known}.")
    for key in _FOREIGN:
        if header.get(key):
            name = f"{header.architecture}.{key}"
            raise ModelError(f"{header.file} sets {name} = {header.get(key)}, a variant that is not supported.")
    return {**_common(header), **build(header)}


def head_size(header: Header) -> int:
    """Width of one attention head."""
    return int(header.get("attention.key_length") or header.need("embedding_length") // heads(header))


def heads(header: Header) -> int:
    """Number of query heads, the same in all layers."""
    return _same(header, "attention.head_count")


def key_value_heads(header: Header) -> int:
    """Number of key and value heads, the same in all layers."""
    return _same(header, "attention.head_count_kv") if header.get("attention.head_count_kv") else heads(header)


def _same(header: Header, key: str) -> int:
    """A number that may be given for each layer."""
    value = header.need(key)
    values = set(value) if isinstance(value, list) else {value}
    if len(values) != 1:
        raise ModelError(f"{header.file}: {header.architecture}.{key} differs between layers, which is not supported.")
    return int(values.pop())


def _common(header: Header) -> Config:
    return {
        "hidden_size": int(header.need("embedding_length")),
        "intermediate_size": _same(header, "feed_forward_length"),
        "num_hidden_layers": int(header.need("block_count")),
        "num_attention_heads": heads(header),
        "num_key_value_heads": key_value_heads(header),
        "head_dim": head_size(header),
        "max_position_embeddings": int(header.need("context_length")),
        "rms_norm_eps": _short(header.need("attention.layer_norm_rms_epsilon")),
        "vocab_size": header.tensors["token_embd.weight"].shape[0],
        "tie_word_embeddings": "output.weight" not in header.tensors,
        "use_cache": True,
    }


def _short(value: float) -> float:
    """A float32 as its shortest decimal: 1e-05 instead of 9.999999747378752e-06."""
    return float(f"{value:.7g}")


def _llama(header: Header) -> Config:
    kind = "mistral" if header.architecture == "mistral" else "llama"
    biased = "blk.0.attn_q.bias" in header.tensors
    return {
        "architectures": ["MistralForCausalLM" if kind == "mistral" else "LlamaForCausalLM"],
        "model_type": kind,
        "hidden_act": "silu",
        **({"sliding_window": header.get("attention.sliding_window")} if kind == "mistral" else {}),
        **({"attention_bias": biased, "mlp_bias": "blk.0.ffn_up.bias" in header.tensors} if kind == "llama" else {}),
        **rope(header, head_size(header)),
    }


def _qwen2(header: Header) -> Config:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "use_sliding_window": False,
        **rope(header, head_size(header)),
    }


def _qwen3(header: Header) -> Config:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_act": "silu",
        "attention_bias": "blk.0.attn_q.bias" in header.tensors,
        "use_sliding_window": False,
        **rope(header, head_size(header)),
    }


def _gemma(header: Header) -> Config:
    return {
        "architectures": ["GemmaForCausalLM"],
        "model_type": "gemma",
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_act": "gelu_pytorch_tanh",
        **rope(header, head_size(header)),
    }


def _gemma2(header: Header) -> Config:
    layers = int(header.need("block_count"))
    return {
        "architectures": ["Gemma2ForCausalLM"],
        "model_type": "gemma2",
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": _attention_scalar(header),
        "attn_logit_softcapping": _short(header.get("attn_logit_softcapping", 50.0)),
        "final_logit_softcapping": _short(header.get("final_logit_softcapping", 30.0)),
        "sliding_window": int(header.need("attention.sliding_window")),
        "layer_types": _layer_types(header, layers, 2),
        **rope(header, head_size(header)),
    }


def _gemma3(header: Header) -> Config:
    layers = int(header.need("block_count"))
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": _attention_scalar(header),
        "attn_logit_softcapping": None,
        "final_logit_softcapping": header.get("final_logit_softcapping") or None,
        "sliding_window": int(header.need("attention.sliding_window")),
        "layer_types": _layer_types(header, layers, 6),
        "rope_local_base_freq": _short(header.get("rope.freq_base_swa", 10_000.0)),
        **rope(header, head_size(header), base=1_000_000.0),
    }


def _attention_scalar(header: Header) -> int:
    """What attention is scaled by the root of; files do not say it, llama.cpp knows it by the number of layers."""
    if (header.architecture, int(header.need("block_count"))) in _WIDE_GEMMA:
        return int(header.need("embedding_length")) // heads(header)
    return head_size(header)


def _layer_types(header: Header, layers: int, every: int) -> list[str]:
    """Which layers see a window only: all but each `every`-th, unless the file has a pattern of its own."""
    pattern = header.get("attention.sliding_window_pattern", every)
    if isinstance(pattern, list):
        windowed = [bool(flag) for flag in pattern]
    else:
        windowed = [(layer + 1) % int(pattern) != 0 for layer in range(layers)]
    return ["sliding_attention" if flag else "full_attention" for flag in windowed]


def _phi3(header: Header) -> Config:
    return {
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        "hidden_act": "silu",
        "sliding_window": header.get("attention.sliding_window") or None,
        "original_max_position_embeddings": int(
            header.get("rope.scaling.original_context_length") or header.need("context_length")
        ),
        "partial_rotary_factor": int(header.get("rope.dimension_count") or head_size(header)) / head_size(header),
        **rope(header, head_size(header), partial=True),
    }


ARCHITECTURES: Mapping[str, Callable[[Header], Config]] = {
    "llama": _llama,
    "mistral": _llama,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "phi3": _phi3,
}
