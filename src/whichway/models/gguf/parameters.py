"""From a file's tensors to the parameters of a transformers module: names, order of rows, offsets, format.

llama.cpp stores weights as its own kernels want them. Undone here: Llama's query and key rows are interleaved for a
rotation of neighbouring pairs, where transformers rotates halves; Gemma's norm weights have their 1 added already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from whichway.errors import ModelError
from whichway.models.gguf import architectures
from whichway.models.gguf.header import Header, TensorInfo
from whichway.models.gguf.rope import FACTOR_TENSORS
from whichway.models.gguf.values import Floats, is_bfloat16, readable, rows, values

Change = Callable[[Floats], Floats]
# Above this many weights a matrix that bfloat16 does not hold exactly is rounded to it all the same: the folder would
# be twice as large, and models of this size are computed in bfloat16 nearly everywhere. Below it nothing is lost.
EXACT_BELOW = 1_000_000_000
OUTER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LINEAR = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
_HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_FOUR_NORMS = {
    "attn_norm": "input_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_FUSED = {
    "attn_qkv": "self_attn.qkv_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_up": "mlp.gate_up_proj",
    "ffn_down": "mlp.down_proj",
}
LAYER_NAMES: Mapping[str, Mapping[str, str]] = {
    "llama": _LINEAR | _NORMS,
    "mistral": _LINEAR | _NORMS,
    "qwen2": _LINEAR | _NORMS,
    "qwen3": _LINEAR | _NORMS | _HEAD_NORMS,
    "gemma": _LINEAR | _NORMS,
    "gemma2": _LINEAR | _FOUR_NORMS,
    "gemma3": _LINEAR | _FOUR_NORMS | _HEAD_NORMS,
    "phi3": _FUSED | _NORMS,
}
_NAME = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<part>\w+)\.(?P<end>weight|bias)")
# What some converters write besides: a copy of what the metadata say.
_IGNORED = re.compile(r"(blk\.\d+\.)?(" + "|".join(map(re.escape, FACTOR_TENSORS)) + r"|attn_rot_embd\.weight)")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the module, and the tensor of the file that it comes from."""

    name: str
    info: TensorInfo
    change: Change | None  # of all values at once; None: as they are
    exact: bool  # whether bfloat16 holds it without loss


def parameters(header: Header) -> list[Parameter]:
    """All parameters that a file holds.

    Raises:
        ModelError: a tensor that belongs to no parameter of the architecture, or of an unreadable type; a missing one.
    """
    tensors = []
    for info in header.tensors.values():
        if _IGNORED.fullmatch(info.name):
            continue
        if not readable(info.kind):
            raise ModelError(f"{header.file}: tensor {info.name} is of type {info.kind}, which cannot be read.")
        name, change = _name(header, info), _change(header, info)
        tensors.append(Parameter(name, info, change, _is_exact(header, info, change)))
    _check_complete(header, {parameter.name for parameter in tensors})
    _check_shapes(header, tensors)
    return tensors


def pieces(header: Header, parameter: Parameter) -> Iterator[Floats]:
    """The values of a parameter in order, float32, a few megabytes at a time where its rows stay in place."""
    if parameter.change is None:
        yield from rows(header, parameter.info)
        return
    yield parameter.change(values(header, parameter.info.name))


def _name(header: Header, info: TensorInfo) -> str:
    match = _NAME.fullmatch(info.name)
    if match:
        layer, part, end = match["layer"], match["part"], match["end"]
        if layer is None and part in OUTER_NAMES:
            return f"{OUTER_NAMES[part]}.{end}"
        if layer is not None and part in LAYER_NAMES[header.architecture]:
            return f"model.layers.{layer}.{LAYER_NAMES[header.architecture][part]}.{end}"
    raise ModelError(
        f"{header.file} has a tensor {info.name}, which no {header.architecture} model that is supported here has."
    )


def _change(header: Header, info: TensorInfo) -> Change | None:
    kind = header.architecture
    if kind in ("llama", "mistral"):
        if ".attn_q." in info.name:
            return lambda whole: halves(whole, architectures.heads(header))
        if ".attn_k." in info.name:
            return lambda whole: halves(whole, architectures.key_value_heads(header))
    if kind.startswith("gemma") and info.name.endswith("norm.weight"):
        return lambda whole: whole - np.float32(1)
    return None


def halves(pairs: Floats, heads: int) -> Floats:
    """Rows of queries or keys, those of each head from neighbouring pairs to halves."""
    size = pairs.shape[0] // heads // 2
    return pairs.reshape(heads, size, 2, *pairs.shape[1:]).swapaxes(1, 2).reshape(pairs.shape)


def _is_exact(header: Header, info: TensorInfo, change: Change | None) -> bool:
    """Known from the type where it can be; plain numbers are looked at."""
    if info.kind == "BF16" and change is None:
        return True
    if info.kind not in ("F32", "F16", "BF16"):
        return False
    if change is None or len(info.shape) > 1:  # of matrices, rows are moved at most
        return all(is_bfloat16(part) for part in rows(header, info))
    return is_bfloat16(change(values(header, info.name)))


def _check_complete(header: Header, names: set[str]) -> None:
    layers = int(header.need("block_count"))
    kind = header.architecture
    wanted = {f"model.layers.{layer}.{part}.weight" for layer in range(layers) for part in LAYER_NAMES[kind].values()}
    biases = [n.removesuffix("q_proj.bias") for n in names if n.endswith("q_proj.bias")]
    others = ("k_proj", "v_proj") if kind == "qwen2" else ("k_proj", "v_proj", "o_proj")
    wanted |= {f"{layer}{part}.bias" for layer in biases for part in others}
    if kind == "qwen2":
        wanted |= {f"model.layers.{layer}.self_attn.q_proj.bias" for layer in range(layers)}
    missing = sorted(({"model.embed_tokens.weight", "model.norm.weight"} | wanted) - names)
    if missing:
        raise ModelError(f"{header.file} has no tensor for {missing[0]} ({len(missing)} are missing); fetch it again.")
    extra = sorted(n for n in names if (m := re.match(r"model\.layers\.(\d+)\.", n)) and int(m[1]) >= layers)
    if extra:
        raise ModelError(f"{header.file} announces {layers} layers and holds more ({extra[0]}).")


def _check_shapes(header: Header, tensors: list[Parameter]) -> None:
    """That each tensor has the size that the metadata give it."""
    hidden, inner = int(header.need("embedding_length")), int(header.need("feed_forward_length"))
    size = architectures.head_size(header)
    queries, keys = architectures.heads(header) * size, architectures.key_value_heads(header) * size
    vocabulary = header.tensors["token_embd.weight"].shape[0]
    shapes = {
        "embed_tokens": (vocabulary, hidden),
        "lm_head": (vocabulary, hidden),
        "q_proj": (queries, hidden),
        "k_proj": (keys, hidden),
        "v_proj": (keys, hidden),
        "qkv_proj": (queries + 2 * keys, hidden),
        "o_proj": (hidden, queries),
        "gate_proj": (inner, hidden),
        "up_proj": (inner, hidden),
        "gate_up_proj": (2 * inner, hidden),
        "down_proj": (hidden, inner),
        "q_norm": (size,),
        "k_norm": (size,),
    }
    for parameter in tensors:
        part, end = parameter.name.split(".")[-2:]
        wanted = shapes.get(part, (hidden,))
        wanted = wanted if end == "weight" else wanted[:1]
        if parameter.info.shape != wanted:
            raise ModelError(
                f"{header.file}: tensor {parameter.info.name} has the shape {parameter.info.shape}; "
                f"its metadata say {wanted}. Fetch it again."
            )
