"""How long a verdict takes with few ways and with a hundred, on 250 test rows: processor seconds of one core.

Usage: python benchmarks/many_ways.py [--ways 6 25 100] [--out FILE]

Simulated ways of three kinds, which lie so close that nothing is decided: then the verdict says what would decide,
which takes longest. Ways with one seed, half of them with three, and in five folds, as a run of 250 rows has them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from table_writer import write_table

from whichway.nouns import Kind
from whichway.verdict import Arm, decide
from whichway.verdict.predictive import Predictive

ROWS, FOLDS, MARGIN = 250, 5, 0.01
KINDS: tuple[Kind, ...] = ("prompt", "fine-tune", "both")
DESIGNS = ("one seed", "three seeds", "five folds")


def contest(ways: int, design: str, number: int = 0) -> list[Arm]:
    """Ways whose true scores have a standard deviation of a point and a half; the rows are as hard for all."""
    rng = np.random.default_rng(number)
    hard, folds = rng.normal(size=ROWS), np.arange(ROWS) % FOLDS if design == "five folds" else None
    arms = []
    for k in range(ways):
        seeds = 3 if design == "three seeds" and k % 2 else 1
        level = 0.6 + 0.04 * rng.normal() + 0.05 * rng.normal(size=(seeds, 1))
        if folds is not None and k % 2:
            level = level + 0.05 * rng.normal(size=FOLDS)[folds]
        scores = (0.7 * hard + 0.7 * rng.normal(size=(seeds, ROWS)) < level).astype(float)
        names = tuple(f"{k}.{j}" for j in range(FOLDS if folds is not None else seeds))
        arms.append(
            Arm(way=f"way_{k:03}", kind=KINDS[k % 3], scores=scores, usd_total=1.0 + k, random=bool(k % 2),
                folds=folds, candidates=names)
        )  # fmt: skip
    return arms


def lines(counts: list[int]) -> Iterator[str]:
    """The page."""
    yield "# Verdicts with many ways"
    yield ""
    yield f"`python benchmarks/many_ways.py --ways {' '.join(map(str, counts))}`: {ROWS} test rows, nothing decided."
    yield "Processor seconds of one core for the whole verdict, and of these for the prediction of what would decide."
    yield ""
    yield "| ways | " + " | ".join(f"{design}: all | prediction" for design in DESIGNS) + " |"
    yield "|---:|" + "---:|---:|" * len(DESIGNS)
    for count in counts:
        cells = []
        for design in DESIGNS:
            spent: list[float] = []
            prospect = Predictive.prospect

            def timed(self: Predictive, most: float = 10.0, prospect=prospect, spent=spent):  # type: ignore[no-untyped-def]
                began = time.process_time()
                found = prospect(self, most)
                spent.append(time.process_time() - began)
                return found

            Predictive.prospect = timed  # type: ignore[method-assign]
            began = time.process_time()
            verdict = decide(contest(count, design), margin=MARGIN)
            took = time.process_time() - began
            Predictive.prospect = prospect  # type: ignore[method-assign]
            assert verdict.answer == "undecided", "a contest that is decided needs no prediction"
            cells.append(f"{took:.1f} s | {sum(spent):.1f} s")
        yield f"| {count} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", type=int, nargs="+", default=[6, 25, 100])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    write_table(lines(chosen.ways), chosen.out)
