"""SIGKILL at many moments of a contest with real trainings: does the rerun end equal, byte for byte?

Named places (a training step, the write of a checkpoint, ...) at the first, second, fourth and eighth pass there; and
moments drawn at random. What is compared: verdict, records, ledger, race, candidates and the trained parts.

    python benchmarks/kills.py
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
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests" / "contest"), str(HERE.parent / "tests")]

import torch  # noqa: E402
from conftest import CHATML, _model, _tokenizer  # noqa: E402
from kill_kit import SPOTS, _work, left_by, start  # noqa: E402

HEAD = """# Killed and run again

`python benchmarks/kills.py`: a contest of zero-shot, LoRA (four rates, two seeds) and biases on a tiny random Llama,
killed by SIGKILL and started again. Clocks stand still in it, so that all it leaves can be compared byte by byte with a
run that nobody killed: verdict, records, ledger, race, candidates, trained parts. The state is saved at every step.

| killed at | kills | the rerun ended equal |
|---|---|---|
{lines}
"""


def model(folder: Path) -> Path:
    """The tests' tiny Llama."""
    tokenizer = _tokenizer(CHATML)
    _model("llama", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def at_a_moment(place: Path, folder: Path, seconds: float) -> bool:
    """Start a run and kill it after so many seconds; whether it was still running."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _work(place, folder, "", 0)
            code = 0
        finally:
            os._exit(code)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def places(work: Path, folder: Path, whole: dict[str, str]) -> Iterator[tuple[str, int, int]]:
    """(where, kills, equal reruns) for each named place."""
    for spot in SPOTS:
        kills = equal = 0
        for count in (1, 2, 4, 8):
            with tempfile.TemporaryDirectory(dir=work) as place:
                if start(Path(place), folder, spot, count) != -signal.SIGKILL:
                    continue  # there is no such pass
                kills += 1
                equal += start(Path(place), folder) == 0 and left_by(Path(place)) == whole
        yield spot, kills, equal


def moments(work: Path, folder: Path, whole: dict[str, str], seconds: float, count: int) -> tuple[str, int, int]:
    """The same at random moments: each run is killed three times before it may end."""
    rng, kills, equal = random.Random(0), 0, 0
    for _ in range(count):
        with tempfile.TemporaryDirectory(dir=work) as place:
            kills += sum(at_a_moment(Path(place), folder, rng.uniform(0.05, 0.7) * seconds) for _ in range(3))
            equal += start(Path(place), folder) == 0 and left_by(Path(place)) == whole
    return f"random moments, up to three times each of {count} runs", kills, equal


def main() -> None:
    """Kill, compare, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="runs killed at random moments")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "kills.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    import whichway.backends.local
    import whichway.engine.train.trainer  # noqa: F401  (imported once, for all forks)

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = model(work / "model")
        (work / "whole").mkdir()
        began = time.monotonic()
        assert start(work / "whole", folder) == 0
        seconds, whole = time.monotonic() - began, left_by(work / "whole")
        lines = []
        for spot, kills, equal in places(work, folder, whole):
            lines.append(f"| {spot} | {kills} | {equal} of {kills} |")
            print(lines[-1], flush=True)
        spot, kills, equal = moments(work, folder, whole, seconds, args.runs)
        lines.append(f"| {spot} | {kills} | {equal} of {args.runs} |")
    args.out.write_text(HEAD.format(lines="\n".join(lines)), encoding="utf-8")


if __name__ == "__main__":
    main()
