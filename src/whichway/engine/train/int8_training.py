"""Trainings whose frozen weights multiply in int8, forward and backward, where their own first rows show it harmless.

The trained part itself stays exact, and so do its gradients' own products. What comes out is answered with exact
weights, as every trained part is, so its dev and test scores are those of what ships. Rounding can only cost a training
quality, which is why a gate compares it with exact products before the first step: the loss of a batch, and the
direction of all trained weights' gradient.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from whichway.engine.model.decoder import Decoder, decoder_of, known
from whichway.engine.model.int8 import Int8Pair, activation_steps
from whichway.engine.model.load import Model
from whichway.engine.model.weights import FusedLinear, MasterWeights
from whichway.engine.train.trainable import Trainable
from whichway.training_kinds import EXACT, INT8

_EACH = 4  # groups of a layer
_NOISE = 0.005  # on the trained weights: a part that starts at zero would hide most gradients
_LOSS = 0.15  # share of the exact loss
_COSINE = 0.9  # batches of one task are at 0.1 to 0.5 to each other

_roundings: weakref.WeakKeyDictionary[Decoder, dict[int, Int8Pair]] = weakref.WeakKeyDictionary()

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Int8Products:
    """The frozen matrices of a model with their roundings; those of split groups (in the last layer) stay exact."""

    groups: tuple[tuple[FusedLinear, Int8Pair], ...]

    @staticmethod
    def of(base: Decoder, own_decoder: Decoder, first: int = 0) -> Int8Products | None:
        """Those of the layers from `first` on, rounded once for all trainings of a base.

        Args:
            base: the model as it is.
            own_decoder: the same with a trained part on it.
            first: the lowest layer that is run.

        Returns:
            None where the model's device has no such products.
        """
        steps = activation_steps() if base.weights.embed.value.device.type == "cpu" else None
        if steps is None:
            return None
        cached, pairs = _roundings.setdefault(base, {}), []
        both = zip(_groups(base), _groups(own_decoder), strict=True)
        for place, (exact, group) in list(enumerate(both))[first * _EACH :]:
            if group.weight.grad is not None:
                continue
            if group.weight.value.data_ptr() != exact.weight.value.data_ptr():  # a variant of LoRA that moves the base
                pairs.append((group, Int8Pair.of(group.weight.value, steps)))
                continue
            if place not in cached:
                cached[place] = Int8Pair.of(exact.weight.value, steps)
            pairs.append((group, cached[place]))
        return Int8Products(tuple(pairs))

    def use(self, rounded: bool = True) -> None:
        """Multiply with the rounded matrices from now on, or with the exact ones."""
        for group, pair in self.groups:
            group.int8 = pair if rounded else None

    @contextmanager
    def exact(self) -> Iterator[None]:
        """With exact products inside."""
        self.use(False)
        try:
            yield
        finally:
            self.use()


def _groups(own_decoder: Decoder) -> list[FusedLinear]:
    return [group for layer in own_decoder.weights.layers for group in (layer.qkv, layer.out, layer.up, layer.down)]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike a batch's loss and gradient are with exact and with rounded products."""

    exact: float  # loss, nats per trained token
    rounded: float
    cosine: float  # of the gradients

    @property
    def close(self) -> bool:
        """Whether a training may go on with rounded products."""
        return abs(self.rounded - self.exact) <= _LOSS * abs(self.exact) and self.cosine >= _COSINE


def agreement(products: Int8Products, masters: MasterWeights, backward: Callable[[], float]) -> Agreement:
    """Run one batch both ways, from trained weights with a little noise; nothing is changed for good.

    Args:
        products: of the model.
        masters: its trained weights.
        backward: computes the gradients of the batch anew and returns its loss.
    """
    vector, before = masters.vector, masters.vector.data.clone()
    assert vector.grad is not None
    noise = torch.randn(before.shape, generator=torch.Generator().manual_seed(0), dtype=before.dtype)
    vector.data.add_(noise.to(before.device), alpha=_NOISE)
    masters.refresh()
    try:
        products.use(False)
        exact, wanted = backward(), vector.grad.clone()
        products.use()
        rounded, gradient = backward(), vector.grad.clone()
    finally:
        products.use(False)
        vector.data.copy_(before)
        masters.refresh()
    return Agreement(exact, rounded, float(torch.cosine_similarity(wanted, gradient, dim=0)))


def settle(
    model: Model, trainable: Trainable, first: int, precision: str, backward: Callable[[], float]
) -> tuple[str, Int8Products | None]:
    """Have the frozen weights of a training multiply in int8, where its rows allow it.

    Args:
        model: the base.
        trainable: what is trained on it.
        first: the lowest layer that is run.
        precision: what was decided when this training was begun; "": it begins now.
        backward: computes the gradients of its first batch anew and returns the loss.

    Returns:
        `INT8` and the roundings, which are in use; or `EXACT` and None.
    """
    own_decoder = decoder_of(trainable.module) if trainable.masters is not None else None
    if precision == EXACT or own_decoder is None or trainable.masters is None:
        return EXACT, None  # without masters it learns through transformers' layers
    products = Int8Products.of(known(model.module), own_decoder, first)
    if products is None:
        log.warning("There are no int8 products here: the training multiplies in the model's own format.")
        return EXACT, None
    seen = None if precision else agreement(products, trainable.masters, backward)
    if seen is not None and not seen.close:
        log.warning(
            "int8 products are too far off on this task (loss %.3f instead of %.3f, gradient's cosine %.2f): the "
            "training multiplies in the model's own format.", seen.rounded, seen.exact, seen.cosine,
        )  # fmt: skip
        return EXACT, None
    products.use()
    return INT8, products
