"""MCC: the Matthews correlation of targets and answers, 1 when all are right and 0 when answers tell nothing.

Unlike accuracy it gives nothing for always saying the frequent label. For more than two labels it is Gorodkin's R_K
(2004, Computational Biology and Chemistry 28:367), as scikit-learn has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whichway.tasks.metrics._closed import Closed, Options

__all__ = ["Metric", "Options"]

ROUNDING = 1e-12  # of a variance, as a share of the largest possible: below, all answers (or all targets) are equal


class Metric(Closed):
    """Rows score 0 or 1; all rows together score the Matthews correlation, from -1 to 1."""

    name = "mcc"
    title = "Matthews correlation"
    lowest = -1.0
    plain = True

    @staticmethod
    def aggregate(targets: NDArray[np.int64], answers: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[Any]:
        """Covariance of targets and answers over the root of the product of their variances, in counts of rows.

        Answers that could not be read are a label of their own, which no row wants. Where all targets or all answers
        are equal there is no correlation to see: 0.
        """
        labels = np.unique(np.concatenate([targets, answers]))
        rows = weights.sum(axis=1)
        right = weights @ (targets == answers).astype(np.float64)
        wanted, answered = (weights @ (x[:, None] == labels).astype(np.float64) for x in (targets, answers))
        covariance = right * rows - (wanted * answered).sum(axis=1)
        spread = [rows**2 - (x**2).sum(axis=1) for x in (wanted, answered)]
        defined = np.minimum(*spread) > ROUNDING * rows**2
        below = np.sqrt(np.where(defined, spread[0], 1.0)) * np.sqrt(np.where(defined, spread[1], 1.0))
        values: NDArray[np.float64] = np.clip(np.where(defined, covariance / below, 0.0), -1.0, 1.0)
        return values
