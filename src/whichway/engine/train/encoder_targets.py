"""What an encoder's head learns of each row: its one label, or which of all labels it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from whichway.engine.train import one_vs_rest, probe
from whichway.engine.train.one_vs_rest import LabelSetHead, LabelSets
from whichway.errors import WayFailed

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # inverse, of regularisation; heads for each label choose among them
FOLDS = 3  # of the cross-validation that chooses
_JUDGED = 512  # training rows by which a trained encoder's threshold is chosen
Read = Callable[[Sequence[str]], np.ndarray[Any, Any]]


class OneLabel:
    """Rows with one label each: softmax over the labels.

    Args:
        answers: of the training rows.
    """

    def __init__(self, answers: Sequence[str]) -> None:
        self.labels = sorted(set(answers))
        code = {label: k for k, label in enumerate(self.labels)}
        self._answers, self._codes = answers, [code[answer] for answer in answers]

    def loss(self, scores: Tensor, rows: Sequence[int]) -> Tensor:
        """Summed over some rows, of scores `[B, K]`."""
        wanted = torch.tensor([self._codes[row] for row in rows], device=scores.device)
        return functional.cross_entropy(scores, wanted, reduction="sum")

    def fitted(self, states: np.ndarray[Any, Any]) -> dict[str, Tensor]:
        """Weight and bias of a logistic regression on the rows' states `[B, F]`."""
        head, _ = probe.fit(states, self._answers, None, 0)
        weight = head.weight / head.scale
        return {
            "weight": torch.from_numpy(weight).contiguous(),
            "bias": torch.from_numpy(head.bias - weight @ head.mean),
        }

    def set_head(self, weight: Tensor, bias: Tensor, read: Read, texts: Sequence[str]) -> LabelSetHead | None:
        """How the head's scores become a set of labels: not at all."""
        return None


class SeveralLabels:
    """Rows that may have several labels: a probability for each label.

    The threshold is the best one on the training rows as the encoder reads them then: below a half while little is
    learned, a half where it knows the rows by heart. Cross-validation would take as many trainings as folds.

    Args:
        answers: of the training rows.
        labels: all that the task has.
        exact: whether a row counts only where all its labels are right.
    """

    def __init__(self, answers: Sequence[str], labels: Sequence[str], exact: bool) -> None:
        self._sets, self._exact = LabelSets.of(answers, labels), exact
        self.labels = list(self._sets.labels)
        if not self.labels:
            raise WayFailed("No training row has a label.")

    def loss(self, scores: Tensor, rows: Sequence[int]) -> Tensor:
        """Summed over labels and some rows, of log-odds `[B, K]`."""
        wanted = torch.from_numpy(self._sets.wanted[list(rows)]).to(scores.device, scores.dtype)
        return functional.binary_cross_entropy_with_logits(scores, wanted, reduction="sum")

    def fitted(self, states: np.ndarray[Any, Any]) -> dict[str, Tensor]:
        """Weight and bias of a logistic regression for each label on the rows' states `[B, F]`."""
        head, _ = one_vs_rest.fit_dense(states, self._sets, STRENGTHS, self._exact, FOLDS, 0)
        parts = {"weight": head.weight, "bias": head.bias}
        return {name: torch.from_numpy(np.ascontiguousarray(part, np.float32)) for name, part in parts.items()}

    def set_head(self, weight: Tensor, bias: Tensor, read: Read, texts: Sequence[str]) -> LabelSetHead:
        """How the head's scores become a set of labels.

        Args:
            weight: `[K, F]`, as trained.
            bias: `[K]`.
            read: gives the states of texts `[B, F]`, as the trained encoder reads them.
            texts: of the training rows.
        """
        sets, least = self._sets, int(bool(self._sets.wanted.any(axis=1).all()))
        rows, shift = (part.detach().float().cpu().numpy() for part in (weight, bias))
        head = LabelSetHead(sets.labels, rows, shift, one_vs_rest.HALF, least, sets.separator)
        some = slice(None, None, max(1, len(texts) // _JUDGED))
        chance = one_vs_rest.chance_of(head(read(texts[some])))
        _, threshold = one_vs_rest.best_threshold(chance, sets.wanted[some], least, self._exact)
        return replace(head, threshold=threshold)
