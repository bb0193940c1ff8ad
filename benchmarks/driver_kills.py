"""SIGKILL to the driver of a contest whose cells are worked on by other processes: does the same command end equal?

Usage: python benchmarks/driver_kills.py [--runs N] [--out FILE]

Each run is killed once, at a moment drawn at random, and started again. The cells that were under way go on without
their driver; the second start finds their work, or waits for it. What is compared with a run that nobody killed: the
verdict, the plan, the race, the records, the candidates, and what each line of the ledger says was charged and paid.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests" / "contest"), str(HERE.parent / "tests")]

from contest_kit import small_task  # noqa: E402
from executor_kit import TWO, hold, ledger_of, left_by  # noqa: E402
from table_writer import write_table  # noqa: E402

COLUMNS = ("key", "what", "who", "calls", "seconds", "usd", "paid_seconds", "paid_usd")
WORKERS = 2


def drive(place: Path, seconds: float | None = None) -> bool:
    """Hold the contest in a process of its own; whether it was killed, after so many seconds."""
    driver = os.fork()
    if driver == 0:
        try:
            hold(place, "local", replace(small_task(60, 30, 40), model="fake:delay=0.05"), ways=TWO, workers=WORKERS)
        finally:
            os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(driver, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(driver, 0)[1])


def left(place: Path) -> tuple[object, object]:
    """What a run leaves, and its ledger."""
    books = [tuple(line.get(name) for name in COLUMNS) for line in ledger_of(place)]
    return left_by(place), books


def stage(place: Path) -> str:
    """How far a killed run had come."""
    if not (place / "r" / "plan.json").exists():
        return "before the plan"
    if not (place / "r" / "records.jsonl").exists() or not (place / "r" / "records.jsonl").stat().st_size:
        done = len(list(place.glob(".cache/cells/*/result.json")))
        return f"{done} of {len(TWO)} cells done"
    return "in the contest after the cells" if not (place / "r" / "verdict.json").exists() else "after the verdict"


def lines(runs: int) -> Iterator[str]:
    """The page."""
    yield "# A killed driver goes on"
    yield ""
    yield f"`python benchmarks/driver_kills.py --runs {runs}`: two ways in cells of their own, `--executor local`,"
    yield f"{WORKERS} workers. The driver is killed by SIGKILL at a random moment and started again."
    yield ""
    yield "| killed when | kills | the rerun ended equal |"
    yield "|---|---:|---:|"
    rng, results = random.Random(0), dict[str, list[bool]]()
    with tempfile.TemporaryDirectory() as work:
        began = time.monotonic()
        (Path(work) / "whole").mkdir()
        drive(Path(work) / "whole")
        whole, seconds = left(Path(work) / "whole"), time.monotonic() - began
        while sum(map(len, results.values())) < runs:
            with tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as name:
                place = Path(name)
                if not drive(place, rng.uniform(0.0, 1.0) * seconds):
                    continue  # it had ended
                when = stage(place)
                drive(place)
                equal = (place / "r" / "verdict.json").exists() and left(place) == whole
                results.setdefault(when, []).append(equal)
                print(when, equal, file=sys.stderr, flush=True)
    for when, equals in sorted(results.items()):
        yield f"| {when} | {len(equals)} | {sum(equals)} |"
    yield f"| all | {runs} | {sum(map(sum, results.values()))} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    write_table(lines(chosen.runs), chosen.out)
