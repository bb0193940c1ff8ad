"""A contest of 1,000 cells and up to ten million records: plan, books and verdict, their memory and their seconds.

Usage: python benchmarks/big_records.py [--millions 1 2.5 10] [--work FOLDER] [--out FILE]

Twenty contestants (ten ways on two models) in fifty folds are 1,000 cells; each answers each row once, so that ten
million records are half a million rows. Plan, rows and candidates are written by the contest's own functions; the
records are lines as the records' writer makes them. What is measured, each part in a process of its own:

- plan: the plan is made, and written with its rows;
- books: a contest that goes on takes up what was written before;
- verdict: from the run folder alone.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from table_writer import write_table

from whichway.app.configure import build
from whichway.contest import Components, Settings, make_plan
from whichway.contest.open_books import open_ledger
from whichway.contracts import follow_nothing
from whichway.nouns import Candidate, Decoding, Example, MetricSpec, Record, Task, digest, to_json
from whichway.prompts.plain import base_prompt
from whichway.runs.folder import prepare, write_json, write_text
from whichway.runs.results import run_results
from whichway.runs.run import Run

WAYS = {
    "prompt_plain": "prompt", "prompt_shots": "prompt", "prompt_search": "prompt", "prompt_framework": "prompt",
    "prompt_role": "prompt", "tune_lora": "fine-tune", "tune_full": "fine-tune", "tune_probe": "fine-tune",
    "tune_bias": "fine-tune", "both_shots_lora": "both",
}  # fmt: skip
MODELS, FOLDS = 2, 50
LABELS = ("billing", "delivery", "refund", "technical")
PARTS = ("plan", "books", "verdict")


def task_of(rows: int) -> Task:
    """So many rows in folds, which differ in their text."""
    examples = [Example({"text": f"message {k} of a customer"}, LABELS[k % 4]) for k in range(rows)]
    folds = tuple(tuple(examples[k::FOLDS]) for k in range(FOLDS))
    few = tuple(examples[:40])
    models = tuple(f"fake:seconds={(k + 1) / 1000:g}" for k in range(MODELS))
    return Task("big", "Which team?", few, few, few, MetricSpec("accuracy"), LABELS, models=models, folds=folds)


def contest(rows: int, folder: Path) -> tuple[Task, Components, Settings]:
    """The task, its components and its settings."""
    task = task_of(rows)
    components = build(task, ())
    names = [f"{way}@{model}" for way in WAYS for model in components.models]
    settings = Settings({name: {} for name in names}, folder.parent / ".cache", seeds=tuple(range(FOLDS)))
    return task, components, settings


def candidates(task: Task, components: Components, name: str) -> list[Candidate]:
    """The finalist of each fold of a contestant."""
    base = components.base_of(name)
    prompt = base_prompt(task.train_dev_view())
    return [
        Candidate(prompt, base, Decoding("choose"), way=name, seed=fold, note="plain") for fold in range(FOLDS)
    ]


def write_ways(task: Task, components: Components, names: list[str], folder: Path) -> dict[str, list[str]]:
    """Write what ways leave beside their records; returns the ids of their finalists."""
    ids = {}
    for number, name in enumerate(names):
        facts = [
            {
                "id": digest([name, one.seed]), "dev_score": 0.8, "dev_rows": 40, "seconds_fit": 1.0 + number,
                "usd_fit": 1e-4, "finalist": True, "candidate": to_json(one),
            }
            for one in candidates(task, components, name)
        ]  # fmt: skip
        ids[name] = [str(line["id"]) for line in facts]
        write_text(folder / "ways" / name / "candidates.jsonl", "".join(json.dumps(line) + "\n" for line in facts))
        kind = WAYS[name.partition("@")[0]]
        status = {"status": "ok", "reason": "", "kind": kind, "random": kind != "prompt", "calls_fit": 400}
        write_json(folder / "ways" / name / "status.json", {**status, "seconds_fit": 1.0 + number, "usd_fit": 1e-4})
    return ids


def record_line(name: str, example: str, right: bool, text: str) -> str:
    """A record as the records' writer makes it; JSON of a noun takes ten times as long as this text."""
    return (
        f'{{"cached": false, "candidate": "{name}", "example": "{example}", "outcome": "ok", "repeat": 0, '
        f'"score": {float(right)}, "seconds": 0.001, "split": "test", "text": "{text}", "tokens_cached": 33, '
        f'"tokens_in": 3, "tokens_out": 2, "usd": 2.5e-08, "why": ""}}\n'
    )


def write_records(task: Task, ids: dict[str, list[str]], folder: Path) -> None:
    """A line for each contestant and row, fold by fold as a contest writes them."""
    sample = Record("c", "e", "test", 0, "ok", 1.0, "x", "", 3, 33, 2, 0.001, 2.5e-08)
    assert json.dumps(to_json(sample), sort_keys=True) + "\n" == record_line("c", "e", True, "x")
    rng = random.Random(0)
    with (folder / "records.jsonl").open("w", encoding="utf-8") as file:
        for fold, rows in enumerate(task.folds):
            facts = [(row.id, row.target, LABELS[(LABELS.index(row.target) + 1) % 4]) for row in rows]
            for number, finalists in enumerate(ids.values()):
                skill = 0.7 + 0.2 * number / len(ids)
                drawn = [rng.random() < skill for _ in facts]
                file.writelines(
                    record_line(finalists[fold], key, right, target if right else other)
                    for (key, target, other), right in zip(facts, drawn, strict=True)
                )


def do(part: str, rows: int, folder: Path) -> None:
    """One part, in this process; prints its seconds and the peak of its memory."""
    if part == "verdict":
        began = time.process_time()
        components = build(task_of(FOLDS), ())
        run = Run(folder)
        write_json(folder / "verdict.json", run_results(run, components.metric).verdict())
    else:
        task, components, settings = contest(rows, folder)
        began = time.process_time()
        if part == "plan":
            prepare(folder, make_plan(task, components, settings), task)
        else:
            with open_ledger(folder, components, settings, follow_nothing, task=task):
                pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": time.process_time() - began, "gib": peak}), flush=True)
    if part == "plan":
        write_records(task, write_ways(task, components, list(settings.ways), folder), folder)


def measured(part: str, rows: int, folder: Path) -> dict[str, Any]:
    """What a part says of itself."""
    words = [sys.executable, __file__, "--part", part, "--rows", str(rows), "--folder", str(folder)]
    answer = subprocess.run(words, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    print(f"{rows} rows, {part}: {result}", file=sys.stderr, flush=True)
    return result


def lines(millions: list[float], work: Path) -> Iterator[str]:
    """The page."""
    yield "# Many records"
    yield ""
    yield f"`python benchmarks/big_records.py --millions {' '.join(f'{m:g}' for m in millions)}`: twenty contestants in"
    yield "fifty folds (1,000 cells); each answers each row once. Seconds of one core, and peak memory."
    yield ""
    yield "| records | file | plan | | books | | verdict | |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for count in millions:
        rows = round(count * 1e6 / (len(WAYS) * MODELS))
        folder = work / f"run-{rows}"
        shutil.rmtree(folder, ignore_errors=True)
        cells = []
        for part in PARTS:
            result = measured(part, rows, folder)
            cells.append(f"{result['seconds']:.1f} s | {result['gib']:.2f} GiB")
        size = (folder / "records.jsonl").stat().st_size / 2**30
        shutil.rmtree(folder)
        yield f"| {count:g} million | {size:.2f} GiB | {' | '.join(cells)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 2.5, 5, 10])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part:
        do(chosen.part, chosen.rows, chosen.folder)
    else:
        write_table(lines(chosen.millions, chosen.work), chosen.out)
