"""Learning curves: how many labels is a prompt worth, and from where on does fine-tuning overtake it?

Runs of each way over growing, nested training sets and seeds. A curve's interval comes from a seed × row bootstrap:
rows are drawn once for all ways and sizes (they are paired), seed noise enters as Student multipliers of the seeds'
deviations (drawing 3 seeds from 3 would shrink their variance to two thirds). Seed variance is averaged over a size and
its two neighbours, and what row noise gives to it is taken off: the drawn rows hold that already.

The crossover is the set of sizes at which neither way is shown ahead (test inversion, as in Fieller's interval): it
holds the truth as often as each pointwise interval does. Between sizes scores are interpolated in log n. The data
advantage follows Le Scao & Rush 2021 (arXiv 2103.08493): the mean over levels of score y of n_second(y) − n_first(y)
on the window that both curves reach, interpolated in n; `aggregate="max"` takes their accumulated maximum over runs
and sizes.

Nothing is said beyond twice the largest size: on 16 published curves a power law fitted on a quarter of the data missed
the end by 9.8 points on average, no better than repeating the last value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from whichway.findings import Curve, CurvePoint
from whichway.verdict import stats
from whichway.verdict.explain.numbers import clean
from whichway.verdict.stats import FloatArray

Aggregate = Literal["mean", "max"]
RESAMPLES = 2000
LEVEL = 0.02  # gain over two doublings below which a curve that is not shown to rise is a plateau
WINDOW = 3  # sizes over which seed variance is averaged
REACH = 2.0  # times the largest size: no word beyond


@dataclass(frozen=True, slots=True)
class CurveRun:
    """One training (or search) of a way on n rows with a seed, and its score; with the rows' own scores where known."""

    way: str
    seed: int
    n: int
    score: float
    rows: tuple[tuple[str, float], ...] = ()  # (example id, score)


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """All runs of one way as arrays."""

    way: str
    sizes: FloatArray  # (k,) ascending
    scores: FloatArray  # (S, k); NaN where a seed was not run
    rows: FloatArray | None  # (S, k, n) scores of the shared rows

    @property
    def flat(self) -> bool:
        """A way that takes no training rows: its one score holds at every size."""
        return len(self.sizes) == 1 and self.sizes[0] == 0


class Curves:
    """Learning curves of several ways, their intervals and bootstrap replicates.

    Args:
        runs: of all ways.
        aggregate: mean over seeds, or the accumulated maximum over runs and sizes.
        confidence: of intervals.
        resamples: of the bootstrap.
    """

    def __init__(
        self,
        runs: Sequence[CurveRun],
        aggregate: Aggregate = "mean",
        confidence: float = 0.95,
        resamples: int = RESAMPLES,
    ) -> None:
        self.aggregate, self.confidence, self.resamples = aggregate, confidence, resamples
        self.families = families(runs)
        self.ends = ((1 - confidence) / 2, (1 + confidence) / 2)

    @cached_property
    def replicates(self) -> Mapping[str, FloatArray]:
        """Way -> (B, k) bootstrap replicates of its curve; the drawn rows are the same for all ways."""
        rng = np.random.default_rng(23)
        with_rows = [f for f in self.families.values() if f.rows is not None]
        weights = None
        if with_rows and with_rows[0].rows is not None and with_rows[0].rows.shape[2] > 1:
            blocks = list(stats.row_weights(with_rows[0].rows.shape[2], resamples=self.resamples, seed=23))
            weights = np.concatenate(blocks)
            weights /= weights.sum(axis=1, keepdims=True)
        return {way: self.drawn(family, weights, rng) for way, family in self.families.items()}

    def drawn(self, family: Family, weights: FloatArray | None, rng: np.random.Generator) -> FloatArray:
        """(B, k) replicates of one way."""
        if family.rows is None or weights is None:
            values = np.broadcast_to(family.scores, (self.resamples, *family.scores.shape))
        else:
            values = np.moveaxis(np.tensordot(family.rows, weights, axes=(2, 1)), 2, 0)  # (B, S, k)
            values = values + (family.scores - family.rows.mean(axis=2))  # a score that is no mean keeps its level
        if self.aggregate == "max":
            chosen = rng.integers(0, values.shape[1], size=values.shape[:2])
            return running(np.nanmax(np.take_along_axis(values, chosen[:, :, None], axis=1), axis=1))
        means: FloatArray = np.nanmean(values, axis=1) + seed_noise(family, self.resamples, rng)
        return means

    def centre(self, way: str) -> FloatArray:
        """(k,) the curve."""
        scores = self.families[way].scores
        return running(np.nanmax(scores, axis=0)) if self.aggregate == "max" else np.nanmean(scores, axis=0)

    def known(self, way: str) -> bool:
        """Whether there is any noise to show: rows, or at least two seeds."""
        family = self.families[way]
        return family.rows is not None or len(family.scores) > 1

    def curve(self, way: str) -> Curve:
        """The curve as a finding."""
        family, centre = self.families[way], self.centre(way)
        low, high = np.quantile(self.replicates[way], self.ends, axis=0)
        sure = self.known(way)
        points = tuple(
            CurvePoint(
                n=int(n),
                score=clean(centre[i]) or 0.0,
                low=clean(min(low[i], centre[i])) if sure else None,
                high=clean(max(high[i], centre[i])) if sure else None,
                seeds=int(np.isfinite(family.scores[:, i]).sum()),
            )
            for i, n in enumerate(family.sizes)
        )
        gain, gain_low, gain_high = self.gain(way)
        plateau = gain is not None and gain_low is not None and gain_low <= 0 and gain < LEVEL
        return Curve(way, points, plateau, clean(gain), clean(gain_low), clean(gain_high))

    def gain(self, way: str) -> tuple[float | None, float | None, float | None]:
        """What the last two doublings of the training set brought (or all sizes there are), with its interval."""
        sizes = self.families[way].sizes
        if len(sizes) < 2:
            return None, None, None
        at = np.array([max(sizes[-1] / 4, sizes[0]), sizes[-1]])
        values = self.at(way, at)
        found = float(values[1] - values[0])
        if not self.known(way):
            return found, None, None
        drawn = self.drawn_at(way, at)
        low, high = np.quantile(drawn[:, 1] - drawn[:, 0], self.ends)
        return found, float(low), float(high)

    def at(self, way: str, n: FloatArray) -> FloatArray:
        """The curve at any measured size or between two, interpolated in log n; a flat way is the same everywhere."""
        found: FloatArray = between(self.families[way], self.centre(way)[None, :], n)[0]
        return found

    def drawn_at(self, way: str, n: FloatArray) -> FloatArray:
        """(B, len(n)) replicates at sizes."""
        return between(self.families[way], self.replicates[way], n)

    def expect(self, way: str, n: float) -> tuple[float, float, float]:
        """What to expect after n rows: the curve, or up to twice the largest size its last value or better.

        Returns:
            (value, low, high); beyond the largest size `high` grows by the upper end of the last two doublings' gain.

        Raises:
            ValueError: n is below the smallest size, or beyond twice the largest.
        """
        family = self.families[way]
        smallest, largest = float(family.sizes[0]), float(family.sizes[-1])
        if not family.flat and not smallest <= n <= REACH * largest:
            raise ValueError(
                f"{way} was measured from {smallest:g} to {largest:g} rows; nothing is said about {n:g}: "
                f"extrapolation beyond {REACH * largest:g} is no better than a guess. Measure it."
            )
        where = np.array([min(n, largest)])
        value = float(self.at(way, where)[0])
        low, high = np.quantile(self.drawn_at(way, where)[:, 0], self.ends)
        more = (self.gain(way)[2] or 0.0) / 2 * np.log2(max(1.0, n / largest)) if largest > 0 else 0.0
        return value, float(low), float(high + max(0.0, more))


def families(runs: Sequence[CurveRun]) -> dict[str, Family]:
    """Runs by way as arrays; row scores are kept where every run has the same rows."""
    first = runs[0].rows if runs else ()
    ids = tuple(key for key, _ in first)
    paired = bool(ids) and all(tuple(key for key, _ in run.rows) == ids for run in runs)
    found = {}
    for way in sorted({run.way for run in runs}):
        mine = [run for run in runs if run.way == way]
        sizes, seeds = sorted({run.n for run in mine}), sorted({run.seed for run in mine})
        scores = np.full((len(seeds), len(sizes)), np.nan)
        rows = np.zeros((len(seeds), len(sizes), len(ids))) if paired else None
        for run in mine:
            place = seeds.index(run.seed), sizes.index(run.n)
            scores[place] = run.score
            if rows is not None:
                rows[place] = [score for _, score in run.rows]
        if rows is not None and np.isnan(scores).any():
            rows = None  # a seed that skipped a size: seeds alone carry the noise
        found[way] = Family(way, np.array(sizes, dtype=np.float64), scores, rows)
    return found


def seed_noise(family: Family, resamples: int, rng: np.random.Generator) -> FloatArray | float:
    """(B, k) noise that the seeds give to the mean over seeds: Student multipliers of their deviations; 0 with one."""
    here = np.isfinite(family.scores)
    seeds = here.sum(axis=0)  # (k,)
    fewest = int(seeds.min())
    if fewest < 2:
        return 0.0
    deviations = np.where(here, family.scores - np.nanmean(family.scores, axis=0), 0.0)
    variance = (deviations**2).sum(axis=0) / (seeds - 1)
    left = np.zeros(len(seeds))
    if family.rows is not None:
        n = family.rows.shape[2]
        left = np.array([(stats.seed_residual(family.rows[:, k]) or 0.0) / n for k in range(len(seeds))])
    wanted = np.maximum(0.0, neighbours(variance) - neighbours(left))
    factor = np.sqrt(np.divide(wanted, variance, out=np.zeros_like(variance), where=variance > 0))
    df = (fewest - 1) * min(WINDOW, len(seeds))
    student = np.sqrt(df / rng.chisquare(df, size=resamples))
    drawn = rng.normal(size=(resamples, len(deviations))) @ deviations
    found: FloatArray = drawn * (factor / np.sqrt(seeds * (seeds - 1)))[None, :] * student[:, None]
    return found


def neighbours(x: FloatArray) -> FloatArray:
    """Each value averaged with the one before and the one after it."""
    padded = np.concatenate([x[:1], x, x[-1:]]) if len(x) > 1 else x
    found: FloatArray = np.convolve(padded, np.full(WINDOW, 1 / WINDOW), mode="valid") if len(x) > 1 else x
    return found


def running(x: FloatArray) -> FloatArray:
    """The accumulated maximum over sizes (the last axis)."""
    found: FloatArray = np.maximum.accumulate(x, axis=-1)
    return found


def between(family: Family, curves: FloatArray, n: FloatArray) -> FloatArray:
    """(B, len(n)) curves (B, k) read at sizes, interpolated in log n, the ends repeated outside."""
    found: FloatArray
    if len(family.sizes) == 1:
        found = np.repeat(curves, len(n), axis=1)
        return found
    places = np.log(np.maximum(family.sizes, 0.5))
    at = np.clip(np.log(np.maximum(n, 0.5)), places[0], places[-1])
    right = np.clip(np.searchsorted(places, at), 1, len(places) - 1)
    share = (at - places[right - 1]) / (places[right] - places[right - 1])
    found = curves[:, right - 1] * (1 - share) + curves[:, right] * share
    return found
