"""What a job trains: an adapter, weights, biases or a soft prompt; set up, and saved as others would find it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from whichway.engine.model import decoder, weights
from whichway.engine.model.load import Model, fork, own_float32, quiet
from whichway.engine.train import adapters, bitfit, head, lora_variants, prompt_tuning
from whichway.engine.train.seeded_draws import seeded
from whichway.errors import OptionError, WayFailed
from whichway.nouns import TrainJob
from whichway.training_kinds import (
    AdapterOptions,
    BiasOptions,
    FullOptions,
    HeadOptions,
    SoftOptions,
    TopFullOptions,
    TopOptions,
    stored_as,
)

_LAYER = re.compile(r"\.(?:layers|h)\.(\d+)\.")


@dataclass(slots=True)
class Trainable:
    """What is trained: a module to run, its trained tensors by name, and how they are saved."""

    kind: str
    module: Any
    tensors: dict[str, nn.Parameter]
    outer: Any  # what has `save_pretrained`: PEFT's wrapper, or the module
    base: str
    masters: weights.MasterWeights | None = None  # None: it learns through transformers' layers and autograd
    write: Callable[[Path], None] | None = None  # saves the trained part; None: by `outer`
    head: nn.Parameter | None = None  # a trained head over `labels`, in the place of the model's own
    labels: tuple[str, ...] = ()
    masks: dict[str, Tensor] = field(default_factory=dict)  # parameter -> 0 where it must stay as it is
    frozen: list[tuple[nn.Parameter, Tensor]] = field(default_factory=list)  # the same, for the trained tensors

    def drop_frozen_gradients(self) -> None:
        """Take out the gradients of what must stay as it is; without gradients Adam does not move it."""
        for parameter, mask in self.frozen:
            if parameter.grad is not None:
                parameter.grad *= mask

    def by_name(self, name: str, values: Tensor) -> dict[str, Tensor]:
        """Values of one of `tensors`, or of what an optimiser has for it, by the names of the model's parameters."""
        if self.masters is None:
            return {name: values}
        return {
            own: values[view.storage_offset() :][: view.numel()].view(view.shape)
            for own, view in self.masters.names.items()
        }

    def refresh(self) -> None:
        """Bring the weights that are computed with up to date after a step."""
        if self.masters is not None:
            self.masters.refresh()

    def save(self, folder: Path, tokenizer: Any) -> None:
        """Write the trained part as PEFT, or as a model folder, would be found."""
        with quiet():
            self._save(folder, tokenizer)
            if self.head is not None:
                head.save(folder, self.head.data, self.labels)

    def _save(self, folder: Path, tokenizer: Any) -> None:
        if self.write is not None:
            self.write(folder)
            return
        if stored_as(self.kind, "model"):
            self.outer.save_pretrained(folder, safe_serialization=True)
            tokenizer.save_pretrained(folder)
            return
        for config in self.outer.peft_config.values():
            config.base_model_name_or_path = self.base
        self.outer.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card


def set_up(model: Model, job: TrainJob, settings: FullOptions, start: Path | None) -> Trainable:
    """Set up what the job trains, from the base or from an earlier trained part of the same kind."""
    if start is not None and job.weights.kind != job.kind:
        raise WayFailed(f"A {job.kind} training cannot start from a {job.weights.kind} part.")
    base = job.weights.base
    if isinstance(settings, AdapterOptions):
        heads = isinstance(settings, HeadOptions)
        if heads and start is not None:
            raise WayFailed("A head training starts from the base.")
        wrapped = _lora(head.blank(model, job.labels) if heads else model.module, settings, job.seed, start)
        module = wrapped.get_base_model()
        if heads:
            module.lm_head.weight.requires_grad_(True)
        prepared = Trainable(job.kind, module, _trained(wrapped), wrapped, base)
        if heads:
            prepared.head, prepared.labels = module.lm_head.weight, job.labels
        if settings.variant == "pissa" and start is None:
            prepared.masks = lora_variants.principal(wrapped, settings.rank)
        if settings.variant == "pissa":
            prepared.write = lambda folder: lora_variants.save_compact(wrapped, base, folder)
        return _gathered(prepared, model)
    if isinstance(settings, BiasOptions | SoftOptions):
        return _small(model, job, settings, start)
    module = model.module if start is None else adapters.full(model.module, start)
    names = set(_top(module, settings.layers)) if isinstance(settings, TopFullOptions) else None
    module = own_float32(module)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(names is None or name in names)
    return _gathered(Trainable(job.kind, module, _trained(module), module, base), model)


def _small(model: Model, job: TrainJob, settings: BiasOptions | SoftOptions, start: Path | None) -> Trainable:
    """Biases, norm gains or a soft prompt."""
    if start is not None:
        raise WayFailed(f"A {job.kind} training starts from the base.")
    if isinstance(settings, SoftOptions):
        module = prompt_tuning.start(model, settings.tokens, settings.text, job.seed)
        write: Callable[[Path], None] = lambda folder: prompt_tuning.save(module, job.weights.base, folder)  # noqa: E731
        return _gathered(Trainable(job.kind, module, _trained(module), module, job.weights.base, write=write), model)
    known = decoder.decoder_of(model.module) is not None
    chosen = bitfit.start(model.module, settings.part, known)
    prepared = Trainable(
        job.kind, chosen.module, _trained(chosen.module), chosen.module, job.weights.base,
        write=lambda folder: bitfit.save(chosen, model.module, job.weights.base, folder), masks=chosen.masks,
    )  # fmt: skip
    return _gathered(prepared, model)


def trained_layers(module: Any, settings: FullOptions) -> int | None:
    """How many of the top layers are trained, where a training leaves those below as they are; None: all are."""
    if isinstance(settings, TopOptions | TopFullOptions):
        return settings.layers
    if not isinstance(settings, HeadOptions) or settings.share == 1:
        return None
    return max(1, round(settings.share * (max(n for n, _ in _numbered(module)) + 1)))


def word_dropout(module: Any, settings: FullOptions) -> float:
    """The share of a row's words that each step leaves out.

    Raises:
        OptionError: the training needs whole rows.
    """
    share: float = getattr(settings, "word_dropout", 0.0)
    if share and getattr(settings, "targets", "last") == "all":
        raise OptionError("Training option word_dropout cannot be used with targets = 'all': examples stay whole.")
    if share and trained_layers(module, settings) is not None:
        raise OptionError("Training option word_dropout needs share = 1: the kept states are those of whole rows.")
    return share


def _numbered(module: Any) -> list[tuple[int, str]]:
    """Layer and name of each parameter that is in a layer."""
    return [(int(match[1]), name) for name, _ in module.named_parameters() if (match := _LAYER.search(name))]


def _top(module: Any, count: int) -> list[str]:
    """Names of the parameters of the last `count` layers.

    Raises:
        OptionError: the model has fewer.
    """
    numbered = _numbered(module)
    total = max(n for n, _ in numbered) + 1
    if count > total:
        raise OptionError(f"Training option layers = {count}: the model has {total}.")
    return [name for n, name in numbered if n >= total - count]


def _gathered(prepared: Trainable, model: Model) -> Trainable:
    """Switch to our own decoder, with all trained weights in one vector, where it knows the model."""
    own_decoder = decoder.decoder_of(prepared.module) if decoder.decoder_of(model.module) is not None else None
    parameters = dict(prepared.outer.named_parameters())
    if own_decoder is None:
        prepared.frozen = [(parameters[name], mask) for name, mask in prepared.masks.items()]
        return prepared
    prepared.masters = weights.gather(own_decoder.weights, prepared.outer, next(model.module.parameters()).dtype)
    prepared.tensors = {"masters": prepared.masters.vector}
    if prepared.masks:
        prepared.frozen = [
            (
                prepared.masters.vector,
                _over(prepared.masters.vector, {parameters[n]: m for n, m in prepared.masks.items()}),
            )
        ]
    return prepared


def _over(vector: nn.Parameter, masks: dict[nn.Parameter, Tensor]) -> Tensor:
    """One mask over the vector that all trained parameters are views of."""
    whole = torch.ones_like(vector.data)
    for parameter, mask in masks.items():
        start = parameter.data.storage_offset() - vector.data.storage_offset()
        whole[start : start + parameter.numel()] = mask.flatten()
    return whole


def _lora(base: Any, settings: AdapterOptions, seed: int, start: Path | None) -> Any:
    from peft import LoraConfig, get_peft_model

    if start is not None:
        wrapped = adapters.peft_model(base, start, trainable=True)
    else:
        times = 2 if settings.variant == "pissa" else 1  # the start is kept beside what is trained
        alpha = lora_variants.alpha(settings.variant, settings.rank) if settings.alpha is None else settings.alpha
        config = LoraConfig(
            r=times * settings.rank,
            lora_alpha=times * alpha,  # type: ignore[arg-type]
            lora_dropout=settings.dropout,
            target_modules=_targets(base, settings),
            task_type="CAUSAL_LM",
            fan_in_fan_out=base.config.model_type == "gpt2",
            **lora_variants.peft_arguments(settings.variant),
        )
        with seeded(seed), quiet():
            wrapped = get_peft_model(fork(base), config)
    # The base stays in eval mode: its dropout is not ours to use. The adapter's own is switched on.
    wrapped.eval()
    for name, part in wrapped.named_modules():
        if "lora_dropout" in name:
            part.train()
    return wrapped


def _targets(module: Any, settings: AdapterOptions) -> str | list[str]:
    """PEFT's word for the layers that get an adapter."""
    count = trained_layers(module, settings)
    if count is not None:
        parts = {name.rpartition(".")[0] for name in _top(module, count)}
        names = sorted(name for name in parts if module.get_submodule(name).weight.dim() == 2)
    elif settings.variant == "dora":
        names = lora_variants.linear_layers(module)
    else:
        return "all-linear"
    return [
        name for name in names if settings.variant != "dora" or lora_variants.has_lengths(module.get_submodule(name))
    ]


def _trained(module: Any) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}
