"""Scores of closed labels from a program's own logits. Needs numpy alone; programs of this folder import it.

A label's score is the log-probability of its tokens, where each may only be one that leads to some label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# prompt, answers -> for each answer the logits [tokens, vocabulary] that predict its tokens
Logits = Callable[[Sequence[int], Sequence[Sequence[int]]], list[Any]]


def label_scores(
    logits: Logits, prompt: Sequence[int], answers: dict[str, list[int]], closing: Sequence[int]
) -> dict[str, float]:
    """Label -> log-probability among the labels.

    Args:
        logits: of the runtime.
        prompt: token ids.
        answers: label -> token ids, its end included.
        closing: ids that count as any end.
    """
    all_ids, ends = list(answers.values()), set(closing)
    rows = logits(prompt, all_ids)
    return {label: _score(row, ids, all_ids, ends) for (label, ids), row in zip(answers.items(), rows, strict=True)}


def _score(row: Any, ids: list[int], answers: list[list[int]], ends: set[int]) -> float:
    total = 0.0
    for depth, token in enumerate(ids):
        following = {other[depth] for other in answers if other[:depth] == ids[:depth] and len(other) > depth}
        if len(following) > 1:
            here = np.asarray(row[depth], np.float64)
            groups = {t: sorted({t} | (ends - following)) if t in ends else [t] for t in sorted(following)}
            sums = {t: _logsumexp(here[group]) for t, group in groups.items()}
            total += sums[token] - _logsumexp(np.array(list(sums.values())))
    return float(total)


def _logsumexp(values: Any) -> float:
    top = float(values.max())
    return top + float(np.log(np.exp(values - top).sum()))
