"""Do intervals of metrics that are no mean of rows cover what they say? Whole tables of results on drawn worlds.

Two ways answer the same rows; a row is as hard for both as a Gaussian copula with correlation .5 says. The truth is the
metric on 100,000 rows. Counted is how often the verdict's 95 % interval of the first way's score, and that of the
difference of both, hold the truth, and how often the plain t interval of the score would.

    python benchmarks/simulate_aggregates.py [--worlds 400]

Setting by setting; goes on where it was stopped (runs/simulate_aggregates.jsonl).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from whichway.contracts import Metric
from whichway.nouns import MetricSpec
from whichway.tasks import metrics
from whichway.verdict import stats
from whichway.verdict.compare import Arm, Table

RESULTS = Path(__file__).parent / "results"
STATE = Path("runs/simulate_aggregates.jsonl")
METRICS = ("mcc", "auc", "macro_f1")
SHARES = ((2, 0.5), (2, 0.15), (4, 0.25), (4, 0.7))  # labels, share of the first; the others share the rest
RIGHT = (0.65, 0.8, 0.95)
ROWS = (50, 200)
WORSE = 0.1  # of the second way


def world(
    rng: np.random.Generator, rows: int, labels: int, share: float, right: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Targets, and each way's label scores."""
    chances = np.full(labels, (1 - share) / (labels - 1))
    chances[0] = share
    targets, hard, found = rng.choice(labels, rows, p=chances), rng.normal(size=rows), []
    for skill in (right, right - WORSE):
        lead = special.ndtri(skill) - math.sqrt(0.5) * (hard + rng.normal(size=rows))
        scores = np.full((rows, labels), -3.0) - np.abs(lead)[:, None]
        scores[np.arange(rows), (targets + rng.integers(1, labels, rows)) % labels] = 0.0
        scores[np.arange(rows), targets] = lead
        found.append(scores)
    return targets, found


def arm(metric: Metric, targets: np.ndarray, scores: np.ndarray) -> Arm:
    """One way with one run."""
    assert metric.aggregate != "mean"
    said = scores.argmax(axis=1)
    return Arm(
        way="way",
        kind="prompt",
        scores=(said == targets)[None].astype(float),
        targets=targets,
        answers=(scores if metric.needs_scores else said)[None],
        aggregate=metric.aggregate,
        lowest=metric.lowest,
    )


def cover(name: str, labels: int, share: float, right: float, rows: int, worlds: int) -> dict[str, Any]:
    """How often intervals hold the truth in one setting."""
    metric = metrics.load(MetricSpec(name))
    many = _pairs(np.random.default_rng(1), 100_000, labels, share, right)
    whole = Table([arm(metric, *pair) for pair in many], 0.95)
    truth, gap = whole.value(0), whole.value(1) - whole.value(0)
    rng, held, plain, paired, wide, done = np.random.default_rng(2), 0, 0, 0, 0.0, 0
    while done < worlds:
        pairs = _pairs(rng, rows, labels, share, right)
        if len(set(pairs[0][0])) < 2:
            continue
        done += 1
        table = Table([arm(metric, *pair) for pair in pairs], 0.95)
        low, high = table.interval(0) or (-math.inf, math.inf)
        straight = stats.estimate(table.value(0), float(table.draws[0].std(ddof=1)), rows - 1, 0.95)
        between = table.compare(0, 1)
        held += low <= truth <= high
        wide += (high - low) / worlds
        plain += straight.low <= truth <= straight.high
        paired += (between.low or 0.0) <= gap <= (between.high or 0.0)
    setting = {"metric": name, "labels": labels, "share": share, "right": right, "rows": rows, "worlds": worlds}
    found = {"truth": truth, "held": held / worlds, "plain": plain / worlds, "gap": paired / worlds, "wide": wide}
    return {**setting, **found}


def _pairs(rng: np.random.Generator, rows: int, labels: int, share: float, right: float) -> list[tuple[Any, Any]]:
    targets, scores = world(rng, rows, labels, share, right)
    return [(targets, one) for one in scores]


def page(lines: list[dict[str, Any]], worlds: int) -> str:
    """The table."""
    head = (
        "# Intervals of metrics that are no mean of rows\n\n"
        f"`benchmarks/simulate_aggregates.py --worlds {worlds}`: how often 95 % intervals hold the truth. *plain t* is "
        "what the score's interval would be (`stats.ranged_interval` makes the verdict's). A share of 95 % is known to "
        f"±{196 * math.sqrt(0.95 * 0.05 / worlds):.1f} points.\n\n"
        "| metric | labels | share of the first | right | rows | true score | score | width | plain t | difference |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n"
    )
    body = "".join(
        f"| {x['metric']} | {x['labels']} | {x['share']:.0%} | {x['right']:.0%} | {x['rows']} | {x['truth']:.3f} "
        f"| {x['held']:.1%} | {x['wide']:.3f} | {x['plain']:.1%} | {x['gap']:.1%} |\n"
        for x in lines
    )
    return head + body


def _place(line: dict[str, Any]) -> tuple[int, int, float, int]:
    setting = (line["labels"], line["share"])
    return METRICS.index(line["metric"]), SHARES.index(setting), line["right"], line["rows"]


def main() -> None:
    """Every setting that is not done yet, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=400)
    worlds = parser.parse_args().worlds
    STATE.parent.mkdir(exist_ok=True)
    lines = [json.loads(line) for line in STATE.open()] if STATE.exists() else []
    for name in METRICS:
        for labels, share in SHARES:
            for right in RIGHT:
                for rows in ROWS:
                    setting = (name, labels, share, right, rows, worlds)
                    if setting not in [tuple(list(line.values())[:6]) for line in lines]:
                        lines.append(cover(*setting))
                        with STATE.open("a") as out:
                            out.write(json.dumps(lines[-1]) + "\n")
    done = sorted((line for line in lines if line["worlds"] == worlds), key=_place)
    (RESULTS / "simulate_aggregates.md").write_text(page(done, worlds))


if __name__ == "__main__":
    main()
