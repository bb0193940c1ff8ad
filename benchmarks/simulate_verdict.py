"""Simulated worlds for the verdict: coverage, false choices, power at the stated gap, crossovers, confidence sequences.

Rows have a latent difficulty that arms share; an arm's seed moves its accuracy by τ. Run it with

    python benchmarks/simulate_verdict.py --out benchmarks/results/simulate_verdict.md

The table is a pure function of the arguments. About six minutes on one core.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from whichway.nouns import Kind
from whichway.verdict import Arm, crossover, sample_size
from whichway.verdict.compare import Table
from whichway.verdict.curves import CurveRun, Curves
from whichway.verdict.rule import answer, order, rule
from whichway.verdict.selection import row_chances
from whichway.verdict.sequential import paired_sequences

CONFIDENCE = 0.95

KINDS: tuple[Kind, ...] = ("baseline", "prompt", "prompt", "fine-tune", "fine-tune", "both")


def layout(arms: int) -> tuple[Kind, ...]:
    """The kinds of 2 to 6 arms; the dearest is a fine-tune or both."""
    return {2: ("prompt", "fine-tune"), 3: ("baseline", "prompt", "fine-tune")}.get(arms, KINDS[:arms])


@dataclass(frozen=True, slots=True)
class Setting:
    """What a world is drawn from."""

    arms: int  # 2 to 6, cheapest first
    rows: int  # of the test split
    shared: float = 0.5  # correlation of two arms' 0/1 scores, about
    seeds: int = 3  # trainings of each fine-tune
    tau: float = 0.0  # standard deviation of accuracy between seeds
    gain: float = 0.0  # of the dearest arm
    p: float = 0.7  # true accuracy
    group: int = 1  # rows of a group; difficulty is shared inside one


def world(rng: np.random.Generator, setting: Setting) -> list[Arm]:
    """The arms of one world, all of the same accuracy but the dearest, which is better by the gain."""
    rows, group = setting.rows, setting.group
    latent = np.sin(np.pi / 2 * setting.shared)  # near the tetrachoric correlation that gives `shared`
    base = np.repeat(rng.normal(size=-(-rows // group)), group)[:rows]
    groups = tuple(f"g{i // group}" for i in range(rows)) if group > 1 else None
    made = []
    for k, kind in enumerate(layout(setting.arms)):
        trained = kind in ("fine-tune", "both")
        repeats = setting.seeds if trained else 1
        level = setting.p + (setting.gain if k == setting.arms - 1 else 0.0)
        mean = level + (setting.tau * rng.normal(size=repeats) if trained else np.zeros(1))
        noise = rng.normal(size=(repeats, rows))
        scores = np.sqrt(latent) * base + np.sqrt(1 - latent) * noise < ndtri(np.clip(mean, 0.001, 0.999))[:, None]
        made.append(
            Arm(
                way=f"way{k}", kind=kind, scores=scores.astype(float), random=trained, groups=groups,
                usd_total=float(k + 1), candidates=tuple(f"{k}-{s}" for s in range(repeats)),
            )
        )  # fmt: skip
    return made


def ruled(arms: list[Arm], margin: float = 0.01) -> tuple[str, str, Table]:
    """The answer, the choice and the comparison table: what `decide` decides, without its sentences."""
    ordered = sorted(arms, key=lambda arm: order(arm, 1000.0))
    table = Table(ordered, CONFIDENCE)
    ruling = rule(table, margin)
    return answer(ruling, [arm.kind for arm in ordered]), ordered[ruling.choice].way, table


def worlds(count: int, seed: int, **options: float) -> Iterator[tuple[str, str, Table]]:
    """Rulings on `count` worlds."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield ruled(world(rng, Setting(**options)))  # type: ignore[arg-type]


def false_choice(count: int, seed: int = 1, **options: float) -> tuple[float, float]:
    """Shares of worlds without a difference in which something dearer is decided for: by us, and naively.

    Naive: the cheapest is dropped when any other arm beats it at an uncorrected p.
    """
    ours = naive = 0
    for said, choice, table in worlds(count, seed, **options):
        ours += said != "undecided" and choice != "way0"
        beats = (table.compare(0, k) for k in range(1, len(table.arms)))
        naive += any(c.p is not None and c.value > 0 and c.p <= 1 - CONFIDENCE for c in beats)
    return ours / count, naive / count


def found(count: int, seed: int = 2, **options: float) -> float:
    """Share of worlds with a real gain in which it is chosen, and decided."""
    best = f"way{int(options['arms']) - 1}"
    return sum(choice == best and said != "undecided" for said, choice, _ in worlds(count, seed, **options)) / count


def coverage(count: int, seed: int = 3, p: float = 0.7, gain: float = 0.0, **options: float) -> tuple[float, float]:
    """Shares of worlds where the dearest arm's interval, and that of its gap to the cheapest, hold the truth."""
    rng = np.random.default_rng(seed)
    one = two = 0
    for _ in range(count):
        made = world(rng, Setting(p=p, gain=gain, **options))  # type: ignore[arg-type]
        table = Table([made[0], made[-1]], CONFIDENCE)
        ends, gap = table.interval(1), table.compare(0, 1)
        one += ends is not None and ends[0] <= p + gain <= ends[1]
        two += gap.low is not None and gap.high is not None and gap.low <= gain <= gap.high
    return one / count, two / count


def stated_gap(arms: int, rows: int, seeds: int, tau: float, shared: float = 0.5, p: float = 0.7) -> float:
    """The gap that `detectable_gap` promises to find 9 times of 10, with the noise of these worlds known.

    A row differs between two single runs by `2·p·(1−p)·(1−correlation)`, of which `2·E[q(1−q)]` is what is left, q
    being the chance of a right answer on a row of given difficulty.
    """
    chances = row_chances(2000, p, np.sin(np.pi / 2 * shared))
    return sample_size.detectable_gap(rows, arms, seeds, tau, 2 * float((chances * (1 - chances)).mean())) or 1.0


# --- learning curves


def true_curve(n: np.ndarray, start: float, top: float, rate: float) -> np.ndarray:
    """A power law from `start` at 8 rows towards `top`."""
    return top - (top - start) * (n / 8) ** -rate


SIZES = np.array([8, 16, 32, 64, 128, 256, 512])


def learned(
    rng: np.random.Generator, seeds: int, tau: float, rows: int, start: float, with_rows: bool
) -> tuple[list[CurveRun], float]:
    """Runs of a prompt that gains little from rows and a fine-tune that gains much, and where they truly cross."""
    grid = np.geomspace(8, 512, 4001)
    slow, fast = (0.62, 0.75, 0.25), (start, 0.85, 0.55)
    cross = float(grid[np.argmax(true_curve(grid, *fast) >= true_curve(grid, *slow))])
    hard = rng.normal(size=rows)
    runs = []
    for way, shape in (("prompt", slow), ("tune", fast)):
        for seed in range(seeds):
            for n, mean in zip(SIZES, true_curve(SIZES, *shape), strict=True):
                level = float(np.clip(mean + tau * (8 / n) ** 0.25 * rng.normal(), 0.01, 0.99))
                right = (np.sqrt(0.5) * hard + np.sqrt(0.5) * rng.normal(size=rows) < ndtri(level)).astype(float)
                pairs = tuple((str(i), float(x)) for i, x in enumerate(right)) if with_rows else ()
                runs.append(CurveRun(way, seed, int(n), float(right.mean()), pairs))
    return runs, cross


def crossovers(count: int, seed: int = 5, **options: float) -> tuple[float, float, float]:
    """Share of crossover intervals that hold the truth, share that are closed, and their median width as a factor."""
    rng = np.random.default_rng(seed)
    held, widths = 0, []
    for _ in range(count):
        runs, truth = learned(rng, **options)  # type: ignore[arg-type]
        curves = Curves(runs, resamples=400)
        sizes = crossover.shared(curves, "prompt", "tune")
        cross = crossover.crossing(curves, "prompt", "tune", sizes)
        held += (cross.low or 0.0) <= truth <= (cross.high or np.inf)
        if cross.low and cross.high:
            widths.append(cross.high / cross.low)
    return held / count, len(widths) / count, float(np.median(widths)) if widths else float("nan")


# --- confidence sequences


def wrong_ever(count: int, discordant: float, rows: int, first: int, seed: int = 7) -> tuple[float, float]:
    """Share of races between equal candidates in which a sequence, or a t interval, ever excludes 0."""
    rng = np.random.default_rng(seed)
    ours = naive = 0
    at = np.arange(1, rows + 1)
    for _ in range(count):
        d = rng.choice([-1.0, 0.0, 1.0], size=rows, p=[discordant / 2, 1 - discordant, discordant / 2])
        low, high = paired_sequences(d, 0.05)
        ours += bool(((low > 0) | (high < 0))[first - 1 :].any())
        mean = np.cumsum(d) / at
        se = np.sqrt(np.maximum(np.cumsum(d * d) / at - mean**2, 1e-12) / np.maximum(1, at - 1))
        naive += bool((np.abs(mean) > 1.96 * se)[first - 1 :].any())
    return ours / count, naive / count


def head(count: int) -> list[str]:
    """The page's first lines."""
    return [
        "# The verdict on simulated worlds",
        "",
        f"`benchmarks/simulate_verdict.py --worlds {count}`: accuracy 70 %, margin 1 point, confidence 95 %; baselines "
        "and prompts have one run, fine-tunes S seeds whose accuracy varies by τ (points). A share of 5 % is known to "
        f"±{196 * (0.05 * 0.95 / count) ** 0.5:.1f} points.",
    ]


def false_lines(count: int) -> Iterator[str]:
    """False choices."""
    yield "## False choice: all arms equal, yet it is decided for something dearer than the cheapest (at most 5 %)"
    yield ""
    yield "| arms | rows | correlation | S | τ | decided for a dearer one | named without correction |"
    yield "|---|---|---|---|---|---|---|"
    for arms, rows, (shared, seeds, tau) in itertools.product(
        (3, 6), (50, 100, 400), ((0.0, 1, 0.0), (0.5, 1, 0.0), (0.5, 3, 0.0), (0.5, 3, 0.02))
    ):
        ours, naive = false_choice(count, arms=arms, rows=rows, shared=shared, seeds=seeds, tau=tau)
        yield f"| {arms} | {rows} | {shared} | {seeds} | {100 * tau:.0f} | {100 * ours:.1f} % | {100 * naive:.1f} % |"


def power_lines(count: int) -> Iterator[str]:
    """Power for a given gain, and at the gap that is stated as detectable."""
    yield "## Power: the dearest arm is truly better; it is chosen and decided"
    yield ""
    yield "| gain | arms | rows | S | τ | found |"
    yield "|---|---|---|---|---|---|"
    for (gain, rows), arms, (seeds, tau) in itertools.product(
        ((0.1, 400), (0.1, 200), (0.05, 400)), (3, 6), ((1, 0.0), (3, 0.0), (3, 0.01), (3, 0.02), (5, 0.02))
    ):
        share = found(count, arms=arms, rows=rows, seeds=seeds, tau=tau, gain=gain)
        yield f"| {100 * gain:.0f} | {arms} | {rows} | {seeds} | {100 * tau:.0f} | {100 * share:.1f} % |"
    yield ""
    yield "## Power at the stated detectable gap (at least 90 %)"
    yield ""
    yield "`detectable_gap` with the worlds' own row and seed noise; points."
    yield ""
    yield "| arms | rows | S | τ | stated gap | found |"
    yield "|---|---|---|---|---|---|"
    for arms, rows, (seeds, tau) in itertools.product(
        (2, 3, 6), (200, 400, 1000), ((1, 0.0), (3, 0.0), (3, 0.01), (3, 0.02), (5, 0.02))
    ):
        gap = stated_gap(arms, rows, seeds, tau)
        if gap > 0.27:
            yield f"| {arms} | {rows} | {seeds} | {100 * tau:.0f} | {100 * gap:.1f} | more than 70 % can gain |"
            continue
        share = found(count, arms=arms, rows=rows, seeds=seeds, tau=tau, gain=gap)
        yield f"| {arms} | {rows} | {seeds} | {100 * tau:.0f} | {100 * gap:.1f} | {100 * share:.1f} % |"


def coverage_lines(count: int) -> Iterator[str]:
    """Coverage of intervals."""
    yield "## Coverage of 95 % intervals: one arm's score, and its paired gap (93 to 97 %)"
    yield ""
    yield "| rows | rows per group | S | τ | score | gap |"
    yield "|---|---|---|---|---|---|"
    for rows, group, (seeds, tau) in itertools.product(
        (50, 200, 1000), (1, 5), ((1, 0.0), (3, 0.0), (3, 0.02), (3, 0.04), (5, 0.02))
    ):
        one, two = coverage(count, arms=3, rows=rows, group=group, seeds=seeds, tau=tau, gain=0.05)
        yield f"| {rows} | {group} | {seeds} | {100 * tau:.0f} | {100 * one:.1f} % | {100 * two:.1f} % |"


def curve_lines(count: int) -> Iterator[str]:
    """Crossover intervals."""
    yield "## Crossover of two learning curves: its 95 % interval holds the truth (at least 90 %)"
    yield ""
    yield "Sizes 8 to 512, power laws; seed noise τ at 8 rows, falling with the fourth root of n. Closed: both ends lie"
    yield "inside what was measured; width: median ratio of the ends."
    count = min(count, 400)
    yield f"{count} pairs of curves each: 90 % is known to ±{196 * (0.9 * 0.1 / count) ** 0.5:.1f} points."
    yield ""
    yield "| test rows | rows known | S | τ | holds the truth | closed | width |"
    yield "|---|---|---|---|---|---|---|"
    for rows, with_rows, seeds, tau in (
        (200, True, 3, 0.02), (200, True, 5, 0.02), (1000, True, 3, 0.02), (1000, True, 3, 0.04), (200, False, 3, 0.02),
        (200, False, 4, 0.04), (1000, False, 5, 0.02),
    ):  # fmt: skip
        held, closed, width = crossovers(count, seeds=seeds, tau=tau, rows=rows, start=0.45, with_rows=with_rows)
        known = "yes" if with_rows else "no"
        yield (
            f"| {rows} | {known} | {seeds} | {100 * tau:.0f} | {100 * held:.1f} % | {100 * closed:.0f} % "
            f"| {width:.1f} |"
        )


def sequence_lines(count: int) -> Iterator[str]:
    """Confidence sequences."""
    yield "## Confidence sequences: equal candidates, a look after every row, ever shown different (at most 5 %)"
    yield ""
    yield "| discordant rows | rows | first look | sequence | t interval at every look |"
    yield "|---|---|---|---|---|"
    for discordant, rows, first in ((0.1, 1000, 20), (0.4, 1000, 20), (0.4, 200, 20), (0.02, 1000, 20), (0.4, 1000, 2)):
        ours, naive = wrong_ever(count, discordant, rows, first)
        yield f"| {100 * discordant:.0f} % | {rows} | {first} | {100 * ours:.1f} % | {100 * naive:.1f} % |"


PARTS = {
    "false": false_lines, "power": power_lines, "coverage": coverage_lines, "curves": curve_lines,
    "sequences": sequence_lines,
}  # fmt: skip


def report(count: int, parts: Sequence[str] = tuple(PARTS)) -> str:
    """The markdown page."""
    blocks = ["\n".join(head(count)), *("\n".join(PARTS[name](count)) for name in parts)]
    return "\n\n".join(blocks) + "\n"


def main() -> None:
    """Print the page, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=1000, help="worlds per setting")
    parser.add_argument("--out", type=Path, help="file to write")
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this table; repeatable")
    options = parser.parse_args()
    page = report(options.worlds, options.part or tuple(PARTS))
    print(page, end="")
    if options.out:
        options.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
