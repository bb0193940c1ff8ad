"""A sentence encoder: texts to vectors, the mean of the last layer's states over a text's own tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from whichway.engine.model import load, throughput
from whichway.engine.model.tokenizer_files import first_line
from whichway.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_BATCH = 32  # rows read together
_LONGEST = 512  # tokens of a row that are read, where the encoder does not say


class Encoder:
    """An encoder of transformers with its tokenizer. The one that a backend holds is never changed.

    Args:
        folder: of the encoder; weights from safetensors only, no remote code.

    Raises:
        ModelError: it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.folder = folder
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            with load.quiet():
                self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, **options)
                self.model: Any = AutoModel.from_pretrained(folder, use_safetensors=True, **options).float().eval()
        except Exception as error:  # whatever a foreign folder makes the libraries say
            raise ModelError(f"The encoder in {folder} cannot be read: {first_line(error)}") from error
        self.model.requires_grad_(False).to(load.device())
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        most = getattr(self.model.config, "max_position_embeddings", None) or _LONGEST
        self.longest = int(min(most, _LONGEST))

    @property
    def hidden(self) -> int:
        """The width of a vector."""
        return int(self.model.config.hidden_size)

    def fed(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids and mask `[B, T]` of some texts; trained and answered rows are read alike."""
        encoding = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.longest, padding_side="right",
            return_tensors="pt", split_special_tokens=True,  # "[SEP]" in a text is text
        )  # fmt: skip
        return {name: encoding[name].to(self.model.device) for name in ("input_ids", "attention_mask")}

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """The tokens that would be read of each text."""
        limits: dict[str, Any] = {"truncation": True, "max_length": self.longest}
        return [len(ids) for ids in self.tokenizer(list(texts), split_special_tokens=True, **limits)["input_ids"]]

    def __call__(self, texts: Sequence[str]) -> tuple[np.ndarray[Any, Any], list[int]]:
        """Vectors `[B, hidden]` in float32, and the tokens read of each text."""
        import numpy as np

        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors: dict[int, Any] = {}
        sizes = [0] * len(texts)
        with torch.no_grad(), throughput.fitting():
            for start in range(0, len(order), _BATCH):
                places = order[start : start + _BATCH]
                fed = self.fed([texts[i] for i in places])
                means = pooled(self.model, fed).float().cpu()
                for i, vector, size in zip(places, means, fed["attention_mask"].sum(1).tolist(), strict=True):
                    vectors[i], sizes[i] = vector.numpy(), int(size)
        return np.stack([vectors[i] for i in range(len(texts))]), sizes


def pooled(model: Any, fed: dict[str, Tensor]) -> Tensor:
    """Mean states `[B, hidden]` of texts over their own tokens."""
    states = model(input_ids=fed["input_ids"], attention_mask=fed["attention_mask"]).last_hidden_state
    mask = fed["attention_mask"].unsqueeze(-1).to(states.dtype)
    means: Tensor = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
    return means
