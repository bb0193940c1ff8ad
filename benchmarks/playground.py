"""Edit to score in the playground: seconds from a changed prompt to its score on 100 labelled dev rows.

`python benchmarks/playground.py [--edits 20]` on the support example with the embedded model. The model is loaded once,
before the clock starts; every edit is new (nothing comes from the cache); calibration on 64 training inputs is inside
the time. Writes benchmarks/results/playground.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from whichway.app.prompt_session import open_session
from whichway.nouns import Prompt
from whichway.tasks import from_flags

TASK = Path(__file__).parents[1] / "src/whichway/examples/support/task.yaml"
RESULT = Path(__file__).parent / "results/playground.md"
ROWS = 100


def edits(plain: Prompt, count: int) -> list[tuple[str, Prompt]]:
    """New prompts: other words at the start (nothing of the prefix can be kept) and one more sentence."""
    other = [(f"objective {n}", replace(plain, objective=f"Case {n}. {plain.objective}")) for n in range(count // 2)]
    more = [
        (f"sentence {n}", replace(plain, instructions=(f"Think of who can solve it, as in case {n}.",)))
        for n in range(count - count // 2)
    ]
    return other + more


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=20)
    count = parser.parse_args().edits
    lines = []
    for calibrate in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            opened = time.perf_counter()
            with open_session(from_flags(TASK), Path(folder), ROWS, calibrate) as seat:
                seat.trials.of(seat.plain, seat.plain, whole=True)
                opened = time.perf_counter() - opened
                seconds = []
                for _, prompt in edits(seat.plain, count):
                    start = time.perf_counter()
                    trial = seat.trials.of(prompt, seat.plain, whole=True)
                    seat.lint(prompt)
                    seconds.append(time.perf_counter() - start)
                    assert trial.rows == ROWS
        name = "calibrated (default)" if calibrate else "--no-calibrate"
        lines.append(
            f"| {name} | {opened:.1f} | {statistics.median(seconds):.2f} | {max(seconds):.2f} | {min(seconds):.2f} |"
        )
        print(lines[-1])
    head = f"{count} edits, {ROWS} dev rows each, {os.cpu_count()} cores, Python {platform.python_version()}"
    RESULT.write_text(
        f"# Playground: edit to score\n\n{head}; seconds, lint included.\n\n"
        "| | open and first score | median | slowest | fastest |\n|---|---|---|---|---|\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
