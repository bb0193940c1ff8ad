"""Macro-F1: F1 of each label, averaged over labels, so that rare labels count as much as frequent ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whichway.tasks.metrics._closed import Closed, Options

__all__ = ["Metric", "Options"]


class Metric(Closed):
    """Rows score 0 or 1; all rows together score macro-F1."""

    name = "macro_f1"
    title = "Macro-F1"

    @staticmethod
    def aggregate(targets: NDArray[np.int64], answers: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[Any]:
        """The plain mean of each label's F1 over labels that occur as target or answer.

        An answer that could not be read, or that no row wants, is wrong for its target and is no label of its own. A
        resample without any label scores 0.
        """
        codes = np.arange(max(int(targets.max(initial=0)), int(answers.max(initial=0))) + 1)
        wanted, answered = (
            (targets[:, None] == codes).astype(np.float64),
            (answers[:, None] == codes).astype(np.float64),
        )
        right, seen = weights @ (wanted * answered), weights @ (wanted + answered)
        f1 = np.divide(2 * right, seen, out=np.zeros_like(right), where=seen > 0)
        present = (seen > 0).sum(axis=1)
        values: NDArray[np.float64] = f1.sum(axis=1) / np.maximum(present, 1)
        return values
