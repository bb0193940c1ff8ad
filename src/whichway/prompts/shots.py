"""Choosing worked examples for a prompt: at random, balanced, diverse, or for pairs of labels that get confused."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from whichway.nouns import Example, Shot
from whichway.prompts.tfidf import Index

Order = Literal["drawn", "reversed", "short_first", "grouped"]


def random_shots(examples: Sequence[Example], count: int, rng: random.Random) -> tuple[Shot, ...]:
    """`count` rows drawn without regard to their answers, in random order."""
    drawn = rng.sample(list(examples), min(count, len(examples)))
    return tuple(map(shot, drawn))


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
    return tuple(map(shot, drawn))


def diverse_shots(examples: Sequence[Example], count: int, rng: random.Random) -> tuple[Shot, ...]:
    """`count` rows as unlike each other as can be: from a random one on, always the row least like those taken.

    Greedy k-centre (Gonzalez 1985) on the cosine of TF-IDF vectors; in the order of taking.
    """
    rows = list(examples)
    index = Index([row.text for row in rows])
    like = [0.0] * len(rows)  # to the most similar one that is taken
    taken = [rng.randrange(len(rows))]
    while len(taken) < min(count, len(rows)):
        now = index.similarities(rows[taken[-1]].text)
        like = [max(old, now.get(place, 0.0)) for place, old in enumerate(like)]
        taken.append(min((k for k in range(len(rows)) if k not in taken), key=lambda k: (like[k], k)))
    return tuple(shot(rows[k]) for k in taken)


def confused_pairs(examples: Sequence[Example], answers: Sequence[str]) -> list[tuple[str, str]]:
    """(wanted, said instead) for each two labels that are confused, once, in the direction that is seen more often.

    Args:
        examples: training rows.
        answers: what the plain prompt said to them.

    Returns:
        The most frequent first; both directions count.
    """
    wrong = Counter((e.target, answer) for e, answer in zip(examples, answers, strict=True) if answer != e.target)
    once = [pair for pair in wrong if (-wrong[pair], pair) < (-wrong[pair[::-1]], pair[::-1])]
    return sorted(once, key=lambda pair: (-wrong[pair] - wrong[pair[::-1]], pair))


def contrastive_shots(
    examples: Sequence[Example], pairs: Sequence[tuple[str, str]], count: int, rng: random.Random
) -> tuple[Shot, ...]:
    """`count` rows in couples: for each confused pair of labels a row of one, and the row of the other most like it.

    Args:
        examples: to choose from.
        pairs: of labels, the most confused first; gone through again while there is room.
        count: of rows; a couple counts two.
        rng: draws the first row of a couple.
    """
    rows = {label: [e for e in examples if e.target == label] for pair in pairs for label in pair}
    drawn: dict[str, Example] = {}  # by id
    rounds = [pair for pair in pairs if rows[pair[0]] and rows[pair[1]]]
    for _ in range(count):  # each round gives every pair another couple
        for one, other in rounds:
            couple = _couple(rows[one], rows[other], drawn, rng)
            if couple and len(drawn) + len(couple) <= count:
                drawn |= {e.id: e for e in couple}
        if len(drawn) >= count - 1 or not rounds:
            break
    return tuple(map(shot, drawn.values()))


def _couple(
    ones: Sequence[Example], others: Sequence[Example], drawn: dict[str, Example], rng: random.Random
) -> list[Example]:
    free = [e for e in ones if e.id not in drawn]
    open_ = [e for e in others if e.id not in drawn]
    if not free or not open_:
        return []
    first = rng.choice(free)
    place = Index([e.text for e in open_]).nearest(first.text, 1)
    return [first, open_[place[0]]] if place else []


def ordered(shots: Sequence[Shot], order: Order) -> tuple[Shot, ...]:
    """The shots in another order: as drawn, the other way round, the shortest first, or grouped by answer."""
    if order == "reversed":
        return tuple(shots[::-1])
    if order == "short_first":
        return tuple(sorted(shots, key=lambda s: len(s.text)))
    if order == "grouped":
        return tuple(sorted(shots, key=lambda s: s.answer))
    return tuple(shots)


def shot(example: Example) -> Shot:
    """A row as a worked example."""
    several = tuple(example.input.items()) if len(example.input) > 1 else ()
    return Shot(example.text, example.target, several, example.turns)
