"""Batch calibration: take out the labels' own popularity, as the model sees it over unlabelled inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from whichway.nouns import Candidate, Reply


def calibrated(candidate: Candidate, replies: Sequence[Reply]) -> Candidate | None:
    """The candidate with batch calibration from its own answers; None when no answer has label scores."""
    scores = [reply.scores for reply in replies if reply.scores]
    if not scores:
        return None
    decoding = replace(candidate.decoding, bias=batch_bias(scores))
    return replace(candidate, decoding=decoding, note=f"{candidate.note}, calibrated")


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
