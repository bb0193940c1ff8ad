"""What cross-fitting gives: coverage of paired differences measured fold by fold, and verdicts of 300 rows.

Every row is answered once, by a finalist that was made without its fold; a trained way's true score differs from fold
to fold with a standard deviation τ. Coverage: two ways of 70 and 75 %, scores that correlate by .40, and with groups of
five whose rows share four tenths of their noise. Verdicts: the six ways and three priors of `simulate_advice.py`, τ of
two points for trained ways, beside the same rows split once (a quarter is test, three seeds of trained ways).

    python benchmarks/simulate_folds.py --out benchmarks/results/simulate_folds.md

The table is a pure function of the arguments. A few minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri
from simulate_advice import KINDS, MARGIN, PRIORS, arms_of, kind_gap, mean_of, truths
from table_writer import write_table

from whichway.nouns import Kind
from whichway.verdict import Arm
from whichway.verdict.compare import Table
from whichway.verdict.rule import rule
from whichway.verdict.stats import FloatArray, IntArray

FOLDS = 5
ROWS = (60, 125, 300, 1000)
TAUS = (0.0, 0.02, 0.05)
GROUP = 5
ALIKE = 0.4  # share of a row's noise that its group shares


def folds_of(rng: np.random.Generator, rows: int, size: int) -> IntArray:
    """The fold of each row: whole groups, by a hash, so that folds differ in size as hashes do."""
    while True:
        folds = np.repeat(rng.integers(0, FOLDS, size=-(-rows // size)), size)[:rows]
        if len(set(folds.tolist())) == FOLDS:
            return np.asarray(folds, dtype=np.int64)


def noise(rng: np.random.Generator, rows: int, size: int) -> FloatArray:
    """Standard normal noise of rows, part of it shared in groups."""
    if size == 1:
        return rng.normal(size=rows)
    shared = np.repeat(rng.normal(size=-(-rows // size)), size)[:rows]
    return np.asarray(np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * rng.normal(size=rows))


def fold_arms(
    rng: np.random.Generator, true: FloatArray, kinds: tuple[Kind, ...], rows: int, tau: float, size: int = 1,
    shared: float = 0.4,
) -> list[Arm]:  # fmt: skip
    """Ways measured fold by fold, cheapest first."""
    latent, folds, base = np.sin(np.pi / 2 * shared), folds_of(rng, rows, size), noise(rng, rows, size)
    groups = tuple(str(k // size) for k in range(rows)) if size > 1 else None
    arms = []
    for k, kind in enumerate(kinds):
        trained = kind in ("fine-tune", "both")
        mean = true[k] + (tau * rng.normal(size=FOLDS) if trained else np.zeros(FOLDS))
        mixed = np.sqrt(latent) * base + np.sqrt(1 - latent) * noise(rng, rows, size)
        scores = (mixed < ndtri(mean.clip(0.001, 0.999))[folds]).astype(float)
        names = tuple(f"{k}-{fold}" for fold in range(FOLDS))
        arms.append(Arm(way=f"way{k}", kind=kind, scores=scores[None], random=trained, usd_total=k + 1.0,
                        candidates=names, folds=folds, groups=groups))  # fmt: skip
    return arms


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often intervals of a paired difference hold the true one, in percent, and their mean half width."""

    at95: float
    at99: float
    rows_only: float  # without what folds add
    half: float


def coverage(rows: int, tau: float, size: int, kinds: tuple[Kind, Kind], count: int) -> Coverage:
    """Draw worlds of two ways."""
    rng = np.random.default_rng([rows, int(1000 * tau), size, len(kinds[0])])
    true, found = np.array([0.70, 0.75]), []
    for _ in range(count):
        arms = fold_arms(rng, true, kinds, rows, tau, size)
        line = []
        for confidence in (0.95, 0.99):
            c = Table(arms, confidence).compare(0, 1)
            low, high = c.low or 0.0, c.high or 0.0
            line += [low <= 0.05 <= high, (high - low) / 2]
        plain = [Arm(way=a.way, kind=a.kind, scores=a.scores, groups=a.groups) for a in arms]
        c = Table(plain, 0.95).compare(0, 1)
        found.append([*line, (c.low or 0.0) <= 0.05 <= (c.high or 0.0)])
    mean = np.array(found, dtype=float).mean(axis=0)
    return Coverage(100 * mean[0], 100 * mean[2], 100 * mean[4], 100 * mean[1])


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of many contests; regrets in points of true score."""

    undecided: float
    wrong_kind: float
    regret_undecided: float
    best_undecided: float
    regret: float
    best: float


def verdicts(prior: str, rows: int, count: int, folds: bool, tau: float = 0.02) -> Verdicts:
    """Draw worlds of one prior; with folds all rows are test, else a quarter of them."""
    rng = np.random.default_rng([PRIORS.index(prior), rows, folds])
    found = []
    for _ in range(count):
        true = truths(rng, prior)
        arms = fold_arms(rng, true, KINDS, rows, tau) if folds else arms_of(rng, true, rows // 4, tau)
        table = Table(arms, 0.95)
        ruling = rule(table, MARGIN)
        lost = 100 * (true.max() - true)
        wrong = ruling.decided and kind_gap(true, ruling.choice) > MARGIN
        found.append([ruling.decided, wrong, lost[ruling.choice], lost[int(np.argmax(table.values))]])
    table_of = np.array(found, dtype=float)
    open_ = table_of[table_of[:, 0] == 0]
    return Verdicts(
        len(open_) / count, table_of[:, 1].mean(), mean_of(open_[:, 2]), mean_of(open_[:, 3]),
        mean_of(table_of[:, 2]), mean_of(table_of[:, 3]),
    )  # fmt: skip


def ties(rows: int, tau: float, count: int) -> float:
    """Share of worlds without any difference that are decided for something dearer than the cheapest."""
    rng = np.random.default_rng([7, rows, int(1000 * tau)])
    equal = np.full(len(KINDS), 0.7)
    rulings = (rule(Table(fold_arms(rng, equal, KINDS, rows, tau), 0.95), MARGIN) for _ in range(count))
    return sum(r.decided and r.choice != 0 for r in rulings) / count


def report(worlds: int, decisions: int) -> Iterator[str]:
    """The tables."""
    yield f"# Five folds: coverage in {worlds} worlds a line, verdicts in {decisions}\n"
    yield __doc__.strip().split("\n\n")[1].replace("\n", " ") + "\n"
    yield "## Coverage of the paired difference, percent\n"
    yield "| rows | groups of | τ, points | who varies | 95 % | 99 % | rows alone, 95 % | half width, points |"
    yield "|---|---|---|---|---|---|---|---|"
    pairs: dict[str, tuple[Kind, Kind]] = {"one way": ("prompt", "fine-tune"), "both ways": ("fine-tune", "fine-tune")}
    for rows in ROWS:
        for size in (1, GROUP):
            for tau in TAUS:
                for who, kinds in pairs.items() if tau else [("nobody", pairs["one way"])]:
                    c = coverage(rows, tau, size, kinds, worlds)
                    yield (
                        f"| {rows} | {size} | {100 * tau:g} | {who} | {c.at95:.1f} | {c.at99:.1f} | "
                        f"{c.rows_only:.1f} | {c.half:.1f} |"
                    )
    yield "\n## Verdicts: five folds beside one split of the same rows\n"
    yield (
        "| prior | rows | undecided: folds / one split | decided, wrong kind | regret undecided: ours / best test "
        "score | all contests: ours / best test score | one split, all contests: ours |"
    )
    yield "|---|---|---|---|---|---|---|"
    for prior in PRIORS:
        for rows in ROWS:
            f, s = verdicts(prior, rows, decisions, True), verdicts(prior, rows, decisions, False)
            yield (
                f"| {prior} | {rows} | {f.undecided:.0%} / {s.undecided:.0%} | {f.wrong_kind:.1%} | "
                f"{f.regret_undecided:.2f} / {f.best_undecided:.2f} | {f.regret:.2f} / {f.best:.2f} | {s.regret:.2f} |"
            )
    yield "\n## All ways equal: decided for something dearer than the cheapest\n"
    yield "| rows | τ, points | share |\n|---|---|---|"
    for rows in ROWS:
        for tau in TAUS:
            yield f"| {rows} | {100 * tau:g} | {ties(rows, tau, decisions):.1%} |"


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=1500)
    parser.add_argument("--decisions", type=int, default=400)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    write_table(report(given.worlds, given.decisions), given.out)


if __name__ == "__main__":
    main()
