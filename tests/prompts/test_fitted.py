"""Biases fitted on training rows, and replies under a bias."""

from __future__ import annotations

import math
import random

import pytest

from whichway.nouns import Reply
from whichway.prompts.calibrate import biased, fitted_bias

LABELS = ("a", "b", "c")


def drawn(rng: random.Random, rows: int, prior: dict[str, float], skew: dict[str, float]) -> tuple[list, list]:
    """Scores of a model that knows a little and favours labels by `skew`."""
    targets = rng.choices(LABELS, [prior[label] for label in LABELS], k=rows)
    scores = []
    for target in targets:
        raw = {label: rng.gauss(1.5 * (label == target), 1.0) + skew[label] for label in LABELS}
        whole = math.log(sum(math.exp(s) for s in raw.values()))
        scores.append({label: s - whole for label, s in raw.items()})
    return scores, targets


def right(scores: list, targets: list, bias: dict[str, float]) -> float:
    said = [max(LABELS, key=lambda label: row[label] + bias.get(label, 0.0)) for row in scores]
    return sum(s == t for s, t in zip(said, targets, strict=True)) / len(targets)


@pytest.mark.parametrize("strength", [0.0, 2.0, 1000.0])
def test_fitting_undoes_a_skew_on_rows_it_has_not_seen(strength):
    rng = random.Random(1)
    prior, skew = {"a": 0.6, "b": 0.3, "c": 0.1}, {"a": -2.0, "b": 0.0, "c": 2.0}
    scores, targets = drawn(rng, 48, prior, skew)
    bias = dict(fitted_bias(scores, targets, prior, strength))
    new, gold = drawn(rng, 2000, prior, skew)
    assert right(new, gold, bias) > right(new, gold, {}) + 0.15
    assert bias["a"] > bias["b"] > bias["c"]
    assert sum(bias.values()) == pytest.approx(0, abs=1e-5)


def test_a_strong_pull_gives_labels_their_share():
    rng = random.Random(2)
    prior = {"a": 0.5, "b": 0.25, "c": 0.25}
    scores, targets = drawn(rng, 300, prior, {"a": 0.0, "b": 3.0, "c": 0.0})
    bias = dict(fitted_bias(scores, targets, prior, 1e6))
    shares = dict.fromkeys(LABELS, 0.0)
    for row in scores:
        weights = {label: math.exp(row[label] + bias[label]) for label in LABELS}
        for label in LABELS:
            shares[label] += weights[label] / sum(weights.values()) / len(scores)
    assert shares == pytest.approx(prior, abs=0.01)


def test_a_reply_under_a_bias_is_another_answer_of_the_same_scores():
    reply = Reply("a", scores={"a": -0.5, "b": -1.0}, tokens_in=7, seconds=0.1)
    moved = biased(reply, (("b", 1.0),))
    assert (moved.text, moved.scores) == ("b", {"a": -0.5, "b": 0.0})
    assert (moved.tokens_in, moved.seconds) == (7, 0.1)
    assert biased(reply, ()) is reply
    assert biased(Reply("x"), (("b", 1.0),)).text == "x"
    assert biased(Reply("b", scores={"a": 0.0, "b": 0.0}), (("a", 0.0),)).text == "a"
