"""An embedding of only those tokens that a training sees: the others would get no gradient anyway.

Half of a small encoder's weights are its vocabulary, of which a task uses a few per cent. Without weight decay a row of
the embedding that is never read never moves, so training the rows that are read alone gives the same numbers and spares
an optimiser's work and memory for all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class SeenTokens(nn.Module):
    """Stands in for an embedding.

    Args:
        full: the embedding.
        ids: of all tokens that will be read.
    """

    def __init__(self, full: nn.Embedding, ids: Sequence[int]) -> None:
        super().__init__()
        self.seen = torch.tensor(sorted(set(ids)), device=full.weight.device)
        places = torch.full((len(full.weight),), -1, device=full.weight.device)
        places[self.seen] = torch.arange(len(self.seen), device=places.device)
        self.places = places
        self.weight = nn.Parameter(full.weight.detach()[self.seen].clone())
        padding = full.padding_idx
        self.padding = int(places[padding]) if padding is not None and int(places[padding]) >= 0 else None

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of tokens."""
        return functional.embedding(self.places[ids], self.weight, self.padding)


class SeenVocabulary:
    """A model whose embedding holds the seen tokens only, and is whole again where it is saved.

    Args:
        model: changed in place.
        ids: of all tokens that will be read.
    """

    def __init__(self, model: Any, ids: Sequence[int]) -> None:
        self._model, self._full, self._own = model, model.get_input_embeddings(), None
        if type(self._full) is nn.Embedding:  # others may do more than look vectors up
            self._own = SeenTokens(self._full, ids)
            self._full.requires_grad_(False)
            model.set_input_embeddings(self._own)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """With the embedding of all tokens."""
        if self._own is None:
            yield
            return
        with torch.no_grad():
            self._full.weight[self._own.seen] = self._own.weight
        self._model.set_input_embeddings(self._full)
        try:
            yield
        finally:
            self._model.set_input_embeddings(self._own)
