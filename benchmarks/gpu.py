"""One command that says whether whichway works on this machine's card, and how fast: a page to send us.

Usage: python benchmarks/gpu.py [--model smollm2] [--rows N] [--out FILE]

It trains and asks the same small contest twice in processes of their own, on the processor (the card hidden) and on
what the probe chose, and compares: answers, scores, seconds. Where there are several cards it also trains one adapter
on one of them and sharded over all (FSDP), and compares: loss, seconds, memory, answers. Without a card that computes
it says why, and ends with 1.

`--part --shards 2` prints the numbers of such a training alone, also on a processor.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from table_writer import write_table

import whichway
from whichway import models
from whichway.app.configure import build
from whichway.backends import local
from whichway.contest import Settings, run
from whichway.engine.model import load, throughput
from whichway.nouns import Decoding, Example, Message, MetricSpec, Request, Task, TrainJob, TrainRow

TICKETS = Path(whichway.__file__).parent / "examples" / "support" / "tickets.csv"
WAYS: dict[str, dict[str, Any]] = {"prompt_plain": {}, "prompt_shots": {"counts": (8,)}, "tune_lora": {"epochs": 2}}


def probe() -> dict[str, str]:
    """The card, and what the engine makes of it."""
    where = load.device()
    facts = {"torch": torch.__version__, "CUDA of torch": str(torch.version.cuda), "device": where.type}
    if torch.cuda.is_available():
        facts["card"] = torch.cuda.get_device_name()
        facts["compute capability"] = ".".join(map(str, torch.cuda.get_device_capability()))
        facts["memory"] = f"{torch.cuda.get_device_properties(0).total_memory / 2**30:.0f} GiB"
    facts["format of frozen weights"] = str(throughput.dtype(where, 4096)).removeprefix("torch.")
    return facts


def why_none() -> str:
    """Why no card is used."""
    if torch.version.cuda is None:
        return "this build of PyTorch is for processors; see pytorch.org for one with CUDA"
    if not torch.cuda.is_available():
        return "PyTorch sees no card: driver, container or CUDA_VISIBLE_DEVICES"
    return "the card is seen but does not compute with this build of PyTorch (its warning stands above)"


def contest(model: str, rows: int) -> dict[str, Any]:
    """A contest in this process: seconds, and each test row's answer by way."""
    with TICKETS.open(encoding="utf-8", newline="") as file:
        examples = [Example({"text": r["text"]}, r["team"]) for r in csv.DictReader(file)][: 3 * rows]
    labels = tuple(sorted({example.target for example in examples}))
    metric = MetricSpec("accuracy", {"labels": list(labels)})
    splits = [tuple(examples[k * rows : (k + 1) * rows]) for k in range(3)]
    task = Task("gpu", "Which team?", *splits, metric, labels, model=model)
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        settings = Settings(WAYS, Path(place) / ".cache", seeds=(0,), forgetting=False)
        outcome = run(task, build(task, ()), folder=Path(place) / "run", settings=settings)
        finished = outcome.run
        answers = {
            f"{s.way}/{row.id}": finished.answers(s, row.id)[0].text
            for s in outcome.verdict.standings if s.status == "ok" for row in finished.test
        }  # fmt: skip
        return {
            "seconds": time.perf_counter() - began,
            "device": load.device().type,
            "scores": {s.way: s.score for s in outcome.verdict.standings},
            "reasons": {s.way: s.reason for s in outcome.verdict.standings if s.reason},
            "per_row": {s.way: s.seconds_per_row for s in outcome.verdict.standings},
            "fit": {s.way: s.seconds_fit for s in outcome.verdict.standings},
            "answers": answers,
        }


def training(model: str, rows: int, shards: int) -> dict[str, Any]:
    """A LoRA training in this process's care, shared out among so many; and what its adapter answers."""
    backend = local.backend()
    backend.shards = shards
    with TICKETS.open(encoding="utf-8", newline="") as file:
        pairs = [((Message("user", f"Which team?\n{r['text']}"),), r["team"]) for r in csv.DictReader(file)][: 2 * rows]
    labels = tuple(sorted({team for _, team in pairs}))
    weights = backend.weights(models.name_of(model))
    job = TrainJob("lora", weights, tuple(TrainRow(*pair) for pair in pairs[:rows]), labels, 0, {"checkpoints": 1})
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        trained = list(backend.train(job, Path(place), None))[-1]
        seconds = time.perf_counter() - began
        with backend.open(trained.weights, Path(place) / str(trained.weights.adapter)) as session:
            replies = session.choose([Request(messages, Decoding(), labels) for messages, _ in pairs[rows:]])
    return {
        "seconds": seconds, "fit": trained.seconds, "loss": trained.loss, "tokens": trained.tokens,
        "memory": trained.peak_bytes, "answers": {str(n): reply.text for n, reply in enumerate(replies)},
    }  # fmt: skip


def sharded_lines(words: list[str], cards: int) -> Iterator[str]:
    """The part of the page about a training over several cards."""
    yield ""
    yield f"One LoRA training on one card, and sharded over {cards}:"
    yield ""
    yield "| cards | seconds | of them training | tokens/s | loss | memory of a card, GiB |"
    yield "|---:|---:|---:|---:|---:|---:|"
    results = [apart([*words, "--shards", str(count)], None) for count in (1, cards)]
    for count, result in zip((1, cards), results, strict=True):
        if "error" in result:
            yield f"| {count} | failed: {result['error']} | | | | |"
            continue
        rate, memory = result["tokens"] / result["fit"], (result["memory"] or 0) / 2**30
        yield (
            f"| {count} | {result['seconds']:.1f} | {result['fit']:.1f} | {rate:,.0f} | {result['loss']:.4f} "
            f"| {memory:.2f} |"
        )
    first, second = (result.get("answers", {}) for result in results)
    yield ""
    yield f"Equal answers: {sum(first.get(key) == text for key, text in second.items())} of {len(second)}."


def apart(words: list[str], visible: str | None) -> dict[str, Any]:
    """The contest, or a training, in a process of its own, which sees the card or does not."""
    env = dict(os.environ) if visible is None else {**os.environ, "CUDA_VISIBLE_DEVICES": visible}
    command = [sys.executable, __file__, "--part", *words]
    answer = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if answer.returncode != 0:
        return {"error": answer.stderr.strip().splitlines()[-1:]}
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result


def lines(words: list[str], command: str) -> Iterator[str]:
    """The page."""
    yield "# On this machine's card"
    yield ""
    yield f"`{command}` on {platform.platform()}, whichway {whichway.__version__}."
    yield ""
    yield from (f"- {name}: {value}" for name, value in probe().items())
    yield ""
    sides = {"processor": apart(words, ""), "as the probe chose": apart(words, None)}
    yield "| | device | seconds | way | score | to make, s | a row, ms |"
    yield "|---|---|---:|---|---:|---:|---:|"
    for side, result in sides.items():
        if "error" in result:
            yield f"| {side} | failed: {result['error']} | | | | | |"
            continue
        for way, score in result["scores"].items():
            shown = result["reasons"].get(way) or f"{score:.3f}"
            fit, row = result["fit"][way], 1000 * result["per_row"][way]
            yield f"| {side} | {result['device']} | {result['seconds']:.1f} | {way} | {shown} | {fit:.1f} | {row:.2f} |"
    first, second = (result.get("answers", {}) for result in sides.values())
    both = first.keys() & second.keys()
    if both:
        yield ""
        equal = sum(first[key] == second[key] for key in both)
        yield f"Equal answers: {equal} of {len(both)}. Formats differ in rounding."
    cards = torch.cuda.device_count()
    if cards > 1:
        yield from sharded_lines(words, cards)


def main() -> int:
    """Write the page; 1 where no card was used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--rows", type=int, default=40, help="of each split")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--shards", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    words = ["--model", chosen.model, "--rows", str(chosen.rows)]
    if chosen.part:
        named = chosen.model, chosen.rows
        print(json.dumps(training(*named, chosen.shards) if chosen.shards else contest(*named)))
        return 0
    if load.device().type != "cuda":
        print(f"No card is used: {why_none()}.", file=sys.stderr)
        return 1
    write_table(lines(words, f"python benchmarks/gpu.py {' '.join(words)}"), chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
