"""Open a model: a folder to weights, tokenizer, renderer, or a `ModelError` that says what is missing."""

from __future__ import annotations

import copy
import functools
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from whichway.engine.model import decoder, forward, packing, placement, throughput
from whichway.engine.model.chat_template import Renderer
from whichway.engine.model.tokenizer_files import (
    check,
    config_of,
    context_of,
    first_line,
    limit_of,
    refuse_larger,
    tokenizer_and_context,
    tokenizer_of,
)
from whichway.errors import ModelError
from whichway.models.model_files import files_digest as files_digest

log = logging.getLogger(__name__)
_LAYERS = {"full_attention", "sliding_attention"}


@dataclass(frozen=True, slots=True)
class Model:
    """A base model in memory. `module` is never changed: whoever changes weights works on a `fork`.

    Its layers may lie on several devices (`forward.in_parts`); `device` is that of the first one, where tokens go.
    """

    folder: Path
    revision: str
    module: Any  # a transformers causal language model, in eval mode, no gradients
    tokenizer: Any
    renderer: Renderer
    context: int  # positions it can tell apart
    limit: str = ""  # why these are fewer than its configuration states; "" where they are not

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(self.module.device)

    @property
    def hidden(self) -> int:
        """Width of the hidden states."""
        return int(self.module.config.get_text_config().hidden_size)


def revision(folder: Path) -> str:
    """Digest of weights, configuration, tokenizer and chat template.

    Raises:
        ModelError: the folder holds no usable model.
    """
    check(folder)
    return files_digest(folder)


def load(folder: Path, proved: str | None = None) -> Model:
    """Open a model folder and prove that the engine computes what the model computes.

    Args:
        folder: the model's.
        proved: the revision, when another process has done the proof just now.

    Raises:
        ModelError: it cannot be opened, or its architecture does not fit the engine.
    """
    with throughput.fitting():
        return _load(folder, proved)


def _load(folder: Path, proved: str | None) -> Model:
    mark = proved or revision(folder)
    tokenizer = tokenizer_of(folder)
    module = _module(folder)
    _refuse_layers(module, folder)
    if proved:
        _attend(module)
    else:
        verify(folder, module)
    refuse_larger(tokenizer, int(module.get_input_embeddings().weight.shape[0]), folder)
    renderer = Renderer(tokenizer, _eos(module))
    settings = module.config.get_text_config().to_dict()
    return Model(folder, mark, module, tokenizer, renderer, context_of(settings), limit_of(settings))


def load_to_share(folder: Path, mark: str, dtype: torch.dtype, *, weights: bool) -> Model:
    """Open a model whose weights are then shared out among processes (`train/shards.py`).

    Args:
        folder: the model's.
        mark: its revision.
        dtype: format of its weights.
        weights: have them in the memory of the processor; False: shapes alone, where parts will be sent.

    Raises:
        ModelError: it cannot be opened, or its architecture does not fit the engine.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    kind: Any = AutoModelForCausalLM
    tokenizer, ends, context = tokenizer_and_context(folder)
    if weights:
        module = _read(folder, dtype=dtype)
    else:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            module = kind.from_config(config, dtype=dtype)
    module.requires_grad_(False).eval()
    _refuse_layers(module, folder)
    _attend(module)
    decoder.unregister(module)
    limit = limit_of(module.config.get_text_config().to_dict())
    return Model(folder, mark, module, tokenizer, Renderer(tokenizer, ends), context, limit)


def _refuse_layers(module: Any, folder: Path) -> None:
    others = set(getattr(module.config.get_text_config(), "layer_types", None) or []) - _LAYERS
    if others:
        names = ", ".join(sorted(others))
        raise ModelError(f"{folder} has layers of type {names}; so far only attention layers are supported.")


def _attend(module: Any) -> None:
    packing.register()
    module.set_attn_implementation(packing.ATTENTION)


def _width(folder: Path) -> int:
    config = config_of(folder)
    return int(config.get("hidden_size") or config.get("n_embd") or 0)


def products_of(folder: Path) -> tuple[int, torch.dtype]:
    """Width of a model's products, and the format of their weights here."""
    width = _width(folder)
    return width, throughput.dtype(device(), width)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' own progress bars and notes to their developers: the contest has its own progress."""
    from transformers.utils import logging

    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _module(folder: Path) -> Any:
    """The weights where they compute: on one device, or in parts over several."""
    dtype = products_of(folder)[1]
    parts = placement.parts_of(folder, dtype)
    if parts is None:
        return _read(folder, dtype=dtype).requires_grad_(False).eval().to(device())
    places = {"device_map": "auto", "max_memory": dict(parts.max_memory), "offload_folder": parts.offload}
    module = _read(folder, dtype=dtype, **places)
    elsewhere = {"cpu", "disk"} & set(module.hf_device_map.values()) - set(parts.max_memory)
    if elsewhere and parts.offload is None:
        raise ModelError(
            f"The layers of the model in {folder} cannot be laid over the cards: {', '.join(sorted(elsewhere))} would "
            "hold some of them. Take a smaller model, or free memory of the cards."
        )
    for name in ("to", "cuda"):  # accelerate's warnings, which a fork would call on this module
        vars(module).pop(name, None)
    return module.requires_grad_(False).eval()


def _read(folder: Path, **options: Any) -> Any:
    """A causal language model with its weights, as transformers reads them."""
    from transformers import AutoModelForCausalLM

    kind: Any = AutoModelForCausalLM
    safe = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    try:
        with quiet():
            module, report = kind.from_pretrained(folder, output_loading_info=True, **safe, **options)
    except Exception as error:  # broken headers, shapes that do not fit, configurations of another version
        raise ModelError(f"The weights in {folder} cannot be read: {first_line(error)}") from error
    if report["missing_keys"]:
        names = sorted(report["missing_keys"])
        raise ModelError(f"{len(names)} weights are missing in {folder}, {names[0]} first; is the download complete?")
    return module


def _eos(module: Any) -> list[int]:
    """What the model's configurations call an end of text."""
    end_ids: list[int] = []
    for config in (module.config.get_text_config(), module.generation_config):
        eos = getattr(config, "eos_token_id", None)
        end_ids += eos if isinstance(eos, list) else [eos] if eos is not None else []
    return list(dict.fromkeys(end_ids))


def verify(folder: Path, module: Any) -> None:
    """Switch `module` to our attention; rows after a shared prefix must give the logits that transformers gives.

    Where our own decoder does not give them too, transformers' layers are used from now on.

    Raises:
        ModelError: they do not, so this architecture cannot be run by the engine.
    """
    packing.register()
    ids = torch.arange(1, 12, device=module.device) * 7 % min(module.config.get_text_config().vocab_size, 250)
    rows = [torch.cat([ids[:4], ids[4:7]]), torch.cat([ids[:4], ids[7:]])]
    try:
        with torch.no_grad():
            module.set_attn_implementation("eager")
            wanted = torch.cat([module(row[None]).logits[0, 4:] for row in rows])
            module.set_attn_implementation(packing.ATTENTION)
        with torch.enable_grad():  # nothing requires gradients; it chooses transformers' layers
            gap = _gap(wanted, _behind_prefix(module, ids))
    except Exception as error:  # foreign model code meets our attention
        raise ModelError(f"{_name(module)} in {folder} does not run in the engine: {first_line(error)}") from error
    room = 1e-3 if wanted.dtype == torch.float32 else 0.1
    if not gap < room:
        raise ModelError(f"{_name(module)} in {folder} computes attention in a way that the engine does not know yet.")
    if decoder.decoder_of(module) is None:
        return
    with torch.no_grad():
        gap = _gap(wanted, _behind_prefix(module, ids))
    if not gap < room:
        log.warning("%s: our decoder differs from transformers by %.1g; transformers' is used.", _name(module), gap)
        decoder.unregister(module)


def _behind_prefix(module: Any, ids: Tensor) -> Tensor:
    """Logits of two rows after a shared prefix, in one pass."""
    prefix = forward.run_prefix(module, ids[:4].tolist(), module.device)
    layout = packing.pack_rows([3, 4], 4, module.device, prefix=prefix)
    return forward.logits(module, ids[4:], layout, torch.arange(7, device=module.device))


def _gap(wanted: Tensor, got: Tensor) -> float:
    return float((wanted - got).abs().max() / wanted.abs().max().clamp(min=1e-6))


def _name(module: Any) -> str:
    return type(module).__name__


def fork(module: Any, own: Iterable[str] = ()) -> Any:
    """A second model over the same memory: replacing or wrapping its parts leaves `module` as it is.

    Args:
        module: the base.
        own: names of parameters that get memory of their own, to be changed in place.
    """
    own = set(own)
    memo: dict[int, Any] = {
        id(p): nn.Parameter(p.data.clone() if name in own else p.data, requires_grad=False)
        for name, p in module.named_parameters()
    }
    memo |= {id(buffer): buffer for buffer in module.buffers()}
    memo |= {id(weights): weights for weights in _weights_of_hooks(module)}
    return copy.deepcopy(module, memo)


def _weights_of_hooks(module: Any) -> Iterator[object]:
    """What the hooks of a model in parts hold of its weights."""
    for part in module.modules():
        hook = getattr(part, "_hf_hook", None)
        for one in getattr(hook, "hooks", (hook,)):
            held = (getattr(one, name, None) for name in ("weights_map", "tied_params_map"))
            yield from (weights for weights in held if weights is not None)


def own_float32(base: Any) -> Any:
    """A fork of `base` with float32 weights of its own, to be trained as a whole."""
    module = fork(base, own=[name for name, _ in base.named_parameters()])
    for parameter in module.parameters():
        parameter.data = parameter.data.float()
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return module


@functools.cache
def device() -> torch.device:
    """The accelerator if there is one that computes, else the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    try:
        torch.ones(8, 8, device="cuda").mm(torch.ones(8, 8, device="cuda")).sum().item()
    except RuntimeError as error:  # a driver or a card that this build of PyTorch does not serve
        log.warning("The GPU is not used: %s", first_line(error))
        return torch.device("cpu")
    return torch.device("cuda")
