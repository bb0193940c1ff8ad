"""Answers a second: ours against transformers' batched `generate`, and against lm-evaluation-harness' log-likelihoods.

Two tasks. *Few-shot*: a prompt of 1,000 tokens in front of each row, 8 tokens written. *77 labels*: every label's
probability behind each row, as in a bank's intents. Sides take turns as in `learn.py`; one turn answers all rows. Peers
run at the best of their settings, found by a short sweep. A peer's turn may answer fewer rows (told in the table); the
ratio is that of rows a second.

    python benchmarks/answer.py --peers ../peers/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from learn import HERE, Side, processor

SWEEP: list[dict[str, Any]] = [
    {"weights": "bf16", "attention": "sdpa", "batch": 32},
    {"weights": "bf16", "attention": "sdpa", "batch": 8},
    {"weights": "fp32", "attention": "sdpa", "batch": 8},
    {"weights": "bf16", "attention": "eager", "batch": 8},
]
TASKS = {"generate": ("answer_transformers", 1000, 8), "choose": ("answer_harness", 60, 1)}
ROWS = 128
HEAD = """# Answering: rows a second

`python benchmarks/answer.py --peers PYTHON` on {processor}, {cores} cores; peers as in `benchmarks/peers.txt`.
Turns alternate; our turn answers {rows} rows and pays for the shared prompt each time (a session would keep it); the
peer's turn answers fewer rows where it would take minutes. Few-shot: rows of 24 to 56 tokens behind a shared prompt, 8
tokens written. Labels: 77 of 2 to 5 tokens behind a shared prompt of 60. The peers run at the best of four
settings (format, attention, batch). llama-cpp-python has no ready build for this machine, vLLM only one for GPUs:
neither was measured.

| model | task: peer | peer rows/s | ours | ratio | spread | pairs | peer peak MB | ours | our format | peer's best |
|---|---|---|---|---|---|---|---|---|---|---|
{lines}"""


def job_file(work: Path, name: str, shape: str, what: str, setting: dict[str, Any]) -> Path:
    """Write what both sides read: prompts and labels as token ids."""
    _, prompt, new = TASKS[what]
    pick = random.Random(7)
    shared = [pick.randrange(10, 8000) for _ in range(prompt)]
    prompts = [shared + [pick.randrange(10, 8000) for _ in range(pick.randint(24, 56))] for _ in range(ROWS)]
    words = [pick.randrange(10, 8000) for _ in range(40)]
    labels = {tuple(pick.choices(words, k=pick.randint(1, 4))): None for _ in range(400)}
    named = [[f"label {n}", [*ids, 5]] for n, ids in enumerate(list(labels)[:77])]
    job = {
        "model": str(work / shape), "threads": os.cpu_count(), "what": what, "new": new, "prompts": prompts,
        "labels": named if what == "choose" else [], "setting": setting,
    }  # fmt: skip
    place = work / f"{name}.job.json"
    place.write_text(json.dumps(job))
    return place


def few(shape: str, what: str) -> int:
    """Rows of a peer's turn, so that a turn takes seconds, not minutes."""
    return {"embedded": {"generate": 32, "choose": 16}, "135m": {"generate": 8, "choose": 1}}[shape][what]


def sweep(args: argparse.Namespace, shape: str, what: str) -> dict[str, Any]:
    """The peer's best setting."""
    rates = []
    for number, setting in enumerate(SWEEP):
        place = args.work / f"sweep-{shape}-{what}-{number}.json"
        if not place.exists():
            rows = few(shape, what)
            asked = {**setting, "rows": rows}
            side = Side(args.peers, TASKS[what][0], job_file(args.work, place.stem, shape, what, asked))
            told = [side.step() for _ in range(2 if shape == "embedded" else 1)][-1]
            side.end()
            place.write_text(json.dumps(told["rows"] / told["seconds"]))
        rates.append(json.loads(place.read_text()))
        print(f"{shape}, {what}, peer {setting}: {rates[-1]:.2f} rows/s", flush=True)
    return SWEEP[rates.index(max(rates))]


def measure(args: argparse.Namespace, shape: str, what: str) -> dict[str, Any]:
    """Turns of both sides."""
    place = args.work / f"pairs-{shape}-{what}.json"
    if place.exists():
        return dict(json.loads(place.read_text()))
    best = sweep(args, shape, what)
    job = job_file(args.work, place.stem, shape, what, {**best, "rows": few(shape, what)})
    ours, theirs = Side(sys.executable, "answer_ours", job), Side(args.peers, TASKS[what][0], job)
    turns = [(theirs.step(), ours.step()) for _ in range(args.pairs + 1)]
    ours.end()
    theirs.end()
    result = {"turns": turns, "best": best, "format": ours.facts["format"]}
    place.write_text(json.dumps(result))
    return result


def line(shape: str, what: str, result: dict[str, Any]) -> str:
    """A row of the table; the first pair warms up."""
    pairs = result["turns"][1:]
    rates = [(t["rows"] / t["seconds"], ROWS / o["seconds"]) for t, o in pairs]
    ratios = sorted(b / a for a, b in rates)
    theirs, ours = (statistics.median(rate[n] for rate in rates) for n in (0, 1))
    peaks = [max(p[n]["memory"] for p in result["turns"]) for n in (0, 1)]
    told = {"generate": "few-shot, 1,000 tokens: transformers", "choose": "77 labels: lm-evaluation-harness"}[what]
    best = ", ".join(str(v) for v in result["best"].values())
    return (
        f"| {shape} | {told} | {theirs:.2f} | {ours:.1f} | **{statistics.median(ratios):.1f}** | {ratios[0]:.1f} to "
        f"{ratios[-1]:.1f} | {len(pairs)} | {peaks[0]:.0f} | {peaks[1]:.0f} | {result['format']} | {best} |"
    )


def main() -> None:
    """Sweep, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=str(HERE.parent.parent / "peers" / "bin" / "python"))
    parser.add_argument("--shapes", default="embedded,135m")
    parser.add_argument("--tasks", default="generate,choose")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "answer")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "answer.md")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    lines = []
    for shape in args.shapes.split(","):
        subprocess.run([sys.executable, str(HERE / "sides" / "shapes.py"), shape, str(args.work / shape)], check=True)
        for what in args.tasks.split(","):
            lines.append(line(shape, what, measure(args, shape, what)))
            print(lines[-1], flush=True)
    text = HEAD.format(processor=processor(), cores=os.cpu_count(), rows=ROWS, lines="\n".join(lines))
    args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
