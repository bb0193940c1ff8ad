"""How sure a cheap way is, calibrated, and below which confidence a dear one should answer instead. Pure arithmetic.

**Calibration.** The probability that an answer is right is a logistic function of the log-odds of its label (Platt
1999; top-label calibration: Gupta & Ramdas 2022, arXiv 2107.08353), fitted to the dev rows. Slope and intercept are
drawn a little towards 1 and 0, the model's own word, as forty rows cannot tell them alone. Where dev rows are few,
training rows count as well, each answered by a cheap way that was trained without it. How often the dear way is right
is the same kind of function of the cheap way's log-odds, by dev rows alone.

**Threshold.** Keeping the cheap answers to the rows on which it is surest changes the score, in the mean over all rows,
by the sum of (chance that the cheap answer is right − chance that the dear one is). Its standard error comes from a
bootstrap over rows, or groups of rows. From the surest row on, rows are kept as long as this change, less `care`
standard errors, is above −margin; the first row at which it is not ends it, so that no threshold further down is taken
for being lucky (fixed-sequence testing, as in Angelopoulos et al. 2021, arXiv 2110.01052). On drawn answers
with one standard error of care the score is lower than the margin allows in a sixth to two fifths of draws of 40 dev
rows, and in a sixth to a third of 200; in the mean it stays about within it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whichway.prompts.deferral import LIMIT, sigmoid

FloatArray = NDArray[np.float64]
Prior = tuple[tuple[float, float], tuple[float, float]]  # means and precisions of slope and intercept

RESAMPLES = 200
# slope and intercept to which a regression is drawn, and how much: one over their variances
OWN_WORD = ((1.0, 0.0), (1.0, 0.25))  # of the calibration: the model's own probability
HARDLY = ((0.0, 0.0), (0.1, 0.02))  # of the dear way: a strong pull would make it seem worse where it is always right
STEPS, ENOUGH = 25, 1e-7  # of Newton's method, which ends when a step is smaller
BINS = 10


@dataclass(frozen=True, slots=True)
class DevAnswers:
    """The answers of a cheap and a dear way to the same rows.

    Attributes:
        log_odds: (n,) of the cheap way's label.
        cheap: (n,) its scores, 0 to 1.
        dear: (n,) those of the dear way.
        cheap_usd: price of an answer of the cheap way.
        dear_usd: of the dear way.
        groups: (n,) rows with equal numbers are not independent.
        more_log_odds: (m,) of the cheap way's label on training rows, by trainings without them.
        more_cheap: (m,) the scores of those answers.
    """

    log_odds: FloatArray
    cheap: FloatArray
    dear: FloatArray
    cheap_usd: float
    dear_usd: float
    groups: NDArray[np.int64]
    more_log_odds: FloatArray = field(default_factory=lambda: np.zeros(0))
    more_cheap: FloatArray = field(default_factory=lambda: np.zeros(0))

    def rows(self, chosen: NDArray[Any]) -> DevAnswers:
        """Some of the rows, and all training rows."""
        return replace(
            self,
            log_odds=self.log_odds[chosen],
            cheap=self.cheap[chosen],
            dear=self.dear[chosen],
            groups=self.groups[chosen],
        )

    @property
    def calibration(self) -> tuple[float, float]:
        """Slope, 0 or more, and intercept of the confidence, to six digits."""
        odds, scores = self.of_cheap
        slope, intercept = logistic(odds, scores, np.ones((1, len(scores))), OWN_WORD)[0]
        return round(float(slope), 6), round(float(intercept), 6)

    @property
    def of_cheap(self) -> tuple[FloatArray, FloatArray]:
        """Log-odds and scores of the cheap way's answers to dev and training rows."""
        return np.concatenate([self.log_odds, self.more_log_odds]), np.concatenate([self.cheap, self.more_cheap])


@dataclass(frozen=True, slots=True)
class DeferralRule:
    """A calibration and a threshold: the numbers of a `Deferral`.

    Attributes:
        slope: of the log-odds.
        intercept: added to them.
        least: confidence from which on the cheap answer stands.
        deferred: share of the dev rows below it.
        usd: price of an answer, in the mean over the dev rows.
    """

    slope: float
    intercept: float
    least: float
    deferred: float
    usd: float


def fit(answers: DevAnswers, margin: float, care: float) -> DeferralRule:
    """The cheapest rule that stays within the margin of the dear way.

    Args:
        answers: at least two rows.
        margin: by which the score may be lower.
        care: standard errors that are taken off before that is believed.
    """
    slope, intercept = answers.calibration
    order = np.argsort(-answers.log_odds, kind="stable")
    surest = answers.rows(order)
    count = _kept(surest, margin, care)
    rows = len(order)
    if count == 0:
        least = 1.0
    elif count == rows:
        least = 0.0
    else:
        between = 0.5 * (surest.log_odds[count - 1] + surest.log_odds[count])
        least = round(sigmoid(float(slope * between + intercept)), 6)
    share = 1 - count / rows
    return DeferralRule(slope, intercept, least, share, answers.cheap_usd + share * answers.dear_usd)


def confidence(log_odds: FloatArray, slope: float, intercept: float) -> FloatArray:
    """(n,) the calibrated probability that each answer is right; see `prompts.deferral.confidence`."""
    return _sigmoid(slope * log_odds + intercept)


def logistic(x: FloatArray, scores: FloatArray, weights: FloatArray, prior: Prior) -> FloatArray:
    """Logistic regressions of scores on x, one for each weighting of the rows, by Newton's method.

    Args:
        x: (n,).
        scores: (n,) from 0 to 1.
        weights: (B, n) how often each row counts.
        prior: slope and intercept to which they are drawn, and how much each.

    Returns:
        (B, 2) slope, 0 or more, and intercept.
    """
    goal, pull = np.array(prior[0]), np.array(prior[1])
    features = np.stack([x, np.ones_like(x)], axis=1)  # (n, 2)
    products = (features[:, :, None] * features[:, None, :]).reshape(-1, 4)
    numbers = np.tile(goal, (len(weights), 1))  # (B, 2)
    for _ in range(STEPS):
        chances = _sigmoid(numbers @ features.T)  # (B, n)
        slopes = (weights * (scores - chances)) @ features - pull * (numbers - goal)
        spread = weights * np.maximum(chances * (1 - chances), 1e-6)
        curvature = (spread @ products).reshape(-1, 2, 2) + np.diag(pull)
        step = np.linalg.solve(curvature, slopes[:, :, None])[:, :, 0]
        numbers = numbers + np.clip(step, -2.0, 2.0)
        flat = numbers[:, 0] <= 0  # surer is never worse: the slope ends at 0, and the intercept moves alone
        numbers[flat, 0] = 0.0
        alone = slopes[flat, 1] / curvature[flat, 1, 1]
        numbers[flat, 1] = numbers[flat, 1] - np.clip(step[flat, 1], -2.0, 2.0) + np.clip(alone, -2.0, 2.0)
        if np.abs(np.where(flat[:, None], 0.0, step)).max() < ENOUGH and np.abs(alone).max(initial=0.0) < ENOUGH:
            break
    return numbers


def _kept(surest: DevAnswers, margin: float, care: float) -> int:
    """How many of the rows, the surest first, keep their cheap answers."""
    more = len(surest.more_cheap)
    one = _changes(surest, np.ones((1, len(surest.cheap))), np.ones((1, more)))[0]
    several = _changes(surest, _resampled(surest.groups), _resampled(np.arange(more), seed=1))
    good = one - care * several.std(axis=0) >= -margin - 1e-12
    count = len(good) if good.all() else int(np.argmin(good))
    while 0 < count < len(good) and surest.log_odds[count - 1] == surest.log_odds[count]:
        count -= 1  # rows that are equally sure are kept or deferred together
    return count


def _changes(surest: DevAnswers, weights: FloatArray, more: FloatArray) -> FloatArray:
    """(B, n) how keeping so many rows changes the score.

    Args:
        surest: the surest row first.
        weights: (B, n) how often each dev row counts.
        more: (B, m) and each training row.
    """
    rows = len(surest.cheap)
    features = np.stack([surest.log_odds, np.ones(rows)])
    cheap = _sigmoid(logistic(*surest.of_cheap, np.concatenate([weights, more], axis=1), OWN_WORD) @ features)
    dear = _sigmoid(logistic(surest.log_odds, surest.dear, weights, HARDLY) @ features)
    changes: FloatArray = np.cumsum(cheap - dear, axis=1) / rows
    return changes


def _resampled(groups: NDArray[np.int64], seed: int = 0) -> FloatArray:
    """(B, n) how often each row counts in each bootstrap resample; groups of rows count together."""
    if not len(groups):
        return np.zeros((RESAMPLES, 0))
    numbers = np.unique(groups, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return draws[:, numbers].astype(np.float64)


def parts_of(groups: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(n,) to which of some parts each row belongs; groups stay whole, and parts are about equal."""
    numbers = np.unique(groups, return_inverse=True)[1]
    return numbers % max(2, min(count, int(numbers.max()) + 1))


def calibration_error(confidences: Sequence[float] | FloatArray, scores: Sequence[float] | FloatArray) -> float:
    """The expected calibration error: mean distance of confidence and score in ten bins of equally many rows.

    Equal counts instead of equal widths: Nixon et al. 2019, arXiv 1904.01685. With n rows it is about
    `0.8 · sqrt(10 p (1 − p) / n)` even where the calibration is perfect.
    """
    order = np.argsort(np.asarray(confidences), kind="stable")
    sure, right = np.asarray(confidences)[order], np.asarray(scores)[order]
    bins = np.array_split(np.arange(len(order)), min(BINS, len(order)))
    return float(sum(abs(sure[b].mean() - right[b].mean()) * len(b) for b in bins) / len(order))


def _sigmoid(x: Any) -> FloatArray:
    clipped = np.clip(x, -LIMIT, LIMIT)
    chances: FloatArray = 1 / (1 + np.exp(-clipped))
    return chances
