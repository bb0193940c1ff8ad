"""Several labels a row: a logistic regression for each label, and one threshold on their probabilities.

Each label against the rest. The threshold is the one under which cross-validated probabilities of the training rows
score best by the task's own measure: F1 of a row's set of labels, or equal sets (Fan & Lin 2007, "A study on threshold
selection for multi-label classification"). It is one for all labels: thresholds of rare labels follow noise (Yang 2001,
"A study of thresholding strategies for text categorization"). Where every training row has a label, the likeliest one
is always taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from whichway import label_sets
from whichway.errors import WayFailed

Array = np.ndarray[Any, Any]
_THRESHOLDS = np.linspace(0.02, 0.98, 49)
HALF = 0.5  # the threshold where there is nothing to choose it by
_LEAST_ROWS = 10  # from which it is cross-validated
_SURE = 6.0  # log-odds, at most, of a label that all rows or none have


@dataclass(frozen=True, slots=True)
class LabelSets:
    """The labels of rows that may have several."""

    labels: tuple[str, ...]  # K, in the order in which a row's are written; those that some row has
    wanted: Array  # which of them each row has, [B, K]
    separator: str  # between labels of one row, as targets have it

    @classmethod
    def of(cls, answers: Sequence[str], labels: Sequence[str]) -> LabelSets:
        """Read sets of labels as `label_sets.spelled` writes them; `labels` are all that the task has."""
        rows = [label_sets.parsed(answer, labels) for answer in answers]
        here = {label for row in rows for label in row}
        known = (*(label for label in labels if label in here), *sorted(here - set(labels)))
        place = {label: n for n, label in enumerate(known)}
        wanted = np.zeros((len(rows), len(known)), dtype=bool)
        for n, row in enumerate(rows):
            wanted[n, [place[label] for label in row]] = True
        return cls(known, wanted, label_sets.separator(labels))


@dataclass(frozen=True, slots=True)
class LabelSetHead:
    """One logistic regression for each label: features `[B, F]` to log-odds `[B, K]`, and which labels those mean."""

    labels: tuple[str, ...]  # K, in the order in which a row's are written
    weight: Array  # [K, F]
    bias: Array  # [K]
    threshold: float  # on a label's probability, from which it counts
    least: int  # labels that every answer has: 0, or 1 where every training row has some
    separator: str  # between labels of one row

    def __call__(self, features: Any) -> Array:
        """Log-odds `[B, K]` for features `[B, F]`, dense or sparse."""
        return np.asarray(features @ self.weight.T + self.bias)

    def answers(self, odds: Array) -> list[str]:
        """The labels that each row of log-odds `[B, K]` means, as targets spell them."""
        chosen = chosen_labels(chance_of(odds), self.threshold, self.least)
        rows = ([label for label, here in zip(self.labels, row, strict=True) if here] for row in chosen)
        return [self.separator.join(row) or label_sets.NONE for row in rows]


def chance_of(odds: Array) -> Array:
    """Probabilities of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -50, 50))))


def chosen_labels(chance: Array, threshold: float, least: int) -> Array:
    """Which labels `[B, K]` probabilities mean."""
    chosen = chance >= threshold
    if least:
        chosen[np.arange(len(chance)), chance.argmax(axis=1)] = True
    return chosen


def fit(
    features: Any, sets: LabelSets, strengths: Sequence[float], exact: bool, folds: int, seed: int
) -> tuple[LabelSetHead, float]:
    """A head, with its mean loss on these rows in nats for each label.

    Args:
        features: `[B, F]`, dense or sparse.
        sets: the rows' labels.
        strengths: inverse strengths of regularisation; of several the one whose held-out answers score best.
        exact: whether a row counts only where all its labels are right.
        folds: of the cross-validation.
        seed: of its shuffle.

    Raises:
        WayFailed: no row has a label.
    """
    if not sets.labels:
        raise WayFailed("No training row has a label.")
    wanted = sets.wanted
    least = int(bool(wanted.any(axis=1).all()))
    strength, threshold = strengths[0], HALF
    if len(wanted) >= _LEAST_ROWS:
        trials = []
        for place, one in enumerate(strengths):
            value, at = best_threshold(_held_out(features, wanted, one, folds, seed), wanted, least, exact)
            trials.append((value, -place, one, at))
        _, _, strength, threshold = max(trials)
    weight, bias = _fitted(features, wanted, strength)
    head = LabelSetHead(sets.labels, weight, bias, threshold, least, sets.separator)
    odds = head(features)
    return head, float(np.logaddexp(0, np.where(wanted, -odds, odds)).mean())


def fit_dense(
    features: Array, sets: LabelSets, strengths: Sequence[float], exact: bool, folds: int, seed: int
) -> tuple[LabelSetHead, float]:
    """As `fit`, on features that are standardised first; the head takes them as they are."""
    mean, scale = features.mean(0), features.std(0) + 1e-6
    head, loss = fit((features - mean) / scale, sets, strengths, exact, folds, seed)
    weight = head.weight / scale
    return replace(head, weight=weight, bias=head.bias - weight @ mean), loss


def best_threshold(chance: Array, wanted: Array, least: int, exact: bool) -> tuple[float, float]:
    """The score and the threshold that is best; of equal ones the nearest to a half.

    Args:
        chance: probabilities `[B, K]` of rows that were held out.
        wanted: the labels they have.
        least: labels that every answer has.
        exact: whether sets must be equal; else F1 of each row's set, averaged.
    """
    scores = [_score(chosen_labels(chance, at, least), wanted, exact) for at in _THRESHOLDS]
    top = max(scores)
    near = [float(at) for at, score in zip(_THRESHOLDS, scores, strict=True) if score >= top - 1e-9]
    return top, min(near, key=lambda at: abs(at - HALF))


def _score(chosen: Array, wanted: Array, exact: bool) -> float:
    """What the metric `multi_label` says of these answers."""
    if exact:
        return float((chosen == wanted).all(axis=1).mean())
    common, sizes = (chosen & wanted).sum(axis=1), chosen.sum(axis=1) + wanted.sum(axis=1)
    return float(np.where(sizes == 0, 1.0, 2 * common / np.maximum(1, sizes)).mean())


def _held_out(features: Any, wanted: Array, strength: float, folds: int, seed: int) -> Array:
    """Probabilities `[B, K]` from heads that did not see the row."""
    from sklearn.model_selection import KFold

    chance = np.zeros(wanted.shape)
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(wanted):
        weight, bias = _fitted(features[train], wanted[train], strength)
        chance[test] = chance_of(np.asarray(features[test] @ weight.T + bias))
    return chance


def _fitted(features: Any, wanted: Array, strength: float) -> tuple[Array, Array]:
    """Weight `[K, F]` and bias `[K]`; a label that all rows or none have follows no feature."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    rows, count = wanted.shape
    weight, bias = np.zeros((count, features.shape[1])), np.zeros(count)
    with threadpool_limits(1):  # products this small spend their time waiting for the other thread
        for n in range(count):
            share = float(wanted[:, n].mean())
            if share in (0.0, 1.0):
                bias[n] = np.clip(np.log(rows + 1), 0, _SURE) * (1 if share else -1)
                continue
            model: Any = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(features, wanted[:, n])
            weight[n], bias[n] = model.coef_[0], model.intercept_[0]
    return weight, bias
