"""Answers a second: ours against transformers' `generate` and pipeline, llama.cpp, and lm-evaluation-harness.

Two tasks. *Few-shot*: a prompt of 1,000 tokens in front of each row, 8 tokens written. *77 labels*: every label's
probability after each row, as in a bank's intents. Sides take turns as in `learn.py`; one turn answers all rows. Peers
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

from learn import HERE, Side

from whichway.contest.dry_run.machine_load import processor
from work import Shape, answering

TORCH: list[dict[str, Any]] = [
    {"weights": "bf16", "attention": "sdpa", "batch": 32},
    {"weights": "bf16", "attention": "sdpa", "batch": 8},
    {"weights": "fp32", "attention": "sdpa", "batch": 8},
    {"weights": "bf16", "attention": "eager", "batch": 8},
]
LLAMA: list[dict[str, Any]] = [
    {"weights": "bf16", "batch": 32, "pass": 512},
    {"weights": "bf16", "batch": 64, "pass": 1024},
    {"weights": "fp32", "batch": 32, "pass": 512},
    {"weights": "fp16", "batch": 32, "pass": 512},
]
PROMPT = {"generate": 1000, "choose": 60}
NEW, ROWS = 8, 128
# peer: its task, its script, its settings, rows of a turn on each shape (so that a turn takes seconds, not minutes)
PEERS: dict[str, tuple[str, str, list[dict[str, Any]], dict[str, int]]] = {
    "transformers generate": ("generate", "answer_transformers", TORCH, {"embedded": 32, "135m": 8}),
    "llama.cpp, prompt shared": ("generate", "answer_llama", LLAMA, {"embedded": 128, "135m": 64}),
    "lm-evaluation-harness": ("choose", "answer_harness", TORCH, {"embedded": 16, "135m": 1}),
    "transformers pipeline": ("generate", "answer_pipeline", TORCH[:2], {"embedded": 32, "135m": 8}),
}
TOLD = """
Wanted: 20 times transformers' generate, 15 times lm-evaluation-harness. llama.cpp shares the prompt as we do, so there
what differs is how fast the same work is done; it needs neither Python's libraries nor their memory.
"""
HEAD = """# Answering: rows a second

`python benchmarks/answer.py --peers PYTHON` on {processor}, {cores} cores; peers as in `benchmarks/peers.txt`.
Turns alternate, and while one side works the other is stopped; our turn answers {rows} rows and pays for the shared
prompt each time (a session would keep it); a peer's turn answers fewer rows where it would take minutes. Few-shot:
rows of 24 to 56 tokens after a shared prompt of 1,000, 8 tokens written. Labels: 77 of 2 to 5 tokens after a shared
prompt of 60. Peers run at the best of their settings (format, attention or tokens of a pass, rows at once). llama.cpp
reads the shared prompt once, too, and decodes rows together; its weights are the same, written as GGUF by
`sides/gguf_file.py`. vLLM's package is built for GPUs and was not measured. Peak: most memory a process had, libraries
included. FLOP/s: what cannot be done without (`work.py`: layers, attention, head at written tokens, the prompt once;
labels as one pass over row and trie), against the rate of one large matrix product in our format, measured in the same
process. By sharing: how many times our FLOP it takes to read the prompt for every row anew; a greater ratio says that the
same FLOP are done faster, too.
{told}
| model | task: peer | peer rows/s | ours | ratio | spread | by sharing | pairs | peer peak MB | ours | GFLOP/s | format | peer's best |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
{lines}"""  # noqa: E501


def job_file(work: Path, name: str, shape: str, what: str, setting: dict[str, Any]) -> Path:
    """Write what both sides read: prompts and labels as token ids."""
    pick = random.Random(7)
    shared = [pick.randrange(10, 8000) for _ in range(PROMPT[what])]
    prompts = [shared + [pick.randrange(10, 8000) for _ in range(pick.randint(24, 56))] for _ in range(ROWS)]
    words = [pick.randrange(10, 8000) for _ in range(40)]
    labels = {tuple(pick.choices(words, k=pick.randint(1, 4))): None for _ in range(400)}
    named = [[f"label {n}", [*ids, 5]] for n, ids in enumerate(list(labels)[:77])]
    job = {
        "model": str(work / shape), "threads": os.cpu_count(), "what": what, "new": NEW, "prompts": prompts,
        "labels": named if what == "choose" else [], "setting": setting,
    }  # fmt: skip
    place = work / f"{name}.job.json"
    place.write_text(json.dumps(job))
    return place


def sweep(args: argparse.Namespace, shape: str, peer: str) -> dict[str, Any]:
    """The peer's best setting; on a second shape only the two that were best on the first are tried."""
    what, script, settings, rows = PEERS[peer]
    rates: dict[int, float] = {}
    for number in _tried(args, shape, script, len(settings)):
        place = args.work / f"sweep-{shape}-{script}-{number}.json"
        if not place.exists():
            asked = {**settings[number], "rows": rows[shape]}
            side = Side(args.peers, script, job_file(args.work, place.stem, shape, what, asked))
            told = [side.step() for _ in range(2 if shape == "embedded" else 1)][-1]
            side.end()
            place.write_text(json.dumps(told["rows"] / told["seconds"]))
        rates[number] = json.loads(place.read_text())
        print(f"{shape}, {peer} {settings[number]}: {rates[number]:.2f} rows/s", flush=True)
    return settings[max(rates, key=lambda number: rates[number])]


def _tried(args: argparse.Namespace, shape: str, script: str, count: int) -> list[int]:
    known = {n: args.work / f"sweep-embedded-{script}-{n}.json" for n in range(count)}
    if shape == "embedded" or not all(place.exists() for place in known.values()):
        return list(range(count))
    return sorted(known, key=lambda n: -json.loads(known[n].read_text()))[:2]


def measure(args: argparse.Namespace, shape: str, peer: str) -> dict[str, Any]:
    """Turns of both sides."""
    what, script, _, rows = PEERS[peer]
    place = args.work / f"pairs-{shape}-{script}.json"
    if place.exists():
        return dict(json.loads(place.read_text()))
    best = sweep(args, shape, peer)
    job = job_file(args.work, place.stem, shape, what, {**best, "rows": rows[shape]})
    ours, theirs = Side(sys.executable, "answer_ours", job), Side(args.peers, script, job)
    turns = [(theirs.step(), ours.step()) for _ in range(args.pairs + 1)]
    ours.end()
    theirs.end()
    needed, alone = (flops(args.work / shape, job, share=share) for share in (True, False))
    result = {"turns": turns, "best": best, "facts": ours.facts, "flops": needed, "alone": alone}
    place.write_text(json.dumps(result))
    return result


def flops(model: Path, job: Path, *, share: bool) -> float:
    """Of one of our turns; `share`: the prompt is read once, not once a row."""
    read = json.loads(job.read_text())
    size, shape = PROMPT[read["what"]] if share else 0, Shape.of(model)
    own = [len(row) - size for row in read["prompts"]]
    if read["what"] == "generate":
        return answering(shape, size, [n + NEW - 1 for n in own], NEW * len(own))
    following: dict[tuple[int, ...], set[int]] = {}
    for _, ids in read["labels"]:
        for n, token in enumerate(ids):
            following.setdefault(tuple(ids[:n]), set()).add(token)
    inner = [path for path, tokens in following.items() if len(tokens) > 1]
    fed = {path[:n] for path in inner for n in range(1, len(path) + 1)}
    return answering(shape, size, [n + len(fed) for n in own], len(inner) * len(own))


def line(shape: str, peer: str, result: dict[str, Any]) -> str:
    """A row of the table; the first pair warms up."""
    pairs = result["turns"][1:]
    rates = [(t["rows"] / t["seconds"], ROWS / o["seconds"]) for t, o in pairs]
    ratios = sorted(b / a for a, b in rates)
    theirs, ours = (statistics.median(rate[n] for rate in rates) for n in (0, 1))
    peaks = [max(p[n]["memory"] for p in result["turns"]) for n in (0, 1)]
    task = {"generate": "few-shot, 1,000 tokens", "choose": "77 labels"}[PEERS[peer][0]]
    best = ", ".join(str(v) for v in result["best"].values())
    facts, done = result["facts"], result["flops"] * ours / ROWS
    less = f"{result['alone'] / result['flops']:.1f}" if PEERS[peer][0] == "generate" and "shared" not in peer else ""
    return (
        f"| {shape} | {task}: {peer} | {theirs:.2f} | {ours:.1f} | **{statistics.median(ratios):.1f}** | "
        f"{ratios[0]:.1f} to {ratios[-1]:.1f} | {less} | {len(pairs)} | {peaks[0]:.0f} | {peaks[1]:.0f} | "
        f"{done / 1e9:.0f} of {facts['rate'] / 1e9:.0f} ({done / facts['rate']:.0%}) | {facts['format']} | {best} |"
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
        for peer in [peer for peer in PEERS if PEERS[peer][0] in args.tasks.split(",")]:
            lines.append(line(shape, peer, measure(args, shape, peer)))
            print(lines[-1], flush=True)
    text = HEAD.format(processor=processor(), cores=os.cpu_count(), rows=ROWS, lines="\n".join(lines), told=TOLD)
    args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
