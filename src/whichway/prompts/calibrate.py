"""Calibration: label biases from the model's own scores, without targets (batch) or with them (fitted).

A bias is added to a label's log-probability when the answer is picked, so candidates that differ in it alone need the
model's scores once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from whichway.contracts import Bench
from whichway.nouns import Candidate, Example, Reply

CALIBRATION_ROWS = 64  # training inputs, where no way's option says how many

Bias = tuple[tuple[str, float], ...]


def calibrated(candidate: Candidate, replies: Sequence[Reply]) -> Candidate | None:
    """The candidate with batch calibration from its own answers; None when no answer has label scores."""
    scores = [reply.scores for reply in replies if reply.scores]
    if not scores:
        return None
    decoding = replace(candidate.decoding, bias=batch_bias(scores))
    return replace(candidate, decoding=decoding, note=f"{candidate.note}, calibrated")


def batch_calibrated(candidate: Candidate, bench: Bench, rows: Sequence[Example]) -> Candidate:
    """The candidate with batch calibration from its own answers to some rows; unchanged when they have no label scores.

    Args:
        candidate: of closed labels.
        bench: where it is asked.
        rows: inputs that are neither dev nor test; their targets play no part.
    """
    return calibrated(candidate, bench.ask(candidate, rows)) or candidate


def batch_bias(scores: Sequence[Mapping[str, float]]) -> tuple[tuple[str, float], ...]:
    """Bias per label that evens out the mean label probabilities of a batch.

    Zhou et al. 2023 (arXiv 2309.17249): subtract the log of each label's mean probability over a batch of inputs.
    Targets play no part. Departure: the batch is drawn from the training inputs and fixed before dev or test is seen,
    so that an answer does not depend on which other rows are asked with it.

    Args:
        scores: for each input, label -> log-probability (any constant per input may be missing).

    Returns:
        (label, bias) in the labels' order, rounded to 1e-6 so that the candidate's digest is stable.
    """
    labels = list(scores[0]) if scores else []
    sums = dict.fromkeys(labels, 0.0)
    for row in scores:
        top = max(row.values())
        weights = {label: math.exp(row[label] - top) for label in labels}
        whole = sum(weights.values())
        for label in labels:
            sums[label] += weights[label] / whole
    return tuple((label, round(-math.log(max(sums[label] / len(scores), 1e-9)), 6)) for label in labels)


def biased(reply: Reply, bias: Bias) -> Reply:
    """The reply that the same scores give under a bias; equal scores go to the first label.

    Args:
        reply: of the candidate without a bias.
        bias: (label, log-probability added).
    """
    if not bias or not reply.scores:
        return reply
    added = dict(bias)
    scores = {label: score + added.get(label, 0.0) for label, score in reply.scores.items()}
    return replace(reply, text=max(scores, key=lambda label: scores[label]), scores=scores)


def fitted_bias(
    scores: Sequence[Mapping[str, float]], targets: Sequence[str], prior: Mapping[str, float], strength: float = 2.0
) -> Bias:
    """Bias per label that makes the targets of some training rows likeliest.

    Multinomial logistic regression with the scores as a fixed offset and the biases as its only coefficients (vector
    scaling of Guo et al. 2017, arXiv 1706.04599, without the scales). A few dozen rows say little about each label, so
    biases are drawn towards those that give the labels their share in the training split on average.

    Args:
        scores: for each row, label -> log-probability.
        targets: the row's answer, among the labels.
        prior: label -> share in the training split.
        strength: of the pull, in rows; 0 for none.

    Returns:
        (label, bias) in the labels' order, with mean 0, rounded to 1e-6 so that the candidate's digest is stable.
    """
    import numpy as np
    from scipy.optimize import minimize

    labels = list(scores[0])
    offsets = np.array([[row[label] for label in labels] for row in scores])
    gold = np.array([labels.index(target) for target in targets])
    wanted = np.array([max(prior.get(label, 0.0), 1e-3) for label in labels])
    centre = _matched(offsets, wanted / wanted.sum())

    def loss(bias: Any) -> tuple[float, Any]:
        chances = _softmax(offsets + bias)
        away = bias - centre
        nats = -np.log(np.maximum(chances[np.arange(len(gold)), gold], 1e-12)).sum()
        slope = chances.sum(0) - np.bincount(gold, minlength=len(labels))
        return float(nats + 0.5 * strength * (away**2).sum()), slope + strength * away

    fitted = minimize(loss, centre, jac=True, method="L-BFGS-B").x
    return tuple((label, round(float(b), 6)) for label, b in zip(labels, fitted - fitted.mean(), strict=True))


def _matched(offsets: Any, wanted: Any) -> Any:
    """Biases under which the mean label probabilities are those wanted (iterative proportional fitting)."""
    import numpy as np

    bias = np.zeros(len(wanted))
    for _ in range(50):
        bias += np.log(wanted) - np.log(np.maximum(_softmax(offsets + bias).mean(0), 1e-9))
    return bias - bias.mean()


def _softmax(x: Any) -> Any:
    import numpy as np

    grown = np.exp(x - x.max(1, keepdims=True))
    return grown / grown.sum(1, keepdims=True)
