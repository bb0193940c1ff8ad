"""AUC: how well the labels' scores put rows in order, whatever threshold or calibration turns them into answers.

The area under the ROC curve: the chance that a row of a label gets a higher score of that label than a row of another
one, ties counting half (Hanley & McNeil 1982). With more than two labels it is the mean over labels, each against the
rest; with two labels both are the same number. It reads the log-probability of each label, so that it cannot judge
written answers, or models that give no scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whichway.tasks.metrics._closed import Closed, Options

__all__ = ["Metric", "Options"]

FEW = 64  # rows of a label


class Metric(Closed):
    """Rows score 0 or 1 by the likeliest label; all rows together score the area under the ROC curve."""

    name = "auc"
    title = "AUC"
    needs_scores = True
    plain = True

    @staticmethod
    def aggregate(targets: NDArray[np.int64], answers: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[Any]:
        """The mean over labels of the area for the label against the rest.

        Rows are put in order by the log-odds of the label. A row without an answer loses every comparison. A label
        that no counted row wants, or that all of them want, has no area; without any label the value is NaN.
        """
        drawn = np.ascontiguousarray(weights.T)
        areas = np.stack([_area(targets == label, _odds(answers, int(label)), drawn) for label in np.unique(targets)])
        known = np.isfinite(areas)
        sums, many = np.where(known, areas, 0.0).sum(axis=0), known.sum(axis=0)
        values: NDArray[np.float64] = np.where(many > 0, sums / np.maximum(many, 1), np.nan)
        return values


def _odds(scores: NDArray[np.float64], label: int) -> NDArray[np.float64]:
    """(n,) log-odds of a label against all others; unlike its probability they do not run into 1."""
    others = np.delete(scores, label, axis=1)
    top = others.max(axis=1, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        log_odds: NDArray[np.float64] = scores[:, label] - top - np.log(np.exp(others - top[:, None]).sum(axis=1))
    return log_odds


def _area(wanted: NDArray[np.bool_], odds: NDArray[np.float64], drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) share of pairs of a wanted and another row in which the wanted one has higher odds; `drawn` is (n, B)."""
    odds = np.where(np.isnan(odds), np.where(wanted, -np.inf, np.inf), odds)
    mine, all_others = drawn[wanted], drawn.sum(axis=0) - drawn[wanted].sum(axis=0)
    pairs = mine.sum(axis=0) * all_others
    won = (mine * _beaten(odds[wanted], odds, ~wanted, drawn)).sum(axis=0)
    area: NDArray[np.float64] = np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1.0), np.nan)
    return area


def _beaten(
    own: NDArray[np.float64], odds: NDArray[np.float64], other: NDArray[np.bool_], drawn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(wanted rows, B) the weight of the other rows with lower odds than each wanted row, half of those with equal."""
    if len(own) <= FEW:  # of many labels each has few rows: a product beats sorting all others for every label
        weights: NDArray[np.float64] = (((own[:, None] > odds) + (own[:, None] == odds) / 2) * other) @ drawn
        return weights
    places = np.flatnonzero(other)[np.argsort(odds[other])]
    below = np.zeros((len(places) + 1, drawn.shape[1]))
    np.cumsum(drawn[places], axis=0, out=below[1:])
    first, last = (np.searchsorted(odds[places], own, side) for side in ("left", "right"))
    return (below[first] + below[last]) / 2
