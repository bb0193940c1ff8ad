"""Write a model folder as a GGUF file, by llama.cpp's conventions: the other direction of `convert`.

Names, order of rows and offsets are those that `parameters` undoes, from the same tables. Matrices are stored in the
kind that is asked for, vectors (norms, biases) as float32, as llama.cpp's own converter does it. The weights are read
and written tensor by tensor.

A file that our own reader would read otherwise than the folder is not written: the tokenizer is built again from the
file's metadata and compared on texts of many kinds (`vocabulary_writer.check`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from whichway.errors import ModelError
from whichway.models.gguf import vocabulary_writer
from whichway.models.gguf.header import read
from whichway.models.gguf.parameters import LAYER_NAMES, OUTER_NAMES
from whichway.models.gguf.rope import llama3_factors
from whichway.models.gguf.values import Floats
from whichway.models.gguf.vocabulary_writer import ChatMetadata

Kind = Literal["F32", "F16", "Q8_0"]
KINDS: tuple[Kind, ...] = ("F32", "F16", "Q8_0")
# model_type of config.json -> general.architecture; llama.cpp runs Mistral as a Llama
ARCHITECTURE_OF = {
    **{name: name for name in ("llama", "qwen2", "qwen3", "gemma", "gemma2", "phi3")},
    "mistral": "llama",
    "gemma3_text": "gemma3",
}
_QUANTISATION_VERSION = 2
_LARGEST = 65_504.0  # that float16 holds


def write(folder: Path, file: Path, kind: Kind, name: str, talk: ChatMetadata) -> None:
    """Write a model folder (config.json, safetensors, tokenizer.json) as one GGUF file.

    Args:
        folder: the model's.
        file: to write; its folder exists.
        kind: how matrices are stored; a matrix that the kind cannot hold is stored as F16, or as F32.
        name: `general.name`.
        talk: chat template and special tokens as they are used.

    Raises:
        ModelError: an architecture, a scaling of positions or a tokenizer that cannot be written down so that it is
            read back as the same.
    """
    import gguf

    settings = _settings(folder)
    arch = architecture(settings, folder)
    out = gguf.GGUFWriter(file, arch)
    _describe(out, settings, kind, name)
    rope, factors = _positions(settings, arch, folder)
    for key, value in {**_shape(settings), **_own(settings, arch), **rope}.items():
        _add(out, f"{arch}.{key}", value)
    for key, value in vocabulary_writer.metadata(folder, int(settings["vocab_size"]), talk).items():
        _add(out, key, value)
    names = _names(folder, settings, arch)
    for tensor in (*factors, *names):
        shape, stored = _stored_shape(tensor.shape, tensor.kind(kind))
        size = int(np.prod(shape)) * np.dtype(_FORMATS[stored]).itemsize
        out.add_tensor_info(tensor.name, shape, np.dtype(_FORMATS[stored]), size, gguf.GGMLQuantizationType[stored])
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_ti_data_to_file()
    for tensor in (*factors, *names):
        out.write_tensor_data(_encoded(tensor.values(), tensor.kind(kind)))
    out.close()
    vocabulary_writer.check(read(file), folder)


def architecture(settings: Mapping[str, Any], folder: Path) -> str:
    """`general.architecture` of a model.

    Raises:
        ModelError: it is none that is written.
    """
    known = ARCHITECTURE_OF.get(str(settings.get("model_type")))
    if known is None:
        raise ModelError(
            f"{folder} is a model of type {settings.get('model_type')!r}; as GGUF can be written: "
            f"{', '.join(sorted(ARCHITECTURE_OF))}."
        )
    return known


def _settings(folder: Path) -> dict[str, Any]:
    """config.json with transformers' defaults filled in."""
    from transformers import AutoConfig

    settings: dict[str, Any] = AutoConfig.from_pretrained(folder, local_files_only=True).to_dict()
    return settings


def _describe(out: Any, settings: Mapping[str, Any], kind: Kind, name: str) -> None:
    import gguf

    out.add_type(gguf.GGUFType.MODEL)
    out.add_name(name)
    file_types = {"F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16}
    out.add_file_type(file_types.get(kind, gguf.LlamaFileType.MOSTLY_Q8_0))
    out.add_quantization_version(_QUANTISATION_VERSION)


def _add(out: Any, key: str, value: Any) -> None:
    if isinstance(value, bool):
        out.add_bool(key, value)
    elif isinstance(value, int):
        out.add_uint32(key, value)
    elif isinstance(value, float):
        out.add_float32(key, value)
    elif isinstance(value, str):
        out.add_string(key, value)
    elif value is not None:
        out.add_array(key, value)


def head_size(settings: Mapping[str, Any]) -> int:
    """Width of one attention head."""
    return int(settings.get("head_dim") or settings["hidden_size"] // settings["num_attention_heads"])


def _shape(settings: Mapping[str, Any]) -> dict[str, Any]:
    heads = int(settings["num_attention_heads"])
    size = head_size(settings)
    return {
        "vocab_size": int(settings["vocab_size"]),
        "context_length": int(settings["max_position_embeddings"]),
        "embedding_length": int(settings["hidden_size"]),
        "block_count": int(settings["num_hidden_layers"]),
        "feed_forward_length": int(settings["intermediate_size"]),
        "attention.head_count": heads,
        "attention.head_count_kv": int(settings.get("num_key_value_heads") or heads),
        "attention.key_length": size,
        "attention.value_length": size,
        "attention.layer_norm_rms_epsilon": float(settings["rms_norm_eps"]),
    }


def _own(settings: Mapping[str, Any], arch: str) -> dict[str, Any]:
    """What an architecture says besides."""
    if arch == "gemma2":
        return {
            "attn_logit_softcapping": float(settings["attn_logit_softcapping"]),
            "final_logit_softcapping": float(settings["final_logit_softcapping"]),
            "attention.sliding_window": int(settings["sliding_window"]),
        }
    if arch == "gemma3":
        return {"attention.sliding_window": int(settings["sliding_window"])}
    if arch == "phi3":
        return {
            "attention.sliding_window": int(settings.get("sliding_window") or 0),
            "rope.scaling.original_context_length": int(settings["original_max_position_embeddings"]),
        }
    return {}


# Positions


def _positions(settings: Mapping[str, Any], arch: str, folder: Path) -> tuple[dict[str, Any], list[_Tensor]]:
    """Keys of the rotation, and factors that are stored as tensors.

    Raises:
        ModelError: a scaling that has no place in a file.
    """
    rope: Mapping[str, Any] = settings.get("rope_parameters") or {}
    local: Mapping[str, Any] = {}
    if "full_attention" in rope:  # a rotation for each type of layer
        local, rope = rope.get("sliding_attention") or {}, rope["full_attention"]
    theta, kind = float(rope.get("rope_theta", 10_000.0)), str(rope.get("rope_type", "default"))
    size = head_size(settings)
    rotated = int(size * float(rope.get("partial_rotary_factor", settings.get("partial_rotary_factor", 1.0)) or 1.0))
    keys: dict[str, Any] = {"rope.freq_base": theta, "rope.dimension_count": rotated}
    if local:
        keys["rope.freq_base_swa"] = float(local.get("rope_theta", 10_000.0))
    if kind == "default":
        return keys, []
    if kind in ("linear", "yarn"):
        original = rope.get("original_max_position_embeddings") or settings["max_position_embeddings"]
        keys |= {"rope.scaling.type": kind, "rope.scaling.factor": float(rope["factor"])}
        return keys | ({"rope.scaling.original_context_length": int(original)} if kind == "yarn" else {}), []
    if kind == "llama3" and arch == "llama":
        old = int(rope["original_max_position_embeddings"])
        bands = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
        factors = llama3_factors(theta, size, float(rope["factor"]), *bands, old)
        return keys, [_Factors("rope_freqs.weight", factors.astype(np.float32))]
    if kind == "longrope" and arch == "phi3":
        parts = {name: np.asarray(rope[f"{name}_factor"], np.float32) for name in ("long", "short")}
        return keys, [_Factors(f"rope_factors_{name}.weight", part) for name, part in parts.items()]
    raise ModelError(f"{folder} scales positions by {kind!r}, which cannot be written into a GGUF file of {arch}.")


# Tensors


@dataclass(frozen=True, slots=True)
class _Tensor:
    """One tensor of the file, and where it comes from."""

    name: str
    shape: tuple[int, ...]
    file: Path
    parameter: str
    heads: int = 0  # whose rows go from halves to neighbouring pairs; 0: none
    offset: float = 0.0

    def kind(self, wanted: Kind) -> Kind:
        """How it is stored: vectors as float32, a matrix whose rows are no whole blocks as F16."""
        if len(self.shape) == 1:
            return "F32"
        return "F16" if wanted == "Q8_0" and self.shape[-1] % 32 else wanted

    def values(self) -> Floats:
        """The values as llama.cpp wants them, float32."""
        from safetensors import safe_open

        with safe_open(self.file, framework="pt") as file:
            whole: Floats = file.get_tensor(self.parameter).float().numpy()
        return (pairs(whole, self.heads) if self.heads else whole) + np.float32(self.offset)


@dataclass(frozen=True, slots=True)
class _Factors(_Tensor):
    """Factors of the rotation: computed, not read."""

    def __init__(self, name: str, numbers: Floats) -> None:
        _Tensor.__init__(self, name, numbers.shape, Path(), json.dumps(numbers.tolist()))

    def values(self) -> Floats:
        """The factors."""
        return np.asarray(json.loads(self.parameter), np.float32)


def pairs(halves: Floats, heads: int) -> Floats:
    """Rows of queries or keys, those of each head from halves to neighbouring pairs; undone by `parameters.halves`."""
    size = halves.shape[0] // heads // 2
    moved = halves.reshape(heads, 2, size, *halves.shape[1:]).swapaxes(1, 2).reshape(halves.shape)
    return np.ascontiguousarray(moved)


def _names(folder: Path, settings: Mapping[str, Any], arch: str) -> list[_Tensor]:
    """All tensors in the order of the file: embeddings first, then layer by layer.

    Raises:
        ModelError: a parameter that the architecture has no name for.
    """
    from safetensors import safe_open

    tied = bool(settings.get("tie_word_embeddings"))
    tensors = []
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as content:
            for parameter in content.keys():  # noqa: SIM118 - no mapping
                if (parameter == "lm_head.weight" and tied) or parameter.endswith("rotary_emb.inv_freq"):
                    continue
                shape = tuple(content.get_slice(parameter).get_shape())
                tensors.append(_tensor(file, parameter, shape, settings, arch))
    return sorted(tensors, key=lambda tensor: _order(tensor.name))


def _tensor(file: Path, parameter: str, shape: tuple[int, ...], settings: Mapping[str, Any], arch: str) -> _Tensor:
    name = tensor_name(parameter, arch)
    if name is None:
        raise ModelError(f"{file} has a parameter {parameter}, which has no name in a GGUF file of {arch}.")
    heads, offset = 0, 0.0
    if arch == "llama" and ".attn_q." in name:
        heads = int(settings["num_attention_heads"])
    if arch == "llama" and ".attn_k." in name:
        heads = int(settings.get("num_key_value_heads") or settings["num_attention_heads"])
    if arch.startswith("gemma") and name.endswith("norm.weight"):
        offset = 1.0
    return _Tensor(name, shape, file, parameter, heads, offset)


def tensor_name(parameter: str, arch: str) -> str | None:
    """The name in a GGUF file of a module's parameter (`model.layers.0.mlp.up_proj.weight`); None where it has none."""
    stem, _, end = parameter.rpartition(".")
    outer = {module: part for part, module in OUTER_NAMES.items()}
    if stem in outer:
        return f"{outer[stem]}.{end}"
    _, _, rest = stem.partition("model.layers.")
    layer, _, module = rest.partition(".")
    inner = {name: part for part, name in LAYER_NAMES[arch].items()}
    return f"blk.{layer}.{inner[module]}.{end}" if layer.isdigit() and module in inner else None


def _order(name: str) -> tuple[int, str]:
    return (int(name.split(".")[1]), name) if name.startswith("blk.") else (-1, name)


_FORMATS: Mapping[str, type[np.generic]] = {"F32": np.float32, "F16": np.float16, "Q8_0": np.uint8}
_BLOCK, _BLOCK_BYTES = 32, 34  # of Q8_0


def _stored_shape(shape: Sequence[int], kind: Kind) -> tuple[tuple[int, ...], Kind]:
    """The shape of what is stored: of bytes, where it is quantised."""
    whole = tuple(shape)
    return (*whole[:-1], whole[-1] // _BLOCK * _BLOCK_BYTES) if kind == "Q8_0" else whole, kind


def _encoded(values: Floats, kind: Kind) -> Any:
    """The values as they are stored.

    Raises:
        ModelError: one is larger than the kind can hold.
    """
    import gguf

    if kind == "F16" and np.abs(values).max(initial=0.0) > _LARGEST:
        raise ModelError("The weights hold a value that float16 cannot hold; write the file as F32 or Q8_0.")
    return np.ascontiguousarray(gguf.quantize(values, gguf.GGMLQuantizationType[kind]))


def tensors_of(file: Path) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Name, shape and kind of each tensor of a written file, for manifests."""
    for info in read(file).tensors.values():
        yield info.name, info.shape, info.kind
