"""What measuring more is worth: the expected gain in true score of the choice, for each thing that could be bought.

The knowledge gradient (Frazier, Powell & Dayanik 2008, SIAM J. Control Optim. 47:2410): a measurement moves the mean of
what is believed about a way by a normal amount with a standard deviation `s̃`, `s̃² = s² − s'²` (its variance before and
after), and is worth what it gains where it changes who is best: `s̃·(φ(z) − z·(1 − Φ(z)))`, z the distance to the best
other way divided by s̃. What is believed is the posterior of `posterior.py`. A way that was not measured is one whose
score has an error without bound: ways of its kind, and all ways, are what is known of it. The most frequent label and
zero-shot are no part of that: nothing that learns from the rows is meant to end at their scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from whichway.nouns import Kind, split_name
from whichway.verdict.posterior import sample
from whichway.verdict.stats import FloatArray

ZERO_SHOT = "prompt_plain"  # the plain prompt, that others must not end below
UNKNOWN = 25.0  # variance of the error of a score that nobody measured: far beyond any score
FLOORS = ("base_majority", ZERO_SHOT)  # ways that learn nothing from the rows
MIDDLE = 0.5  # score where nothing was measured at all
SEARCH_SD = 0.01  # how far a further search moves a way's true score: a point


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a way's score.

    Attributes:
        kind: of the way.
        score: None where it was not measured.
        error: the variance of its error.
        floor: the way learns nothing from the rows (`FLOORS`).
    """

    kind: Kind
    score: float | None = None
    error: float = UNKNOWN
    floor: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that can be bought: a measurement after which the error's variance is `error`, or a search (None)."""

    places: tuple[int, ...]  # of the ways that it measures
    errors: tuple[float, ...] | None = None


def is_floor(way: str) -> bool:
    """Whether a way learns nothing from the rows."""
    return split_name(way)[0] in FLOORS


def gains(known: Sequence[Known], offers: Sequence[Offer]) -> list[float]:
    """The expected gain of each offer, in units of the metric; of one that measures several ways, the largest of them.

    Args:
        known: of all ways, measured or not.
        offers: what can be bought.
    """
    if not known:
        return [0.0 for _ in offers]
    draws = believed(known)
    mean, variance = draws.mean(axis=0), draws.var(axis=0)
    return [max(_gain(known, offer, i, mean, variance) for i in range(len(offer.places))) for offer in offers]


def believed(known: Sequence[Known]) -> FloatArray:
    """Draws (DRAWS, K) of the ways' true scores."""
    seen = [way.score for way in known if way.score is not None]
    middle = sum(seen) / len(seen) if seen else MIDDLE
    scores = np.array([middle if way.score is None else way.score for way in known])
    errors = np.diag([UNKNOWN if way.score is None else max(way.error, 1e-8) for way in known])
    return drawn(scores, errors, [way.kind for way in known], np.array([way.floor for way in known]))


def drawn(seen: FloatArray, errors: FloatArray, kinds: Sequence[Kind], floors: npt.NDArray[np.bool_]) -> FloatArray:
    """Draws (DRAWS, K) of true scores; those of floors tell nothing of the others where two others were measured.

    Args:
        seen: (K,) observed scores; anything where the error is `UNKNOWN`.
        errors: (K, K) their covariance.
        kinds: of the ways.
        floors: (K,) which ways learn nothing from the rows.
    """
    draws = sample(seen, errors, kinds)
    measured = np.diag(errors) < UNKNOWN
    others = np.flatnonzero(~floors)
    if not floors.any() or (measured & ~floors).sum() < 2:
        return draws
    scores = np.where(measured, seen, seen[measured & ~floors].mean())
    draws[:, others] = sample(scores[others], errors[np.ix_(others, others)], [kinds[int(i)] for i in others])
    return draws


def _gain(known: Sequence[Known], offer: Offer, i: int, mean: FloatArray, variance: FloatArray) -> float:
    """The knowledge gradient of one way of an offer."""
    place = offer.places[i]
    if offer.errors is None:
        moved = SEARCH_SD
    else:
        now = UNKNOWN if known[place].score is None else max(known[place].error, 1e-8)
        without = max(1e-9, 1 / float(variance[place]) - 1 / now)  # precision of what is known but for its own score
        after = 1 / (without + 1 / max(offer.errors[i], 1e-8))
        moved = math.sqrt(max(0.0, float(variance[place]) - after))
    if moved == 0:
        return 0.0
    if len(known) == 1:
        return moved
    others = np.delete(mean, place)
    z = abs(float(mean[place] - others.max())) / moved
    normal = NormalDist()
    return moved * max(0.0, normal.pdf(z) - z * normal.cdf(-z))
