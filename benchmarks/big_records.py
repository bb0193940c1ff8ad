"""A contest of 1,000 cells and up to ten million records: its plan, its driver and its verdict, memory and seconds.

Usage: python benchmarks/big_records.py [--millions 0.1 1 10] [--whole 0.1 1] [--work FOLDER] [--out FILE]

Twenty contestants (ten ways on two models) in fifty folds are 1,000 cells; each answers each row once, so that ten
million records are half a million rows. Plan, rows and candidates are written by the contest's own functions; the
records and the ledger are lines as their writers make them. What is measured, each part in a process of its own:

- plan: the plan is made, and written with its rows;
- goes on: the driver of a contest that was ended opens its books, and passes all cells again: every answer is charged
  and every record taken from its file, chunk by chunk as `CandidateAnswers` does. Model and cache are left out;
- verdict: from the run folder alone.

With `--whole` whole contests are held as well, with nothing left out: `prompt_plain` on twenty test doubles in fifty
folds, whose rows are answered once as dev and once as test rows. One begins with nothing, and one goes on after it
lost its verdict.
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
from whichway.contest import run as hold
from whichway.contest.account import WayAccount
from whichway.contest.candidate_answers import CHUNK
from whichway.contest.ledger import Charge, RunLedger
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
PARTS = ("plan", "goes on", "verdict")
WHOLE = ("begins", "ends again")


def task_of(rows: int, models: int = MODELS) -> Task:
    """So many rows in folds, which differ in their text."""
    examples = [Example({"text": f"message {k} of a customer"}, LABELS[k % 4]) for k in range(rows)]
    folds = tuple(tuple(examples[k::FOLDS]) for k in range(FOLDS))
    few = tuple(examples[:40])
    names = tuple(f"fake:seconds={(k + 1) / 1000:g}" for k in range(models))
    return Task("big", "Which team?", few, few, few, MetricSpec("accuracy"), LABELS, models=names, folds=folds)


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


def answer_key(finalist: str, example: str) -> str:
    """The key of an answer."""
    return digest([finalist, example], 32)


def write_records(task: Task, ids: dict[str, list[str]], folder: Path) -> None:
    """A line for each contestant and row, fold by fold as a contest writes them, and one of the ledger for a chunk."""
    sample = Record("c", "e", "test", 0, "ok", 1.0, "x", "", 3, 33, 2, 0.001, 2.5e-08)
    assert json.dumps(to_json(sample), sort_keys=True) + "\n" == record_line("c", "e", True, "x")
    rng = random.Random(0)
    with (folder / "records.jsonl").open("w", encoding="utf-8") as file, (folder / "ledger.jsonl").open("w") as ledger:
        for fold, rows in enumerate(task.folds):
            facts = [(row.id, row.target, LABELS[(LABELS.index(row.target) + 1) % 4]) for row in rows]
            for number, (name, finalists) in enumerate(ids.items()):
                skill = 0.7 + 0.2 * number / len(ids)
                drawn = [rng.random() < skill for _ in facts]
                file.writelines(
                    record_line(finalists[fold], key, right, target if right else other)
                    for (key, target, other), right in zip(facts, drawn, strict=True)
                )
                for start in range(0, len(facts), CHUNK):
                    keys = [answer_key(finalists[fold], key) for key, _, _ in facts[start : start + CHUNK]]
                    line = {"who": name, "what": "test", "key": ledger_key(name, keys), "calls": len(keys)}
                    line |= {"seconds": 0.064, "usd": 1.6e-06, "paid_seconds": 0.064, "paid_usd": 1.6e-06}
                    ledger.write(json.dumps(line) + "\n")


def ledger_key(name: str, keys: list[str]) -> str:
    """The key of a line of the ledger."""
    return digest([name, "test", keys], 32)


def go_on(task: Task, names: list[str], ledger: RunLedger) -> None:
    """Pass all cells again, as a driver does that finds every answer in the cache and every record in its file."""
    accounts: dict[str, WayAccount] = {}
    for fold, rows in enumerate(task.folds):
        examples = [row.id for row in rows]
        for name in names:
            finalist = digest([name, fold])
            account = WayAccount(ledger, name, name, (fold + 1) / (FOLDS + 1), accounts.get(name))
            accounts[name] = account
            for start in range(0, len(examples), CHUNK):
                part = examples[start : start + CHUNK]
                keys = [answer_key(finalist, example) for example in part]
                charges = [Charge(key, 0.001, ledger.paid_by, 2.5e-08) for key in keys]
                account.buy("test", ledger_key(name, keys), charges, calls=True)
                made = [
                    Record(finalist, e, "test", 0, "ok", 1.0, "?", "", 3, 33, 2, 0.001, 2.5e-08, True) for e in part
                ]
                assert all(record.text != "?" for record in ledger.write_records(made))
    assert all(account.spend.calls == sum(map(len, task.folds)) for account in accounts.values())


def hold_whole(rows: int, folder: Path, again: bool) -> None:
    """A whole contest, from its plan to its verdict."""
    task = task_of(rows, len(WAYS) * MODELS)
    components = build(task, ())
    names = [f"prompt_plain@{model}" for model in components.models]
    settings = Settings({name: {} for name in names}, folder.parent / f"{folder.name}-cache", race=False)
    if again:
        (folder / "verdict.json").unlink()
    hold(task, components, folder=folder, settings=settings)


def do(part: str, rows: int, folder: Path) -> None:
    """One part, in this process; prints its seconds and the peak of its memory."""
    began = time.process_time()
    if part in WHOLE:
        hold_whole(rows, folder, part != WHOLE[0])
    elif part == "verdict":
        components = build(task_of(FOLDS), ())
        run = Run(folder)
        write_json(folder / "verdict.json", run_results(run, components.metric).verdict())
    else:
        task, components, settings = contest(rows, folder)
        began = time.process_time()
        if part == "plan":
            prepare(folder, make_plan(task, components, settings), task)
        else:
            with open_ledger(folder, components, settings, follow_nothing, task=task) as ledger:
                go_on(task, list(settings.ways), ledger)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": time.process_time() - began, "gib": peak}), flush=True)
    if part == "plan":
        write_records(task, write_ways(task, components, list(settings.ways), folder), folder)


def measured(part: str, rows: int, folder: Path) -> str:
    """What a part says of itself, as two cells of the table."""
    words = [sys.executable, __file__, "--part", part, "--rows", str(rows), "--folder", str(folder)]
    answer = subprocess.run(words, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    print(f"{rows} rows, {part}: {result}", file=sys.stderr, flush=True)
    return f"{result['seconds']:.1f} s | {result['gib']:.2f} GiB"


def removed(folder: Path) -> Path:
    """A folder that is not there, and its cache neither."""
    for path in (folder, folder.with_name(f"{folder.name}-cache")):
        shutil.rmtree(path, ignore_errors=True)
    return folder


def lines(millions: list[float], whole: list[float], work: Path) -> Iterator[str]:
    """The page."""
    yield "# Many records"
    yield ""
    spelled = [" ".join(f"{m:g}" for m in counts) for counts in (millions, whole)]
    yield f"`python benchmarks/big_records.py --millions {spelled[0]}{f' --whole {spelled[1]}' if whole else ''}`:"
    yield "twenty contestants in fifty folds (1,000 cells); each answers each row once. Seconds of a core, peak memory."
    yield ""
    yield "| records | file | plan | | a driver goes on | | verdict | |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for count in millions:
        rows = round(count * 1e6 / (len(WAYS) * MODELS))
        folder = removed(work / f"run-{rows}")
        cells = [measured(part, rows, folder) for part in PARTS]
        size = (folder / "records.jsonl").stat().st_size / 2**30
        removed(folder)
        yield f"| {count:g} million | {size:.2f} GiB | {' | '.join(cells)} |"
    if whole:
        yield ""
        yield "Whole contests, half of whose records are of dev rows:"
        yield ""
        yield "| records | from the start | | again, from the cache | |"
        yield "|---:|---:|---:|---:|---:|"
    for count in whole:
        rows = round(count * 1e6 / (2 * len(WAYS) * MODELS))
        folder = removed(work / f"whole-{rows}")
        cells = [measured(part, rows, folder) for part in WHOLE]
        removed(folder)
        yield f"| {count:g} million | {' | '.join(cells)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="+", default=[0.1, 1, 10])
    parser.add_argument("--whole", type=float, nargs="*", default=[])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--part", choices=PARTS + WHOLE, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part:
        do(chosen.part, chosen.rows, chosen.folder)
    else:
        write_table(lines(chosen.millions, chosen.whole, chosen.work), chosen.out)
