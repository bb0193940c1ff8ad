"""What undecided advice costs: expected regret of the rule on three priors, beside "take the best test score".

Six ways (a baseline, two prompts, two fine-tunes, one of both) answer the same rows; the correlation of two ways' 0/1
scores is .40, three seeds of trained ways differ by two points. Priors of the true scores:

- `lora_land`: fine-tuning is ahead of prompting by 10 ± 10 points on average, as in LoRA Land (arXiv 2405.00732);
- `house`: kinds differ with a standard deviation of 5 points, ways of a kind by 5 more;
- `close`: kinds by 1 point, ways by 1.5.

    python benchmarks/simulate_advice.py --worlds 2000 --out benchmarks/results/simulate_advice.md

Regret is in points of true score. The table is a pure function of the arguments. About an hour on one core at 2,000.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy.special import ndtri
from table_writer import write_table

from whichway.nouns import Kind
from whichway.verdict import Arm
from whichway.verdict.compare import Table
from whichway.verdict.rule import Ruling, rule
from whichway.verdict.stats import FloatArray

KINDS: tuple[Kind, ...] = ("baseline", "prompt", "prompt", "fine-tune", "fine-tune", "both")
PRIORS = ("lora_land", "house", "close")
ROWS = (60, 75, 125, 200, 500, 1000)
MARGIN = 0.01
BINS = 10


def truths(rng: np.random.Generator, prior: str) -> FloatArray:
    """True scores of the six ways, (6,)."""
    middle = rng.uniform(0.55, 0.75)
    if prior == "lora_land":
        middle = rng.uniform(0.4, 0.75)
        tuned = middle + 0.10 + 0.10 * rng.normal()
        kinds = {
            "baseline": middle - 0.10 + 0.10 * rng.normal(),
            "prompt": middle + 0.03 * rng.normal(),
            "fine-tune": tuned,
            "both": tuned + 0.03 * rng.normal(),
        }
        within = 0.03
    else:
        between, within = {"house": (0.05, 0.05), "close": (0.01, 0.015)}[prior]
        kinds = {kind: middle + between * rng.normal() for kind in dict.fromkeys(KINDS)}
    return np.array([kinds[kind] + within * rng.normal() for kind in KINDS]).clip(0.05, 0.97)


def arms_of(
    rng: np.random.Generator, true: FloatArray, rows: int, tau: float = 0.02, seeds: int = 3, shared: float = 0.4
) -> list[Arm]:
    """The ways' scores on test rows, cheapest first."""
    latent = np.sin(np.pi / 2 * shared)
    base, arms = rng.normal(size=rows), []
    for k, kind in enumerate(KINDS):
        trained = kind in ("fine-tune", "both")
        repeats = seeds if trained else 1
        mean = true[k] + (tau * rng.normal(size=repeats) if trained else np.zeros(1))
        mixed = np.sqrt(latent) * base + np.sqrt(1 - latent) * rng.normal(size=(repeats, rows))
        scores = (mixed < ndtri(mean.clip(0.001, 0.999))[:, None]).astype(float)
        names = tuple(f"{k}-{s}" for s in range(repeats))
        arms.append(
            Arm(way=f"way{k}", kind=kind, scores=scores, random=trained, usd_total=k + 1.0, candidates=names)
        )  # fmt: skip
    return arms


@dataclass(slots=True)
class Found:
    """What came out of many worlds; regrets in points."""

    worlds: int
    decided: float = 0.0
    wrong_kind: float = 0.0  # decided, and a way of another kind is better by more than the margin
    better_sibling: float = 0.0  # of the decided: another way of the kind is better by more than the margin
    regret_undecided: float = 0.0
    best_test_undecided: float = 0.0
    cheapest_undecided: float = 0.0  # the rule before: the cheapest that is not shown worse
    regret: float = 0.0
    best_test: float = 0.0
    leaning: float = 0.0  # of the undecided
    leaning_near: float = 0.0  # of the leaning: truly within the margin
    said: list[float] = field(default_factory=list)  # probability to be within the margin, of every way
    true: list[bool] = field(default_factory=list)


def kind_gap(true: FloatArray, choice: int) -> float:
    """How far the best way of the chosen kind is behind the best way."""
    return float(true.max() - max(t for t, kind in zip(true, KINDS, strict=True) if kind == KINDS[choice]))


def measure(prior: str, rows: int, count: int, seed: int = 0, tau: float = 0.02) -> Found:
    """Draw worlds, apply the rule."""
    rng = np.random.default_rng([seed, PRIORS.index(prior), rows])
    found, lines = Found(count), []
    for _ in range(count):
        true = truths(rng, prior)
        table = Table(arms_of(rng, true, rows, tau), 0.95)
        ruling = rule(table, MARGIN)
        lines.append(line(true, table, ruling))
        assert ruling.outlook is not None
        found.said += ruling.outlook.near_best
        found.true += (true >= true.max() - MARGIN).tolist()
    table_of = np.array(lines)
    open_ = table_of[:, 0] == 0
    found.decided = float(1 - open_.mean())
    found.wrong_kind = float(table_of[:, 1].mean())
    found.better_sibling = mean_of(table_of[~open_, 2])
    found.regret_undecided, found.best_test_undecided, found.cheapest_undecided = (
        mean_of(table_of[open_, k]) for k in (3, 4, 5)
    )
    found.regret, found.best_test = mean_of(table_of[:, 3]), mean_of(table_of[:, 4])
    found.leaning = mean_of(table_of[open_, 6])
    found.leaning_near = mean_of(table_of[open_ & (table_of[:, 6] == 1), 7])
    return found


def mean_of(values: FloatArray) -> float:
    """The mean, 0 where there is nothing."""
    return float(values.mean()) if len(values) else 0.0


def line(true: FloatArray, table: Table, ruling: Ruling) -> list[float]:
    """One world: decided, wrong kind, better sibling, regrets of three rules, leaning, within the margin."""
    best, choice = int(np.argmax(table.values)), ruling.choice
    lost = 100 * (true.max() - true)
    siblings = [t for k, t in enumerate(true) if KINDS[k] == KINDS[choice]]
    return [
        float(ruling.decided),
        float(ruling.decided and kind_gap(true, choice) > MARGIN),
        float(max(siblings) - true[choice] > MARGIN),
        lost[choice],
        lost[best],
        lost[min(ruling.standing)],
        float(ruling.sureness == "leaning"),
        float(true[choice] >= true.max() - MARGIN),
    ]


def ties(rows: int, tau: float, count: int, seed: int = 1) -> float:
    """Share of worlds without any difference that are decided for something dearer than the cheapest."""
    rng = np.random.default_rng([seed, rows, int(1000 * tau)])
    equal = np.full(len(KINDS), 0.7)
    rulings = (rule(Table(arms_of(rng, equal, rows, tau), 0.95), MARGIN) for _ in range(count))
    return sum(r.decided and r.choice != 0 for r in rulings) / count


class Stated(Protocol):
    """Probabilities that were said, and whether they came true."""

    said: list[float]
    true: list[bool]


def calibration(found: Sequence[Stated]) -> Iterator[str]:
    """Said and true, in ten bins."""
    said = np.concatenate([f.said for f in found])
    true = np.concatenate([f.true for f in found])
    place = (said * BINS).astype(int).clip(0, BINS - 1)
    for k in range(BINS):
        mine = place == k
        if mine.sum():
            ends = f"{k / BINS:.1f}–{(k + 1) / BINS:.1f}"
            yield f"| {ends} | {mine.sum()} | {said[mine].mean():.3f} | {true[mine].mean():.3f} |"


def report(worlds: int) -> Iterator[str]:
    """The table."""
    yield f"# Advice where nothing is decided: {worlds} worlds a line\n"
    yield __doc__.strip().split("\n\n")[1].replace("\n", " ") + "\n"
    yield (
        "| prior | test rows | undecided | regret undecided: ours / best test score / cheapest not shown worse | "
        "all contests: ours / best test | decided, wrong kind | decided, a sibling is better | undecided that lean | "
        "of these near the best |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    everything = []
    for prior in PRIORS:
        for rows in ROWS:
            f = measure(prior, rows, worlds)
            everything.append(f)
            yield (
                f"| {prior} | {rows} | {1 - f.decided:.0%} | {f.regret_undecided:.2f} / {f.best_test_undecided:.2f} / "
                f"{f.cheapest_undecided:.2f} | {f.regret:.2f} / {f.best_test:.2f} | {f.wrong_kind:.1%} | "
                f"{f.better_sibling:.0%} | {f.leaning:.0%} | {f.leaning_near:.0%} |"
            )
    yield "\n## Probability to be within the margin of the best: said and true, all ways of all worlds\n"
    yield "| said | cases | mean said | true |\n|---|---|---|---|"
    yield from calibration(everything)
    yield "\n## All ways equal: decided for something dearer than the cheapest\n"
    yield "| test rows | τ | share |\n|---|---|---|"
    for rows in ROWS[::2]:
        for tau in (0.0, 0.02, 0.05):
            yield f"| {rows} | {tau} | {ties(rows, tau, worlds):.1%} |"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    write_table(report(given.worlds), given.out)


if __name__ == "__main__":
    main()
