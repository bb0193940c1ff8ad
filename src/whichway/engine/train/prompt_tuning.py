"""A soft prompt: learned vectors in front of every input (Lester et al. 2021, arXiv 2104.08691).

To the engine they are tokens: ids after the vocabulary's last one, whose embeddings are learned. So rows are packed,
the shared prefix is run once and labels are scored as everywhere else. In the vocabulary of the answer they are not.
Saved in PEFT's format for prompt tuning.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from whichway.engine.model import decoder
from whichway.engine.model.attention import PackedTrainBatch
from whichway.engine.model.load import Model, fork
from whichway.engine.model.weights import ParamView, Unknown, read
from whichway.engine.train.adapter_check import Encoded
from whichway.errors import ModelError
from whichway.training_kinds import FullOptions, SoftOptions

_FILE = "adapter_model.safetensors"


class SoftPromptEmbedding(nn.Module):
    """Embeddings of a vocabulary and, after it, of learned vectors `[n, hidden]`."""

    def __init__(self, inner: Any, vectors: Tensor) -> None:
        super().__init__()
        self.inner = inner
        self.vectors = nn.Parameter(vectors)

    @property
    def weight(self) -> Any:
        """The embeddings of the vocabulary, without the learned vectors."""
        return self.inner.weight

    @property
    def scalar_embed_scale(self) -> float:
        """The scale of the vocabulary's embeddings (Gemma); learned vectors are taken as they are."""
        return float(getattr(self.inner, "scalar_embed_scale", 1.0))

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of any shape to their embeddings."""
        size = len(self.weight)
        states: Tensor = self.inner(ids.clamp(max=size - 1))
        mine = F.embedding((ids - size).clamp(min=0), self.vectors).to(states.dtype)
        return torch.where((ids >= size)[..., None], mine, states)


class SoftPromptDecoder(decoder.Decoder):
    """Our decoder, with learned vectors after the vocabulary."""

    def __init__(self, module: Any) -> None:
        super().__init__(read(module))
        front = module.get_input_embeddings()
        self.vectors = ParamView(front.vectors.data, (front.vectors,))
        self.weights.slots.append(self.vectors)

    def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """States `[T, hidden]` in front of the first layer."""
        size = len(self.weights.embed.value)
        states = super().embed(ids.clamp(max=size - 1), positions)
        at = (ids >= size).nonzero()[:, 0]
        if not len(at):
            return states
        mine = F.embedding(ids[at] - size, self.vectors.value)
        if self.weights.positions is not None:
            mine = mine + F.embedding(positions[at], self.weights.positions.value)
        return states.index_copy(0, at, mine.to(states.dtype))

    def backward(self, grad: Tensor, sheet: PackedTrainBatch, saved: decoder.SavedForBackward) -> None:
        """Add the gradients of the learned vectors; everything else is frozen."""
        for n in range(len(self.how) - 1, saved.first - 1, -1):
            grad = self._backward(n, grad, sheet, saved, onward=True)
        if self.vectors.grad is not None:
            size = len(self.weights.embed.value)
            at = (sheet.ids >= size).nonzero()[:, 0]
            self.vectors.grad.index_add_(0, sheet.ids[at] - size, grad[at].to(self.vectors.grad.dtype))


def with_soft_prompt(rows: list[Encoded], model: Model, settings: FullOptions) -> list[Encoded]:
    """Rows with the learned vectors' ids in front; as they are when none are trained."""
    if not isinstance(settings, SoftOptions):
        return rows
    ids = _ids(model.module, settings.tokens)
    return [Encoded([*ids, *row.prompt], row.answer) for row in rows]


def _ids(module: Any, count: int) -> list[int]:
    size = len(module.get_input_embeddings().weight)
    return list(range(size, size + count))


def start(model: Model, count: int, text: str, seed: int) -> Any:
    """A fork of the model whose learned vectors alone are trained.

    Args:
        model: the base.
        count: of vectors.
        text: they start from its tokens' embeddings, repeated or cut; "": from tokens drawn by the seed.
        seed: of the draw.
    """
    tokens: list[int] = model.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    if not tokens:
        size = len(model.module.get_input_embeddings().weight)
        tokens = torch.randint(size, (count,), generator=torch.Generator().manual_seed(seed)).tolist()
    tokens = (tokens * (count // len(tokens) + 1))[:count]
    with torch.no_grad():
        vectors = model.module.get_input_embeddings()(torch.tensor(tokens, device=model.device)).float()
    module = _with_vectors(model.module, vectors)
    module.requires_grad_(False)
    module.get_input_embeddings().vectors.requires_grad_(True)
    return module


def _with_vectors(base: Any, vectors: Tensor) -> Any:
    module = fork(base)
    module.set_input_embeddings(SoftPromptEmbedding(module.get_input_embeddings(), vectors))
    if decoder.decoder_of(base) is not None:
        try:
            decoder.register(module, SoftPromptDecoder(module))
        except Unknown:
            decoder.unregister(module)
    else:
        decoder.unregister(module)
    return module


def save(module: Any, word: str, folder: Path) -> None:
    """Write the vectors as PEFT's prompt tuning."""
    from peft import PromptTuningConfig
    from safetensors.torch import save_file

    vectors = module.get_input_embeddings().vectors.data.detach().float().cpu().contiguous()
    config = PromptTuningConfig(
        task_type="CAUSAL_LM", base_model_name_or_path=word, inference_mode=True, num_virtual_tokens=len(vectors),
        prompt_tuning_init="RANDOM", token_dim=vectors.shape[1], num_transformer_submodules=1,
        num_attention_heads=module.config.num_attention_heads, num_layers=module.config.num_hidden_layers,
    )  # fmt: skip
    config.save_pretrained(str(folder))
    save_file({"prompt_embeddings": vectors}, folder / _FILE, metadata={"format": "pt"})


def put(base: Any, folder: Path) -> Any:
    """A fork of `base` that knows the vectors in `folder`; rows need their ids in front (`with_prefix_ids`).

    Raises:
        ModelError: they have another width.
    """
    from safetensors.torch import load_file

    vectors = load_file(folder / _FILE)["prompt_embeddings"]
    like = base.get_input_embeddings().weight
    if vectors.shape[1] != like.shape[1]:
        raise ModelError(f"The soft prompt in {folder} is {vectors.shape[1]} wide, the model {like.shape[1]}.")
    return _with_vectors(base, vectors.to(like)).requires_grad_(False).eval()


def with_prefix_ids(model: Model, module: Any) -> Model:
    """The model with a renderer that puts the learned vectors' ids in front of every prompt."""
    front = module.get_input_embeddings()
    if not isinstance(front, SoftPromptEmbedding):
        return model
    return dataclasses.replace(model, renderer=model.renderer.with_prefix(_ids(module, len(front.vectors))))
