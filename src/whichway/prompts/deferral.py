"""How sure an answer is, and who answers where it is not sure enough: what makes a cascade of two candidates.

The bench, `predict` and the server all decide here, so that they decide the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from whichway.nouns import Candidate, Deferral, Reply

R = TypeVar("R")
LIMIT = 30.0  # log-odds; beyond it all is the same
CERTAIN = 1 - 1e-9  # no answer is surer, so that with `least` 1 none stands


def log_odds(scores: Mapping[str, float]) -> float | None:
    """Log-odds of the likeliest label among all of them, from -30 to 30; None where there are no scores.

    Args:
        scores: label -> log-probability; a constant that all share plays no part.
    """
    if not scores:
        return None
    top, *others = sorted(scores.values(), reverse=True)
    rest = math.fsum(math.exp(score - top) for score in others)
    return max(-LIMIT, min(LIMIT, -math.log(rest))) if rest > 0 else LIMIT


def confidence(reply: Reply, deferral: Deferral) -> float:
    """The calibrated probability that an answer is right; 0 where there is none, or no scores of labels."""
    odds = None if reply.unread or reply.finish == "error" else log_odds(reply.scores)
    if odds is None:
        return 0.0
    return min(CERTAIN, sigmoid(deferral.slope * odds + deferral.intercept))


def sigmoid(x: float) -> float:
    """The probability with these log-odds."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def deferred(deferral: Deferral, replies: Sequence[Reply]) -> list[int]:
    """Places of the replies that do not stand: they are less sure than the deferral wants."""
    return [place for place, reply in enumerate(replies) if confidence(reply, deferral) < deferral.least]


def after(first: Reply, second: Reply) -> Reply:
    """The second stage's reply with what both took."""
    several = (first, second)
    return replace(
        second,
        tokens_in=sum(reply.tokens_in for reply in several),
        tokens_cached=sum(reply.tokens_cached for reply in several),
        tokens_out=sum(reply.tokens_out for reply in several),
        seconds=sum(reply.seconds for reply in several),
        wall=None if all(reply.wall is None for reply in several) else sum(map(_by_clock, several)),
        stages=(first, *(second.stages or (second,))),
    )


def _by_clock(reply: Reply) -> float:
    return reply.seconds if reply.wall is None else reply.wall


def in_stages(
    candidate: Candidate, rows: Sequence[R], answer: Callable[[Candidate, Sequence[R]], Sequence[Reply]]
) -> list[Reply]:
    """Answers of a candidate to rows, where those that are not sure are the next stage's.

    Args:
        candidate: whose answers.
        rows: the rows.
        answer: gives the answers of one stage to some rows, in their order.
    """
    replies = list(answer(replace(candidate, deferral=None) if candidate.deferral else candidate, rows))
    if candidate.deferral is not None:
        places = deferred(candidate.deferral, replies)
        others = in_stages(candidate.deferral.to, [rows[place] for place in places], answer) if places else []
        for place, other in zip(places, others, strict=True):
            replies[place] = after(replies[place], other)
    return replies
