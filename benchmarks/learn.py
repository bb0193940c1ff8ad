"""Rows a second of learning: ours against TRL + PEFT, on the same rows in the same order, with the same adapter.

Both sides live in processes of their own and take turns: one step of theirs, one of ours, and so on. A ratio is that of
two neighbouring steps; the table gives the median of all pairs and how they spread. TRL runs at the best of its
settings, found first by a short sweep. Run it again to go on where it was stopped.

    python benchmarks/learn.py --peers ../peers/bin/python

The peers' environment: `python -m venv ../peers && ../peers/bin/pip install -r benchmarks/peers.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from whichway.contest.dry_run.machine_load import processor
from work import Shape, learning

HERE = Path(__file__).parent
SETTINGS: dict[str, dict[str, Any]] = {
    "bf16 weights": {},
    "fp32 weights and bf16 autocast": {"weights": "fp32"},
    "fp32": {"weights": "fp32", "bf16": False},
    "eager attention": {"attention": "eager"},
    "group by length": {"group": True},
    "sleeping threads": {"wait": "PASSIVE"},
    "packing (rows see each other)": {"packing": True},
    "threads that spin shortly": {"wait": "PASSIVE", "spin": "10000"},
}
BASE = {"weights": "bf16", "bf16": True, "attention": "sdpa", "packing": False, "group": False, "loss": "nll"}
ANSWER, BATCH = 4, 16
EACH = {"embedded": 4, "135m": 1}  # steps of a turn
HEAD = """# Learning: rows a second

`python benchmarks/learn.py --peers PYTHON` on {processor}, {cores} cores; peers as in `benchmarks/peers.txt`.
LoRA of rank 16 on all linear layers with float32 masters, batch 16, rows of 24 to 56 tokens and an answer of 4, with and
without a shared prompt. Steps of both sides alternate; a ratio is that of two neighbours; the first pair warms up.
While one side works the other is stopped (SIGSTOP). Peak: most memory a process had, libraries included.
FLOP/s: what cannot be done without (`work.py`: layers, adapters, attention, head at trained tokens, the prompt once),
against the rate of one large matrix product in our format, measured in the same process. By sharing: how many times our
FLOP it takes to run the prompt for every row; a greater ratio says that the same FLOP are done faster, too. Loss gap:
largest relative difference over all steps.
{told}

| model | shared prompt | TRL rows/s | ours | ratio | spread | by sharing | pairs | TRL peak MB | ours | GFLOP/s | loss gap | TRL's best |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
{lines}"""  # noqa: E501
TOLD = """Wanted: 12 (135m) and 10 (embedded) times TRL with the prompt, 4 times without. Without a prompt both sides do
the same products; on the 135m shape TRL did them at a quarter of the product rate, so that 4 times would take all of
it. Compiling the element-wise passes would save about 1 % of a step there for seven seconds of compiling: not done.
"""
SWEPT = "TRL's settings, rows a second (in all: no checkpointing, completion-only loss that makes no full logits):"


class Side:
    """A process that works when it is told to."""

    def __init__(self, python: str, script: str, job: Path, setting: dict[str, Any] | None = None) -> None:
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        for option, name in (("wait", "OMP_WAIT_POLICY"), ("spin", "GOMP_SPINCOUNT")):
            environment |= {name: (setting or {})[option]} if option in (setting or {}) else {}
        log = job.with_suffix(f".{script}.log").open("w")
        command = [python, str(HERE / "sides" / f"{script}.py"), str(job)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        self.facts = self.read()
        self.read()  # ready
        self.process.send_signal(signal.SIGSTOP)  # threads that still spin would work in the other side's turn

    def read(self) -> dict[str, Any]:
        """The next line it tells."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait()}")
        return dict(json.loads(line))

    def step(self) -> dict[str, Any]:
        """One turn."""
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        told = self.read()
        self.read()  # ready: what comes between steps is done
        self.process.send_signal(signal.SIGSTOP)
        return told

    def steps(self, count: int) -> dict[str, Any]:
        """Several turns in a row: their seconds together, and all losses."""
        told = [self.step() for _ in range(count)]
        return {**told[-1], "seconds": sum(t["seconds"] for t in told), "losses": [t["loss"] for t in told]}

    def end(self) -> None:
        """Stop it."""
        self.process.kill()
        self.process.wait()


def rows_of(prompt: int, count: int) -> list[dict[str, list[int]]]:
    """Rows of 24 to 56 own tokens (40 in the mean) and a 4-token answer after a shared prompt; the answer depends on
    the row's first token, so there is something to learn.
    """
    pick = random.Random(prompt)
    shared = [pick.randrange(10, 8000) for _ in range(prompt)]
    answers = [[pick.randrange(10, 8000) for _ in range(ANSWER)] for _ in range(8)]
    rows = []
    for _ in range(count):
        own = [pick.randrange(10, 8000) for _ in range(pick.randint(24, 56))]
        answer = answers[own[0] % 8]
        rows.append({"ids": shared + own + answer, "mask": [0] * (prompt + len(own)) + [1] * ANSWER})
    return rows


def job_file(work: Path, name: str, shape: str, prompt: int, steps: int, setting: dict[str, Any]) -> Path:
    """Write what both sides read."""
    rows = rows_of(prompt, BATCH * (steps + 1))
    if setting.get("group"):  # both sides get the rows in this order, so that their losses can be compared
        rows.sort(key=lambda row: len(row["ids"]))
        batches = [rows[n : n + BATCH] for n in range(0, len(rows), BATCH)]
        random.Random(0).shuffle(batches)
        rows = [row for batch in batches for row in batch]
    job = {
        "model": str(work / shape), "folder": str(work / name / "out"), "threads": os.cpu_count(), "seed": 0,
        "batch": BATCH, "steps": steps, "rate": 1e-3, "longest": prompt + 56 + ANSWER, "rows": rows,
        "factors": [min(1.0, (n + 1) / 2) for n in range(steps + 1)], "setting": {**BASE, **setting},
    }  # fmt: skip
    (work / name).mkdir(parents=True, exist_ok=True)
    place = work / name / "job.json"
    place.write_text(json.dumps(job))
    return place


def sweep(args: argparse.Namespace, shape: str, prompt: int, names: list[str]) -> dict[str, float]:
    """Rows a second of each of TRL's settings, by its second (and third) step."""
    found: dict[str, float] = {}
    for number, name in enumerate(SETTINGS):
        if name not in names:
            continue
        label = f"sweep-{shape}-{prompt}-{number}"
        place = args.work / f"{label}.json"
        if not place.exists():
            job = job_file(args.work, label, shape, prompt, 4, SETTINGS[name])
            side = Side(args.peers, "learn_trl", job, SETTINGS[name])
            seconds = [side.step()["seconds"] for _ in range(3 if shape == "embedded" else 2)][1:]
            side.end()
            rows = BATCH * _rows_in_packed(args.work / label / "job.json", SETTINGS[name])
            place.write_text(json.dumps(rows / min(seconds)))
        found[name] = json.loads(place.read_text())
        print(f"{shape}, prompt {prompt}, TRL {name}: {found[name]:.2f} rows/s", flush=True)
    return found


def _rows_in_packed(job: Path, setting: dict[str, Any]) -> float:
    """Steps of 16 rows in one packed sequence: it is filled with whole rows up to its length."""
    if not setting.get("packing"):
        return 1.0
    read = json.loads(job.read_text())
    mean = statistics.mean(len(row["ids"]) for row in read["rows"])
    return float(read["longest"] / mean)


def measure(args: argparse.Namespace, shape: str, prompt: int, best: str) -> dict[str, Any]:
    """Turns of both sides."""
    label = f"pairs-{shape}-{prompt}"
    place = args.work / f"{label}.json"
    if place.exists():
        return dict(json.loads(place.read_text()))
    each = EACH[shape]
    job = job_file(args.work, label, shape, prompt, each * (args.pairs + 1) + 1, SETTINGS[best])
    ours = Side(sys.executable, "learn_ours", job)
    theirs = Side(args.peers, "learn_trl", job, SETTINGS[best])
    turns = [(theirs.steps(each), ours.steps(each)) for _ in range(args.pairs + 1)]
    ours.end()
    theirs.end()
    needed, alone = (flops(args.work / shape, job, share=share) for share in (True, False))
    result = {"turns": turns, "ours": ours.facts, "best": best, "flops": needed, "alone": alone, "each": each}
    place.write_text(json.dumps(result))
    return result


def flops(model: Path, job: Path, *, share: bool) -> float:
    """Of a step, in the mean over the job's steps; `share`: the prompt is run once a step, not once a row."""
    rows = json.loads(job.read_text())["rows"]
    columns = zip(*(row["ids"] for row in rows), strict=False)
    size = next(n for n, tokens in enumerate(columns) if len(set(tokens)) > 1) if share else 0
    steps = [rows[n : n + BATCH] for n in range(0, len(rows), BATCH)]
    own = [[len(row["ids"]) - 1 - size for row in step] for step in steps]
    return statistics.mean(learning(Shape.of(model), size, some, ANSWER * BATCH) for some in own)


def line(shape: str, prompt: int, result: dict[str, Any]) -> str:
    """A row of the table; the first pair warms up."""
    pairs = result["turns"][1:]
    ratios = sorted(t["seconds"] / o["seconds"] for t, o in pairs)
    rows = BATCH * result["each"]
    theirs, ours = (statistics.median(rows / p[n]["seconds"] for p in pairs) for n in (0, 1))
    facts = result["ours"]
    done = result["flops"] * ours / BATCH
    peaks = [max(p[n]["memory"] for p in result["turns"]) for n in (0, 1)]
    gap = max(abs(a - b) / a for t, o in result["turns"] for a, b in zip(t["losses"], o["losses"], strict=True))
    return (
        f"| {shape} | {prompt} | {theirs:.2f} | {ours:.1f} | **{statistics.median(ratios):.1f}** | "
        f"{ratios[0]:.1f} to {ratios[-1]:.1f} | {result['alone'] / result['flops']:.1f} | {len(pairs)} | "
        f"{peaks[0]:.0f} | {peaks[1]:.0f} | "
        f"{done / 1e9:.0f} of {facts['rate'] / 1e9:.0f} ({done / facts['rate']:.0%}) | "
        f"{100 * gap:.2f} % | {result['best']} |"
    )


def curves(results: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Losses of both sides, step by step."""
    lines = ["", "Loss of each step, nats per trained token (TRL / ours):", ""]
    for (shape, prompt), result in results.items():
        both = [(a, b) for t, o in result["turns"] for a, b in zip(t["losses"], o["losses"], strict=True)]
        pairs = ", ".join(f"{a:.3f} / {b:.3f}" for a, b in both)
        lines.append(f"- {shape}, prompt {prompt}: {pairs}")
    return lines


def main() -> None:
    """Sweep, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=str(HERE.parent.parent / "peers" / "bin" / "python"))
    parser.add_argument("--shapes", default="embedded,135m")
    parser.add_argument("--prompts", default="128,0")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--settings", default=",".join(SETTINGS), help="those of TRL's that are tried")
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "learn")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "learn.md")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    results, sweeps, names = {}, {}, args.settings.split(",")
    for shape in args.shapes.split(","):
        subprocess.run([sys.executable, str(HERE / "sides" / "shapes.py"), shape, str(args.work / shape)], check=True)
        for prompt in map(int, args.prompts.split(",")):
            key = (shape, prompt)
            sweeps[key] = sweep(args, shape, prompt, names)
            fair = {name: rate for name, rate in sweeps[key].items() if not SETTINGS[name].get("packing")}
            best = max(fair, key=lambda name: fair[name])
            results[key] = measure(args, shape, prompt, best)
            print(line(shape, prompt, results[key]), flush=True)
        # On the next shape only the setting is tried that was best on this one.
        names = [
            max(names, key=lambda name: min(found.get(name, 0.0) / max(found.values()) for found in sweeps.values()))
        ]
    write(args, results, sweeps)


def write(args: argparse.Namespace, results: dict[Any, Any], sweeps: dict[Any, dict[str, float]]) -> None:
    """The committed table."""
    lines = [line(shape, prompt, result) for (shape, prompt), result in results.items()]
    given = {"processor": processor(), "cores": os.cpu_count(), "lines": "\n".join(lines), "told": TOLD}
    text = [HEAD.format(**given), *curves(results), "", SWEPT, ""]
    for (shape, prompt), found in sweeps.items():
        told = ", ".join(f"{name} {rate:.2f}" for name, rate in found.items())
        text.append(f"- {shape}, prompt {prompt}: {told}")
    args.out.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
