"""Whether "about N more rows would decide" is right: undecided contests, advised, and run again with N more rows.

Worlds are those of `simulate_advice.py`: six ways on three priors of their true scores, three seeds of trained ways;
and of these a prompt and a fine-tune alone, one run each. Each undecided contest is asked what would decide it; where a
number of rows is named, the same ways answer that many more rows (the trained seeds stay what they are), and the rule
looks again. Where seeds are named, further seeds answer the same rows.

    python benchmarks/simulate_more_rows.py --worlds 60 --out benchmarks/results/simulate_more_rows.md

`right` is the share of named numbers at which the contest is then decided. `before` is the rule that was used until it
was found to promise too much: the rows that show the gap as it was seen, with a power of 80 %, for every open pair; the
largest of them, and no more than MOST times the rows looked at. `within` is the share of contests in which the ways in
question are within the points that the sentence says. The table is a pure function of the arguments.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.special import ndtri
from simulate_advice import KINDS, MARGIN, PRIORS, truths
from table_writer import write_table

from whichway.verdict import Arm, sample_size
from whichway.verdict.compare import Table
from whichway.verdict.predictive import MOST, SEEDS, Predictive
from whichway.verdict.rule import Ruling, differences, held, rule, step_down, unsettled
from whichway.verdict.stats import FloatArray

ROWS = (75, 150, 300)
MORE_SEEDS = 3 * SEEDS[-1]
SHARED = 0.4
TAU = 0.02
TIMES = 5  # as many worlds of two ways, which cost little
ALL = tuple(range(len(KINDS)))
TWO = (1, 3)  # a prompt and a fine-tune, one run each: nothing but rows is uncertain


def world(rng: np.random.Generator, true: FloatArray, rows: int) -> list[FloatArray]:
    """0/1 scores of six ways (S, rows): three seeds and a spare nine of trained ways, one of the others."""
    latent = np.sin(np.pi / 2 * SHARED)
    base, found = rng.normal(size=rows), []
    for k, kind in enumerate(KINDS):
        trained = kind in ("fine-tune", "both")
        count = MORE_SEEDS if trained else 1
        mean = true[k] + (TAU * rng.normal(size=count) if trained else np.zeros(1))
        mixed = np.sqrt(latent) * base + np.sqrt(1 - latent) * rng.normal(size=(count, rows))
        found.append((mixed < ndtri(mean.clip(0.001, 0.999))[:, None]).astype(float))
    return found


def table_of(scores: list[FloatArray], rows: int, seeds: int = 3, ways: tuple[int, ...] = ALL) -> Table:
    """The first so many rows and seeds of some ways, as a table."""
    arms = [
        Arm(way=f"way{k}", kind=KINDS[k], scores=x[:seeds, :rows], random=len(x[:seeds]) > 1, usd_total=k + 1.0)
        for k in ways
        for x in (scores[k],)
    ]
    return Table(arms, 0.95)


def is_decided(table: Table) -> bool:
    """What `rule` says of deciding, without its advice."""
    count, kinds = len(table.arms), [arm.kind for arm in table.arms]
    ahead = differences(table)
    standing, levels = step_down(ahead, count, 1 - table.confidence)
    for i in range(count):
        fit = i in standing or all(held(ahead[i, j], MARGIN) for j in range(count) if j != i)
        if fit and all(kinds[j] == kinds[i] for j in unsettled(ahead, levels, i, MARGIN)):
            return True
    return False


def before(table: Table, ruling: Ruling) -> int | None:
    """Rows that the old sentence named: the largest of the open pairs'."""
    named = []
    for j in ruling.open:
        found = table.compare(ruling.choice, j).turned()
        aim = max(abs(found.value), MARGIN - found.value if j > ruling.choice else MARGIN)
        level = 1 - (1 - table.confidence) / (len(table.arms) - 1)
        if found.seed_variance > (found.row_variance or 0.0) or aim <= 0:
            return None
        omega2 = (found.row_variance or 0.0) * table.n
        needed = sample_size.rows_needed(aim, omega2, seed_part=found.seed_variance, confidence=level)
        if needed is None:
            return None
        named.append(max(1, needed - table.n))
    return max(named) if named and max(named) <= MOST * table.n else None


@dataclass(slots=True)
class Found:
    """What came out of the undecided contests of a line."""

    worlds: int = 0
    undecided: int = 0
    named: list[bool] = field(default_factory=list)  # rows were named, and whether that decided it
    sizes: list[float] = field(default_factory=list)  # the numbers named, as multiples of the rows
    chances: list[float] = field(default_factory=list)  # of a decision at MOST times the rows, said
    at_most: list[bool] = field(default_factory=list)  # whether it came
    seeds: list[bool] = field(default_factory=list)
    both: list[bool] = field(default_factory=list)
    before: list[bool] = field(default_factory=list)
    within: list[bool] = field(default_factory=list)


def look(
    found: Found, rng: np.random.Generator, true: FloatArray, rows: int, ways: tuple[int, ...] = ALL, seeds: int = 3
) -> None:
    """One contest; if it is undecided, what is advised and what comes of it."""
    scores = world(rng, true, int(rows * (1 + MOST)))
    true = np.array([true[k] if seeds > 1 else scores[k][0].mean() for k in ways])  # one run is what it is

    def decides(more: int, times: int = 1) -> bool:
        return is_decided(table_of(scores, rows + more, seeds * times, ways))

    table = table_of(scores, rows, seeds, ways)
    ruling = rule(table, MARGIN)
    found.worlds += 1
    if ruling.decided:
        return
    found.undecided += 1
    predictive = Predictive(table, MARGIN)
    prospect = predictive.prospect()
    if prospect.rows is not None:
        found.named.append(decides(prospect.rows))
        found.sizes.append(prospect.rows / rows)
    else:
        found.chances.append(prospect.rows_chance)
        found.at_most.append(decides(prospect.most))
        gap = predictive.apart(ruling.choice, list(ruling.open))
        found.within.append(bool(np.abs(true[list(ruling.open)] - true[ruling.choice]).max() <= gap))
    if prospect.seeds is not None:
        found.seeds.append(decides(0, prospect.seeds))
    if prospect.both is not None:
        found.both.append(decides(*prospect.both))
    old = before(table, ruling)
    if old is not None:
        found.before.append(decides(old))


def share(hits: list[bool]) -> str:
    """Hits of cases."""
    return f"{np.mean(hits):.0%} of {len(hits)}" if hits else "none"


def line(name: str, f: Found) -> str:
    """A line of the table."""
    size = f"{np.median(f.sizes):.1f}" if f.sizes else "–"
    said = f"{np.mean(f.chances):.0%}, {np.mean(f.at_most):.0%}" if f.chances else "–"
    return (
        f"| {name} | {f.undecided / max(1, f.worlds):.0%} | {len(f.named) / max(1, f.undecided):.0%} | {size} | "
        f"{share(f.named)} | {share(f.before)} | {said} | {share(f.within)} | {share(f.seeds)} | {share(f.both)} |"
    )


def report(worlds: int, seed: int = 0) -> Iterator[str]:
    """The table."""
    yield f"# What would decide it: {worlds} contests of six ways a line, {TIMES * worlds} of two\n"
    yield from (part.replace("\n", " ") + "\n" for part in (__doc__ or "").strip().split("\n\n")[1::2])
    yield (
        "| prior, test rows | undecided | of these: rows are named | median, times the rows | right | before: right | "
        f"not named: decided with {MOST:.0f} times more, said and true | within the points said | "
        "seeds named: right | rows and seeds named: right |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    total = Found()
    settings = [(prior, rows, ALL, 3) for prior in PRIORS for rows in ROWS]
    settings += [(prior, rows, TWO, 1) for prior in PRIORS for rows in ROWS]
    for prior, rows, ways, seeds in settings:
        rng = np.random.default_rng([seed, PRIORS.index(prior), rows, seeds])
        found = Found()
        for _ in range(worlds if len(ways) > 2 else TIMES * worlds):
            look(found, rng, truths(rng, prior), rows, ways, seeds)
        yield line(f"{prior}, {rows}{'' if len(ways) > 2 else ', two ways'}", found)
        for name in Found.__dataclass_fields__:
            setattr(total, name, getattr(total, name) + getattr(found, name))
    yield line("all", total)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    write_table(report(given.worlds), given.out)


if __name__ == "__main__":
    main()
