"""Whole contests in simulated worlds, with racing and without: false choices, found gains, rows saved, equal verdicts.

    python benchmarks/simulate_contest.py --out benchmarks/results/simulate_contest.md

Unlike `simulate_verdict.py`, which simulates scores, each world is a run from plan to verdict on the fake backend, held
twice over one cache. Interrupted, the same command goes on: finished worlds stand in the state file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "contest"))

from test_contest_worlds import CHEAPEST, EQUAL, GAIN, Came, hold

STATE = Path("runs/simulate_contest.jsonl")


@dataclass(frozen=True, slots=True)
class Setting:
    """Worlds of one truth."""

    name: str
    skill: dict[str, float]
    test: int  # rows
    first: int  # number of the first world

    def good(self, came: Came) -> bool:
        """Whether a contest came out as it should."""
        if self.name == "equal":
            return came.answer == "undecided" or came.choice == CHEAPEST
        return (came.choice, came.answer) == ("tune_lora", "fine-tune")


SETTINGS = (Setting("equal", EQUAL, 150, 0), Setting("gain", GAIN, 400, 100_000))


def worlds(setting: Setting, count: int, state: Path) -> Iterator[tuple[Came, Came]]:
    """Each world with racing and without; those of the state file are not held again."""
    done = {}
    if state.exists():
        lines = [json.loads(line) for line in state.read_text().splitlines()]
        done = {line["number"]: (Came(**line["raced"]), Came(**line["plain"])) for line in lines}
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.open("a") as out:
        for number in range(setting.first, setting.first + count):
            if number not in done:
                done[number] = _both(setting, number)
                raced, plain = map(asdict, done[number])
                out.write(json.dumps({"number": number, "raced": raced, "plain": plain}) + "\n")
                out.flush()
            yield done[number]


def _both(setting: Setting, number: int) -> tuple[Came, Came]:
    place = Path(tempfile.mkdtemp())
    try:
        raced, plain = (hold(number, place, setting.skill, setting.test, racing) for racing in (True, False))
        return raced, plain
    finally:
        shutil.rmtree(place)


def row(setting: Setting, count: int, state: Path) -> str:
    """A line of the table."""
    came = list(worlds(setting, count, state))
    raced, plain = (sum(setting.good(pair[k]) for pair in came) / count for k in (0, 1))
    equal = sum((a.choice, a.answer) == (b.choice, b.answer) for a, b in came) / count
    saved = 1 - sum(a.evaluations for a, _ in came) / sum(a.full_evaluations for a, _ in came)
    if setting.name == "equal":
        truth, wanted = "all at 70 %, 150 test rows", "something dearer named in at most 5 %"
        raced, plain = 1 - raced, 1 - plain
    else:
        truth, wanted = "68, 70 and 80 %, 400 test rows", "tune_lora decided in at least 90 %"
    return f"| {count} | {truth} | {wanted} | {raced:.1%} | {plain:.1%} | {equal:.1%} | {saved:.1%} |"


def main() -> None:
    """Simulate, print the table, write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=1000, help="without a difference")
    parser.add_argument("--gains", type=int, default=100, help="worlds with a true gain")
    parser.add_argument("--state", type=Path, default=STATE, help="finished worlds")
    parser.add_argument("--out", type=Path, help="file to write")
    options = parser.parse_args()
    counts = (options.worlds, options.gains)
    rows = [row(setting, count, options.state) for setting, count in zip(SETTINGS, counts, strict=True)]
    lines = [
        "# Whole contests in simulated worlds",
        "",
        f"`benchmarks/simulate_contest.py --worlds {options.worlds} --gains {options.gains}`: prompt_plain (the",
        "cheapest; 2 candidates), prompt_shots (2 for each of 3 seeds) and tune_lora (4 for each of 3 seeds); rows",
        "are as hard for all, with correlation 0.5, a candidate's own skill varies by 1 point; 100 dev rows.",
        "Saved: of the dev rows that these candidates would have answered.",
        "",
        "| worlds | truth | wanted | with racing | without | same verdict | dev rows saved |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
    page = "\n".join(lines) + "\n"
    sys.stdout.write(page)
    if options.out:
        options.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
