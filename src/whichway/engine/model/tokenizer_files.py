"""The files of a model that say how texts become tokens: its configuration, its tokenizer, how long a row may be.

Nothing here needs the weights, or the library that computes with them: `whichway check` counts tokens without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whichway.errors import ModelError

_BY_LENGTH = ("longrope", "dynamic", "su")  # rotary scalings that depend on how long the longest row is
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_GENERIC = "PreTrainedTokenizerFast"  # the class of a tokenizer that its tokenizer.json says wholly
# Types of model that transformers knows, and whose tokenizer is the generic one where the folder says so. To ask
# transformers for that takes it three seconds, in which it imports every type there is.
_PLAIN_TYPES = ("llama",)


def check(folder: Path) -> None:
    """Look at a model folder without opening the weights.

    Raises:
        ModelError: no model, pickle only, no tokenizer, or a model that needs its own code.
    """
    config = config_of(folder)
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
        if pickles:
            raise ModelError(
                f"{folder} has its weights only as pickle ({pickles[0]}), which can run code when it is opened. "
                "Convert it first: load it where you trust it and call save_pretrained, which writes safetensors."
            )
        raise ModelError(f"{folder} has a config.json but no weights (*.safetensors).")
    if not any((folder / name).exists() for name in _TOKENIZER):
        raise ModelError(f"{folder} has no tokenizer (none of {', '.join(_TOKENIZER)}); save it next to the weights.")
    _check_known(folder, config)


def _check_known(folder: Path, config: dict[str, Any]) -> None:
    kind = config.get("model_type")
    if kind in _PLAIN_TYPES:
        return
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if kind not in CONFIG_MAPPING:
        why = "needs its own code, which is never run" if "auto_map" in config else "is unknown to this transformers"
        raise ModelError(f"{folder} is a model of type {kind!r}, which {why}.")
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(f"{folder} is of type {kind!r}, which does not write text; give a causal language model.")


def config_of(folder: Path) -> dict[str, Any]:
    """The configuration of a model folder.

    Raises:
        ModelError: there is none, or it is broken.
    """
    file = folder / "config.json"
    if not file.exists():
        if (folder / "adapter_config.json").exists():
            raise ModelError(f"{folder} is an adapter, not a model; give the folder of its base model.")
        raise ModelError(f"{folder} is not a model folder: it has no config.json.")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"{file} is not a model configuration.")
    return config


def refuse_larger(tokenizer: Any, rows: int, folder: Path) -> None:
    """Refuse a tokenizer with token ids that the model has no embedding for.

    Raises:
        ModelError: it has some; says both sizes.
    """
    added = tokenizer.added_tokens_decoder
    if max([len(tokenizer), *(i + 1 for i in added)]) <= rows:
        return
    files = [folder / name for name in ("tokenizer.json", "tokenizer_config.json", "added_tokens.json")]
    written = "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
    own = {i for i, token in added.items() if json.dumps(str(token), ensure_ascii=False) not in written}
    size = max((i + 1 for i in tokenizer.get_vocab().values() if i not in own), default=0)  # not what its class adds
    if size > rows:
        raise ModelError(
            f"The tokenizer in {folder} has {size} tokens, the model's embedding {rows}: texts with the others cannot "
            "be read. Save the tokenizer that the model was trained with, or call resize_token_embeddings."
        )


def context_of(config: Mapping[str, Any]) -> int:
    """Positions that a model can tell apart, in any company.

    Rotary scalings that depend on the longest row of a batch (longrope, dynamic) turn a short row otherwise beside a
    long one than alone. Below the length from which they do so, all rows are alone; longer ones are not taken.
    """
    return min([_stated(config), *(start for _, start in _by_length(config))])


def limit_of(config: Mapping[str, Any]) -> str:
    """Why the context is shorter than the model's configuration says; "" where it is not."""
    shorter = [(name, start) for name, start in _by_length(config) if start < _stated(config)]
    if not shorter:
        return ""
    name, start = min(shorter, key=lambda one: one[1])
    return (
        f"it states {_stated(config)}, but its scaling of positions ({name}) turns all rows of a batch by the longest "
        f"from {start} tokens on, so longer ones are not taken"
    )


def _stated(config: Mapping[str, Any]) -> int:
    return int(config.get("max_position_embeddings") or config.get("n_positions") or 2048)


def _by_length(config: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Rotary scalings that depend on the longest row, each with the length from which it does."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kinds = rope.values() if rope and all(isinstance(inner, Mapping) for inner in rope.values()) else [rope]
    starts = []
    for kind in kinds:
        name = kind.get("rope_type", kind.get("type"))
        if name in _BY_LENGTH:
            start = kind.get("original_max_position_embeddings") or config.get("original_max_position_embeddings")
            starts.append((str(name), int(start or _stated(config))))
    return starts


def tokenizer_of(folder: Path) -> Any:
    """A model's tokenizer, as transformers reads it.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        kind: Any = _tokenizer_class(folder)
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # a tokenizer folder can be broken in many ways
        raise ModelError(f"The tokenizer in {folder} cannot be read: {first_line(error)}") from error


def _tokenizer_class(folder: Path) -> Any:
    """What `AutoTokenizer` would choose; it is not asked where the folder leaves no choice."""
    settings = _json_object(folder / "tokenizer_config.json")
    plain = settings.get("tokenizer_class") == _GENERIC and "auto_map" not in settings
    if plain and (folder / "tokenizer.json").exists() and config_of(folder).get("model_type") in _PLAIN_TYPES:
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast
    from transformers import AutoTokenizer

    return AutoTokenizer


def _json_object(file: Path) -> dict[str, Any]:
    """What a JSON file holds; empty where it is not there."""
    value = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return value if isinstance(value, dict) else {}


def tokenizer_and_context(folder: Path) -> tuple[Any, list[int], int]:
    """Tokenizer, token ids that end a text, and context of a model, without its weights.

    Raises:
        ModelError: the folder cannot be read.
    """
    config = config_of(folder)
    inner = config.get("text_config") or config
    generation = folder / "generation_config.json"
    more = json.loads(generation.read_text(encoding="utf-8")) if generation.exists() else {}
    ends: list[int] = []
    for config_part in (inner, more):
        eos = config_part.get("eos_token_id")
        ends += eos if isinstance(eos, list) else [eos] if eos is not None else []
    tokenizer = tokenizer_of(folder)
    if inner.get("vocab_size"):
        refuse_larger(tokenizer, int(inner["vocab_size"]), folder)
    return tokenizer, list(dict.fromkeys(ends)), context_of(inner)


def first_line(error: Exception) -> str:
    """What an error of foreign code says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
