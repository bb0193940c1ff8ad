"""Intervals of a paired difference of two 0/1 runs at 20 to 200 rows: exact coverage and mean length.

With b rows that only the second way has right and c that only the first has, (b, c) is multinomial, so that coverage is
summed over all outcomes and not simulated. Worlds are sparse (few rows differ), one-sided (only one way ever wins) and
ordinary. Intervals, all 95 %:

- `t`: the t interval with one more discordant row in its variance;
- `score`: Tango's score interval (Tango 1998, Statistics in Medicine 17:891);
- `bayes`: quantiles of the difference of two cells under a Dirichlet posterior, prior 1/2 for each of (b, c, the rest).

    python benchmarks/simulate_small_n.py --out benchmarks/results/simulate_small_n.md

The table is a pure function of the script. A minute on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from scipy import stats as distributions
from table_writer import write_table

from whichway.verdict import stats

ROWS = (20, 35, 50, 75, 100, 200)
WORLDS = {  # chance of a row that only the second, only the first has right
    "sparse": ((0.005, 0.005), (0.01, 0.01), (0.02, 0.01), (0.02, 0.02), (0.04, 0.01)),
    "one-sided": ((0.01, 0.0), (0.03, 0.0), (0.05, 0.0), (0.1, 0.0), (0.2, 0.0), (0.4, 0.0)),
    "ordinary": ((0.05, 0.05), (0.1, 0.05), (0.12, 0.12), (0.2, 0.1), (0.3, 0.1), (0.25, 0.25), (0.4, 0.2)),
}
DRAWS = 4000
LIKELY = 1e-6  # outcomes that are rarer than this are left out
Ends = tuple[float, float]


@cache
def plain(b: int, c: int, n: int) -> Ends:
    """The t interval."""
    value = (b - c) / n
    variance = ((b + c) / n - value**2) / (n - 1)
    variance = 1 / n**2 if variance <= 0 else variance + 1 / n**2
    found = stats.estimate(value, variance**0.5, n - 1, 0.95)
    return max(-1.0, found.low), min(1.0, found.high)


@cache
def score(b: int, c: int, n: int) -> Ends:
    """Tango's."""
    return stats.tango(b, c, n)


@cache
def bayes(b: int, c: int, n: int) -> Ends:
    """The Dirichlet posterior's."""
    rng = np.random.default_rng(0)
    cells = rng.gamma(np.array([b + 0.5, c + 0.5, n - b - c + 0.5])[:, None], size=(3, DRAWS))
    low, high = np.quantile((cells[0] - cells[1]) / cells.sum(axis=0), (0.025, 0.975))
    return float(low), float(high)


def covered(interval: Callable[[int, int, int], Ends], n: int, p: float, q: float) -> tuple[float, float]:
    """Coverage and mean length, summed over all outcomes."""
    hit = length = total = 0.0
    for b in range(n + 1):
        first = float(distributions.binom.pmf(b, n, p))
        if first < LIKELY:
            continue
        rest = distributions.binom.pmf(np.arange(n - b + 1), n - b, q / (1 - p))
        for c in np.flatnonzero(first * rest > LIKELY).tolist():
            low, high = interval(b, c, n)
            weight = first * float(rest[c])
            hit += weight * (low - 1e-9 <= p - q <= high + 1e-9)
            length += weight * (high - low)
            total += weight
    return hit / total, length / total


def report() -> Iterator[str]:
    """The table."""
    intervals = {"t": plain, "score": score, "bayes": bayes}
    yield "# Paired 0/1 differences at few rows: coverage of 95 % intervals, and mean length in points\n"
    yield (__doc__ or "").split("\n\n")[1].replace("\n", " ") + "\n"
    yield "| rows | worlds | " + " | ".join(f"{name}: least, mean coverage; length" for name in intervals) + " |"
    yield "|---|---|" + "---|" * len(intervals)
    least = dict.fromkeys(intervals, 1.0)
    for n in ROWS:
        for kind, worlds in WORLDS.items():
            cells = []
            for name, interval in intervals.items():
                found = np.array([covered(interval, n, p, q) for p, q in worlds])
                least[name] = min(least[name], float(found[:, 0].min()))
                cells.append(f"{found[:, 0].min():.1%}, {found[:, 0].mean():.1%}; {100 * found[:, 1].mean():.1f}")
            yield f"| {n} | {kind} | " + " | ".join(cells) + " |"
    yield "| all | least | " + " | ".join(f"{least[name]:.1%}" for name in intervals) + " |"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    write_table(report(), given.out)


if __name__ == "__main__":
    main()
