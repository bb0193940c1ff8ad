"""Twelve equal cells with simulated latency: how much faster a contest is with four workers than with one.

Usage: python benchmarks/executors.py [--delay SECONDS] [--out FILE]

The fake model sleeps at each call, so that four processes need no four cores; the start of each process is part of what
is measured. Twelve variants of the plain prompt, which differ in their longest answer, stand for twelve ways that share
no answer.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from table_writer import write_table

import whichway
from whichway.app.configure import build
from whichway.contest import Settings, run
from whichway.nouns import Example, MetricSpec, Task

TICKETS = Path(whichway.__file__).parent / "examples" / "support" / "tickets.csv"
CELLS = 12


def task_of(delay: float) -> Task:
    """Forty rows of each split, read by a model that sleeps at each call; answers are written, not chosen."""
    with TICKETS.open(encoding="utf-8", newline="") as file:
        rows = [Example({"text": r["text"]}, r["team"]) for r in csv.DictReader(file)][:120]
    splits = (tuple(rows[:40]), tuple(rows[40:80]), tuple(rows[80:]))
    return Task("support", "Which team?", *splits, MetricSpec("exact_match"), model=f"fake:delay={delay}")


def seconds(delay: float, executor: str, workers: int | None) -> tuple[float, bytes]:
    """Seconds of a contest with an empty cache, and its verdict."""
    task = task_of(delay)
    ways = {f"prompt_plain~{k}": {"max_tokens": 20 + k} for k in range(CELLS)}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        settings = Settings(ways, Path(place) / ".cache", executor=executor, workers=workers)
        began = time.perf_counter()
        run(task, build(task, ()), folder=folder, settings=settings)
        return time.perf_counter() - began, (folder / "verdict.json").read_bytes()


def lines(delay: float) -> Iterator[str]:
    """The page."""
    yield "# Executors: twelve equal cells with simulated latency"
    yield ""
    yield f"`python benchmarks/executors.py --delay {delay:g}`: each call of the model sleeps {delay:g} s."
    yield ""
    yield "| | seconds | times as fast as one worker |"
    yield "|---|---:|---:|"
    plain, verdict = seconds(delay, "", None)
    one, first = seconds(delay, "local", 1)
    yield f"| no executor | {plain:.1f} | {one / plain:.2f} |"
    yield f"| `local`, 1 worker | {one:.1f} | 1 |"
    four, second = seconds(delay, "local", 4)
    yield f"| `local`, 4 workers | {four:.1f} | {one / four:.2f} |"
    yield ""
    yield f"Verdicts equal byte for byte: {'yes' if verdict == first == second else 'no'}."


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=5.0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    write_table(lines(chosen.delay), chosen.out)
