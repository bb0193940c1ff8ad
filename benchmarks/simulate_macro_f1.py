"""Intervals of macro-F1 at 20 to 200 rows: of one way's score, and of the paired difference of two.

Two ways answer the same rows (as in `simulate_aggregates.py`; the second is right on ten points fewer), 2 to 12 labels,
even or uneven. The truth is macro-F1 on 200,000 rows. Compared, all 95 %, with 600 resamples where rows are resampled:

- `bootstrap`: the spread of a bootstrap, then t on the log-odds for a score (Wilson near 1), t for a difference;
- `percentile`, `BCa` (Efron 1987): quantiles of the bootstrap;
- `bootstrap-t` (Efron & Tibshirani 1993, chapter 12): the studentised bootstrap, on the log-odds for a score;
- `delta`: the standard error from the influence of each row, then as `bootstrap`;
- `jackknife`: the same from the values without each row;
- `added`: the jackknife, and half a wrong row for each label whose rows are all right (on whose rows the ways agree);
- `Bayes`: quantiles under Dirichlet weights of the rows (Rubin 1981);
- `Dirichlet`: the same with one prior row for each label, half of it right.

    python benchmarks/simulate_macro_f1.py --worlds 120 --out benchmarks/results/simulate_macro_f1.md

The table is a pure function of the arguments. Two minutes on one core at 120.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from scipy import special
from simulate_aggregates import world
from table_writer import write_table

from whichway.verdict import stats
from whichway.verdict.stats import FloatArray, IntArray

ROWS = (20, 50, 100, 200)
SHARES = ((2, 0.5), (2, 0.15), (4, 0.25), (4, 0.7), (12, 1 / 12), (12, 0.5))  # labels, share of the first
RIGHT = (0.65, 0.8, 0.95)
RESAMPLES = 600
METHODS = ("bootstrap", "percentile", "BCa", "bootstrap-t", "delta", "jackknife", "added", "Bayes", "Dirichlet")
Ends = tuple[float, float]


class Way:
    """A way's answers as cells: macro-F1 and the influence of one more row of each cell, for many weightings at once.

    Args:
        targets: (U,) of each cell.
        answers: (U,) of each cell.
        labels: how many there are.
    """

    def __init__(self, targets: IntArray, answers: IntArray, labels: int) -> None:
        codes = np.arange(labels)
        wanted, answered = (np.equal.outer(x, codes).astype(float) for x in (targets, answers))
        self.right, self.seen = wanted * answered, wanted + answered

    def score(self, counts: FloatArray) -> FloatArray:
        """(B,) macro-F1 over weightings (B, U) of the cells."""
        f1, _, present = self._parts(counts)
        value: FloatArray = f1.sum(axis=1) / present
        return value

    def influence(self, counts: FloatArray) -> FloatArray:
        """(B, U) the derivative of the score by the weight of each cell."""
        f1, seen, present = self._parts(counts)
        share = np.divide(1.0, seen * present[:, None], out=np.zeros_like(seen), where=seen > 0)
        slope: FloatArray = 2 * share @ self.right.T - (share * f1) @ self.seen.T
        return slope

    def _parts(self, counts: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        right, seen = counts @ self.right, counts @ self.seen
        f1 = np.divide(2 * right, seen, out=np.zeros_like(right), where=seen > 0)
        return f1, seen, np.maximum((seen > 0).sum(axis=1), 1).astype(float)


class Sample:
    """One drawn test of two ways: what every interval is made of."""

    def __init__(self, targets: IntArray, answers: list[IntArray], labels: int, rng: np.random.Generator) -> None:
        rows = np.stack([targets, *answers], axis=1)
        cells, counts = np.unique(rows, axis=0, return_counts=True)
        self.n, self.labels, self.cells = len(rows), labels, cells
        self.counts = counts.astype(float)[None]
        self.ways = [Way(cells[:, 0], cells[:, k], labels) for k in (1, 2)]
        self.drawn = rng.multinomial(self.n, counts / self.n, size=RESAMPLES).astype(float)
        self.bayes = rng.gamma(np.broadcast_to(counts, (RESAMPLES, len(counts))))
        self.prior = prior_cells(labels)
        self.prior_ways = [Way(np.r_[cells[:, 0], self.prior[:, 0]], np.r_[cells[:, k], self.prior[:, k]], labels)
                           for k in (1, 2)]  # fmt: skip
        mass = np.r_[counts.astype(float), self.prior_mass(cells[:, 0])]
        self.dirichlet = rng.gamma(np.broadcast_to(mass, (RESAMPLES, len(mass))))

    def prior_mass(self, targets: IntArray) -> FloatArray:
        """Of each prior cell; none of labels that no row has."""
        there = np.isin(self.prior[:, 0], targets)
        mass: FloatArray = there * (1.0 / np.bincount(self.prior[:, 0])[self.prior[:, 0]])
        return np.maximum(mass, 1e-9)

    def value(self, ways: list[Way], counts: FloatArray, paired: bool) -> FloatArray:
        """The first way's score, or the second's less the first's."""
        first = ways[0].score(counts)
        return ways[1].score(counts) - first if paired else first

    def error(self, counts: FloatArray, paired: bool) -> FloatArray:
        """(B,) standard errors by the delta method."""
        slope = self.ways[0].influence(counts)
        slope = self.ways[1].influence(counts) - slope if paired else slope
        centred = slope - (slope * counts).sum(axis=1, keepdims=True) / self.n
        error: FloatArray = np.sqrt((counts * centred**2).sum(axis=1) * self.n / (self.n - 1))
        return error

    def left_out(self, paired: bool) -> FloatArray:
        """(U,) values without one row of each cell."""
        counts = self.counts - np.eye(self.counts.shape[1])
        return self.value(self.ways, counts, paired)

    def unseen(self, paired: bool) -> float:
        """The standard error that half a wrong row adds for each label that has shown none (or no disagreement)."""
        cells, counts = self.cells, self.counts[0]
        whole, added = self.ways[0].score(self.counts)[0], 0.0
        for label in np.unique(cells[:, 0]):
            own = cells[:, 0] == label
            quiet = cells[own, 1] == (cells[own, 2] if paired else label)
            if not quiet.all():
                continue
            moved = np.array([[label, (label + 1) % self.labels]])
            table = np.concatenate([cells[:, :2], moved])
            weights = np.r_[counts * np.where(own, 1 - 1 / counts[own].sum(), 1.0), 1.0]
            added += 0.5 * float(Way(table[:, 0], table[:, 1], self.labels).score(weights[None])[0] - whole) ** 2
        return math.sqrt(added)


def prior_cells(labels: int) -> IntArray:
    """For each label, cells in which both, one or no way is right; a wrong answer is the next label."""
    cells = [(t, a, b) for t in range(labels) for a in (t, (t + 1) % labels) for b in (t, (t + 1) % labels)]
    return np.array(cells, dtype=np.int64)


def ends_of(value: float, error: float, rows: int, paired: bool) -> Ends:
    """As the verdict makes an interval of a standard error."""
    if paired:
        half = stats.t_value(0.95, rows - 1) * (error or 1 / rows)
        return value - half, value + half
    return stats.ranged_interval(value, error or 1 / rows, rows - 1, rows, 0.95, 0.0)


def quantiles(values: FloatArray, low: float = 0.025, high: float = 0.975) -> Ends:
    """Both ends."""
    ends = np.quantile(values[np.isfinite(values)], (low, high))
    return float(ends[0]), float(ends[1])


def bca(value: float, drawn: FloatArray, left: FloatArray, counts: FloatArray) -> Ends:
    """Bias-corrected and accelerated."""
    below = ((drawn < value).mean() + (drawn <= value).mean()) / 2
    shift = float(special.ndtri(min(max(below, 0.5 / len(drawn)), 1 - 0.5 / len(drawn))))
    gap = (left * counts).sum() / counts.sum() - left
    spread = (counts * gap**2).sum()
    speed = float((counts * gap**3).sum() / (6 * spread**1.5)) if spread > 0 else 0.0
    at = [special.ndtr(shift + (shift + z) / (1 - speed * (shift + z))) for z in (-1.96, 1.96)]
    return quantiles(drawn, *(float(np.clip(x, 0, 1)) for x in at))


def studentised(sample: Sample, value: float, drawn: FloatArray, paired: bool) -> Ends:
    """The bootstrap-t, on the log-odds for a score."""
    error, errors = sample.error(sample.counts, paired)[0], sample.error(sample.drawn, paired)
    fit = errors > 1e-9
    if error < 1e-9 or fit.mean() < 0.5:
        return ends_of(value, error, sample.n, paired)
    if paired:
        low, high = quantiles((drawn[fit] - value) / errors[fit])
        return value - high * error, value - low * error
    if not 0 < value < 1:
        return ends_of(value, error, sample.n, paired)
    inside = fit & (drawn > 0) & (drawn < 1)
    place, moved = special.logit(value), special.logit(drawn[inside])
    low, high = quantiles((moved - place) / (errors[inside] / (drawn[inside] * (1 - drawn[inside]))))
    scale = error / (value * (1 - value))
    return float(special.expit(place - high * scale)), float(special.expit(place - low * scale))


def intervals(sample: Sample, paired: bool) -> dict[str, Ends]:
    """All methods on one sample."""
    value = float(sample.value(sample.ways, sample.counts, paired)[0])
    drawn, n = sample.value(sample.ways, sample.drawn, paired), sample.n
    left, counts = sample.left_out(paired), sample.counts[0]
    mean = (left * counts).sum() / n
    jackknife = math.sqrt((n - 1) / n * (counts * (left - mean) ** 2).sum())
    return {
        "bootstrap": ends_of(value, float(drawn.std(ddof=1)), n, paired),
        "percentile": quantiles(drawn),
        "BCa": bca(value, drawn, left, counts),
        "bootstrap-t": studentised(sample, value, drawn, paired),
        "delta": ends_of(value, float(sample.error(sample.counts, paired)[0]), n, paired),
        "jackknife": ends_of(value, jackknife, n, paired),
        "added": ends_of(value, math.hypot(jackknife, sample.unseen(paired)), n, paired),
        "Bayes": quantiles(sample.value(sample.ways, sample.bayes, paired)),
        "Dirichlet": quantiles(sample.value(sample.prior_ways, sample.dirichlet, paired)),
    }


def answers_of(rng: np.random.Generator, rows: int, labels: int, share: float, right: float) -> tuple[IntArray, list]:
    """Targets, and both ways' answers."""
    targets, scores = world(rng, rows, labels, share, right)
    return targets, [one.argmax(axis=1) for one in scores]


def cover(labels: int, share: float, right: float, rows: int, worlds: int) -> FloatArray:
    """(2, methods, 2) coverage and mean length, of a score and of a difference."""
    targets, answers = answers_of(np.random.default_rng(1), 200_000, labels, share, right)
    whole = Sample(targets, answers, labels, np.random.default_rng(0))
    truth = [float(whole.value(whole.ways, whole.counts, paired)[0]) for paired in (False, True)]
    rng, sums = np.random.default_rng([2, labels, rows]), np.zeros((2, len(METHODS), 2))
    done = 0
    while done < worlds:
        targets, answers = answers_of(rng, rows, labels, share, right)
        if len(set(targets.tolist())) < 2:
            continue
        done += 1
        sample = Sample(targets, answers, labels, rng)
        for k, paired in enumerate((False, True)):
            for m, (low, high) in enumerate(intervals(sample, paired).values()):
                sums[k, m] += (low - 1e-9 <= truth[k] <= high + 1e-9, high - low)
    return sums / worlds


def report(worlds: int) -> Iterator[str]:
    """The tables."""
    yield "# Intervals of macro-F1 at few rows\n"
    yield (
        f"`python benchmarks/simulate_macro_f1.py --worlds {worlds}`: coverage of 95 % intervals in percent, known to "
        f"±{196 * math.sqrt(0.95 * 0.05 / worlds):.1f} points in each line.\n"
    )
    results = {
        key: cover(*key[1:], key[0], worlds)
        for key in ((n, labels, share, right) for n, (labels, share), right in product(ROWS, SHARES, RIGHT))
    }
    for k, what in enumerate(("one score", "paired difference")):
        yield f"## Coverage, {what}\n"
        yield "| rows | labels | share of the first | right | " + " | ".join(METHODS) + " |"
        yield "|---|---|---|---|" + "---|" * len(METHODS)
        for (n, labels, share, right), found in results.items():
            cells = " | ".join(f"{100 * x:.1f}" for x in found[k, :, 0])
            yield f"| {n} | {labels} | {share:.0%} | {right:.0%} | {cells} |"
        yield from summary(results, k)


def summary(results: dict[tuple[int, int, float, float], FloatArray], k: int) -> Iterator[str]:
    """Least and mean coverage, how far it is from 95 % on average, and mean length in points."""
    every = np.array([found[k] for found in results.values()])  # (settings, methods, 2)
    lines = {
        "least": every[:, :, 0].min(axis=0), "mean": every[:, :, 0].mean(axis=0),
        "off by": np.abs(every[:, :, 0] - 0.95).mean(axis=0), "length": every[:, :, 1].mean(axis=0),
    }  # fmt: skip
    for n in ROWS:
        some = np.array([found[k] for key, found in results.items() if key[0] == n])
        lines[f"least at {n} rows"] = some[:, :, 0].min(axis=0)
        lines[f"mean at {n} rows"] = some[:, :, 0].mean(axis=0)
    for name, values in lines.items():
        yield f"| **{name}** | | | | " + " | ".join(f"{100 * x:.1f}" for x in values) + " |"
    yield ""


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=120)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    write_table(report(options.worlds), options.out)


if __name__ == "__main__":
    main()
