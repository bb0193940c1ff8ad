"""Choosing worked examples for a prompt."""

from __future__ import annotations

import random
from collections.abc import Sequence

from whichway.nouns import Example, Shot


def random_shots(examples: Sequence[Example], count: int, rng: random.Random) -> tuple[Shot, ...]:
    """`count` rows drawn without regard to their answers, in random order."""
    drawn = rng.sample(list(examples), min(count, len(examples)))
    return tuple(Shot(e.text, e.target) for e in drawn)


def balanced_shots(examples: Sequence[Example], count: int, rng: random.Random) -> tuple[Shot, ...]:
    """`count` rows with the answers as even as can be, in random order (skew biases a model: Zhao et al. 2021)."""
    by_answer: dict[str, list[Example]] = {}
    for example in rng.sample(list(examples), len(examples)):
        by_answer.setdefault(example.target, []).append(example)
    answers = rng.sample(sorted(by_answer), len(by_answer))
    drawn: list[Example] = []
    while len(drawn) < min(count, len(examples)):
        for answer in answers:
            if by_answer[answer] and len(drawn) < count:
                drawn.append(by_answer[answer].pop())
    rng.shuffle(drawn)
    return tuple(Shot(e.text, e.target) for e in drawn)
