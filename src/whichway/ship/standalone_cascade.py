"""Answer rows with this folder's stages: one row a line on standard input, one answer a line on standard output.

It is shipped as `use.py` and does not import whichway; each stage lies in a folder with a `use.py` of its own. The
first stage answers where it is sure, the next one the rest: `deferrals` in `manifest.json` says how sure.

    python use.py < rows.txt
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIMIT = 30.0  # log-odds; beyond it all is the same
CERTAIN = 1 - 1e-9


class Winner:
    """The shipped stages; those after the first are loaded when they are wanted first."""

    def __init__(self) -> None:
        self.deferrals = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))["deferrals"]
        self.stages: dict[int, Any] = {}

    def __call__(self, row: Any) -> str:
        """The answer to one row."""
        return self.staged(row)[0]

    def staged(self, row: Any) -> tuple[str, int]:
        """The answer to one row, and which stage gave it, from 1."""
        for number, deferral in enumerate(self.deferrals, 1):
            stage = self.stage(number)
            scores = getattr(stage, "label_scores", stage.scores)(row)
            if confidence(scores, deferral) >= deferral["least"]:
                return max(scores, key=lambda label: scores[label]), number
        return str(self.stage(len(self.deferrals) + 1)(row)), len(self.deferrals) + 1

    def stage(self, number: int) -> Any:
        """The stage of a number, from 1."""
        if number not in self.stages:
            from importlib.util import module_from_spec, spec_from_file_location

            spec = spec_from_file_location(f"stage_{number}", HERE / f"stage_{number}" / "use.py")
            assert spec is not None
            assert spec.loader is not None
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            self.stages[number] = module.Winner()
        return self.stages[number]


def confidence(scores: dict[str, float], deferral: dict[str, float]) -> float:
    """The calibrated probability that the likeliest label is right."""
    top, *others = sorted(scores.values(), reverse=True)
    rest = math.fsum(math.exp(score - top) for score in others)
    odds = max(-LIMIT, min(LIMIT, -math.log(rest))) if rest > 0 else LIMIT
    x = deferral["slope"] * odds + deferral["intercept"]
    return min(CERTAIN, 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x)))


def main() -> None:
    """Read rows, write answers."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    winner = Winner()
    for line in sys.stdin:
        if line.strip():
            print(winner(line.rstrip("\n")), flush=True)


if __name__ == "__main__":
    main()
