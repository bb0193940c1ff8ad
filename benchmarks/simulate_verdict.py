"""Simulated worlds for the verdict: coverage of intervals, false choices under no difference, power under a real gain.

Rows have a latent difficulty that arms share; an arm's seed moves its accuracy by τ. Run it with

    python benchmarks/simulate_verdict.py --out benchmarks/results/simulate_verdict.md

The table is a pure function of the arguments.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from whichway.nouns import Kind, Verdict
from whichway.verdict import Arm, decide

KINDS: tuple[Kind, ...] = ("baseline", "prompt", "prompt", "fine-tune", "fine-tune", "both")


def layout(arms: int) -> tuple[Kind, ...]:
    """The kinds of 3 to 6 arms; every count has a baseline, a prompt and a fine-tune."""
    return ("baseline", "prompt", "fine-tune") if arms == 3 else KINDS[:arms]


def world(
    rng: np.random.Generator,
    arms: int,
    rows: int,
    shared: float = 0.5,
    seeds: int = 3,
    tau: float = 0.0,
    gain: float = 0.0,
    p: float = 0.7,
    group: int = 1,
) -> list[Arm]:
    """One world: `arms` arms of accuracy `p`, the dearest better by `gain`.

    Args:
        rng: the source of chance.
        arms: 3 to 6, cheapest first.
        rows: test rows.
        shared: correlation of two arms' 0/1 scores, about.
        seeds: trainings of each fine-tune.
        tau: standard deviation of accuracy between seeds.
        gain: of the dearest arm.
        p: true accuracy.
        group: rows per group; difficulty is shared inside one.
    """
    latent = np.sin(np.pi / 2 * shared)  # near the tetrachoric correlation that gives `shared`
    base = np.repeat(rng.normal(size=-(-rows // group)), group)[:rows]
    groups = tuple(f"g{i // group}" for i in range(rows)) if group > 1 else None
    made = []
    for k, kind in enumerate(layout(arms)):
        trained = kind in ("fine-tune", "both")
        repeats = seeds if trained else 1
        mean = p + (gain if k == arms - 1 else 0.0) + (tau * rng.normal(size=repeats) if trained else np.zeros(1))
        noise = rng.normal(size=(repeats, rows))
        scores = np.sqrt(latent) * base + np.sqrt(1 - latent) * noise < ndtri(np.clip(mean, 0.001, 0.999))[:, None]
        made.append(
            Arm(
                way=f"way{k}", kind=kind, scores=scores.astype(float), random=trained, groups=groups,
                usd_total=float(k + 1), candidates=tuple(f"{k}-{s}" for s in range(repeats)),
            )
        )  # fmt: skip
    return made


def worlds(count: int, seed: int, **options: float) -> Iterator[Verdict]:
    """Verdicts on `count` worlds."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield decide(world(rng, **options))  # type: ignore[arg-type]


def false_choice(count: int, seed: int = 1, **options: float) -> tuple[float, float]:
    """Shares of worlds without a difference in which something dearer than the cheapest is named: by us, and naively.

    Naive: the cheapest is dropped when any other arm beats it at an uncorrected p.
    """
    ours = naive = 0
    for verdict in worlds(count, seed, **options):
        ours += verdict.choice != "way0"
        beats = (pair for pair in verdict.pairs if pair.first == "way0" and (pair.difference or 0) > 0)
        naive += any(pair.p is not None and pair.p <= 1 - verdict.confidence for pair in beats)
    return ours / count, naive / count


def found(count: int, seed: int = 2, **options: float) -> float:
    """Share of worlds with a real gain in which it is chosen, and decided."""
    best = f"way{int(options['arms']) - 1}"
    return sum(v.choice == best and v.answer != "undecided" for v in worlds(count, seed, **options)) / count


def coverage(count: int, seed: int = 3, p: float = 0.7, gain: float = 0.0, **options: float) -> tuple[float, float]:
    """Shares of worlds where the dearest arm's interval, and that of its gap to the cheapest, hold the truth."""
    one = two = 0
    for verdict in worlds(count, seed, p=p, gain=gain, **options):
        line = next(s for s in verdict.standings if s.way == f"way{int(options['arms']) - 1}")
        pair = next(q for q in verdict.pairs if (q.first, q.second) == ("way0", line.way))
        one += line.low is not None and line.high is not None and line.low <= p + gain <= line.high
        two += pair.low is not None and pair.high is not None and pair.low <= gain <= pair.high
    return one / count, two / count


def report(count: int) -> str:
    """The markdown page."""
    lines = [
        "# The verdict on simulated worlds",
        "",
        f"`benchmarks/simulate_verdict.py --worlds {count}`: accuracy 70 %, margin 1 point, confidence 95 %; baselines "
        "and prompts have one run, fine-tunes S seeds whose accuracy varies by τ (points). A share of 5 % is known to "
        f"±{196 * (0.05 * 0.95 / count) ** 0.5:.1f} points.",
        "",
        "## False choice: all arms equal, yet something dearer than the cheapest is named (at most 5 %)",
        "",
        "| arms | rows | correlation | S | τ | named, decided or not | the same without correction |",
        "|---|---|---|---|---|---|---|",
    ]
    for arms, rows, (shared, seeds, tau) in itertools.product(
        (3, 6), (50, 100, 400), ((0.0, 1, 0.0), (0.5, 1, 0.0), (0.5, 3, 0.0), (0.5, 3, 0.02))
    ):
        ours, naive = false_choice(count, arms=arms, rows=rows, shared=shared, seeds=seeds, tau=tau)
        lines.append(
            f"| {arms} | {rows} | {shared} | {seeds} | {100 * tau:.0f} | {100 * ours:.1f} % | {100 * naive:.1f} % |"
        )
    lines += [
        "",
        "## Power: the dearest arm is truly better; it is chosen and decided",
        "",
        "| gain | arms | rows | S | τ | found |",
        "|---|---|---|---|---|---|",
    ]
    for (gain, rows), arms, (seeds, tau) in itertools.product(
        ((0.1, 400), (0.1, 200), (0.05, 400)), (3, 6), ((1, 0.0), (3, 0.0), (3, 0.01), (3, 0.02))
    ):
        share = found(count, arms=arms, rows=rows, seeds=seeds, tau=tau, gain=gain)
        lines.append(f"| {100 * gain:.0f} | {arms} | {rows} | {seeds} | {100 * tau:.0f} | {100 * share:.1f} % |")
    lines += [
        "",
        "## Coverage of 95 % intervals: one arm's score, and its paired gap",
        "",
        "| rows | rows per group | S | τ | score | gap |",
        "|---|---|---|---|---|---|",
    ]
    for rows, (group, seeds, tau) in itertools.product(
        (50, 100, 400), ((1, 1, 0.0), (5, 1, 0.0), (1, 3, 0.0), (1, 3, 0.02), (1, 5, 0.02))
    ):
        one, two = coverage(count, arms=3, rows=rows, group=group, seeds=seeds, tau=tau, gain=0.05)
        lines.append(f"| {rows} | {group} | {seeds} | {100 * tau:.0f} | {100 * one:.1f} % | {100 * two:.1f} % |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the page, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=1000, help="worlds per setting")
    parser.add_argument("--out", type=Path, help="file to write")
    options = parser.parse_args()
    page = report(options.worlds)
    print(page, end="")
    if options.out:
        options.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
