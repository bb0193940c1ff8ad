"""`whichway check` on 200,000 rows, 60 MB of CSV, on two threads; seconds and memory of the whole command.

    python benchmarks/check_large.py [--rows 200000]

The rows are made up: 44 words each from 20,000 made-up words, one of 20 labels, quotes and commas in every row. The
table goes to benchmarks/results/check_large.md. Processor seconds stand beside those of the clock, as the machine may
be busy.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "check_large.md"
SYLLABLES = [c + v for c in "bcdfglmnprst" for v in "aeiou"]


def write(path: Path, rows: int) -> None:
    """A CSV file of made-up rows."""
    rng = random.Random(5)
    words = ["".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 4))) for _ in range(20_000)]
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("text", "label"))
        for n in range(rows):
            label = rng.randrange(20)
            text = f'{" ".join(rng.choices(words, k=44))}, {words[label]} "{n}"'
            writer.writerow((text, f"team {words[label]}"))


def measure(path: Path) -> dict[str, float]:
    """Seconds and memory of `whichway check`."""
    start = time.perf_counter()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    command = [sys.executable, "-m", "whichway", "check", "--data", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **threads})
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "clock": time.perf_counter() - start,
        "processor": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss / 1024,
        "busy": os.getloadavg()[0],
    }


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write(path, rows)
        size = path.stat().st_size / 1e6
        found = measure(path)
    RESULT.write_text(
        "# `whichway check` on a large file\n\n`python benchmarks/check_large.py`, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, two threads. The load is that of the whole "
        "machine at the end: above 2 others computed beside it, and the clock says little.\n\n"
        "| rows | MB | seconds (clock) | seconds (processor) | memory, MB | load |\n|---|---|---|---|---|---|\n"
        f"| {rows:,} | {size:.0f} | {found['clock']:.1f} | {found['processor']:.1f} | {found['memory']:.0f} | "
        f"{found['busy']:.1f} |\n",
        encoding="utf-8",
    )
    print(RESULT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
