"""The whole job beside its peers: one `whichway run` against the script that a capable user writes today.

Both get the same rows (192 to learn from, 150 to choose by, the same test rows), SmolLM2-135M-Instruct and MiniLM, this
machine and as many threads. Ours is the default contest of six ways, begun as a new process in a new folder. The
user's script (`sides/user_script.py`) takes word counts, MiniLM with a linear head and with SetFit, DSPy's
BootstrapFewShot over llama.cpp's server, TRL + PEFT over four learning rates, and lm-evaluation-harness for the model
as it is, each in a process of its own, and keeps what is best on dev. Goes on where it was stopped, step by step.

    python benchmarks/verdict.py --peers ../peers/bin/python --evals EVALS [--sets trec6,nlupp_need,nlupp_topic]

The peers' environment: `python -m venv ../peers && ../peers/bin/pip install -r benchmarks/peers.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tune_trl import ASKS, BATCH, CHECKPOINTS, EPOCHS, place_of, rates, task_of

from whichway import models
from whichway.contest.dry_run.machine_load import processor
from whichway.nouns import Task, to_json
from whichway.prompts.plain import base_prompt
from whichway.prompts.template import messages
from whichway.runs.run import read

HERE = Path(__file__).parent
MODEL, ENCODER = "smollm2", "minilm"
STEPS = {
    "words": "TF-IDF + logistic regression",
    "encoder": "MiniLM + linear head, SetFit",
    "shots": "DSPy BootstrapFewShot over llama.cpp",
    "lora": "TRL + PEFT, four rates",
    "harness": "lm-evaluation-harness",
}


def rows_of(task: Task) -> dict[str, list[dict[str, str]]]:
    """The task's rows as a user has them."""
    splits = {"train": task.train, "dev": task.dev, "test": task.test}
    return {split: [{"text": e.text, "label": e.target} for e in rows] for split, rows in splits.items()}


def ours(task: Task, work: Path, threads: int) -> dict[str, Any]:
    """The default contest from the command line; its choice, that one's test score, the wall clock."""
    place = work / "ours"
    shutil.rmtree(place, ignore_errors=True)
    (place / "data").mkdir(parents=True)
    for split, rows in rows_of(task).items():
        (place / "data" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    command = [sys.executable, "-m", "whichway", "run", "--data", "data", "--input", "text", "--target", "label"]
    command += ["--ask", ASKS[task.name], "--model", MODEL, "--seeds", "1", "--out", "run", "--yes"]
    started, before = time.perf_counter(), worked()
    with (work / "ours.log").open("w") as log:
        env = os.environ | {"OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, cwd=place, check=True, stdout=log, stderr=log, env=env)
    seconds = time.perf_counter() - started
    cpu = worked() - before
    run = read(place / "run")
    standings = {s.way: s for s in run.verdict.standings}
    choice = standings[run.verdict.choice]
    ways = {way: s.score for way, s in standings.items()}
    found = {"choice": choice.way, "dev": choice.dev_score, "test": choice.score, "ways": ways}
    return {**found, "seconds": seconds, "cpu": cpu}


def worked() -> float:
    """Processor seconds of all processes that were started here and have ended, their children's included."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def job_of(task: Task, work: Path, args: argparse.Namespace) -> Path:
    """What the user's script is given, on disk."""
    prompt = base_prompt(task.train_dev_view())
    asked = {"dev": task.dev, "test": task.test}
    prompts = {split: [to_json(messages(prompt, e.text)) for e in rows] for split, rows in asked.items()}
    rows = [
        {"prompt": to_json(messages(prompt, e.text)), "completion": [{"role": "assistant", "content": e.target}]}
        for e in task.train
    ]
    runs = [{"folder": str(place_of(work, rate, 0)), "rate": rate, "seed": 0} for rate in rates(MODEL)]
    trl = {
        "model": str(models.find(MODEL)), "threads": args.threads, "rows": rows, "epochs": EPOCHS, "batch": BATCH,
        "every": -(-EPOCHS * -(-len(rows) // BATCH) // CHECKPOINTS), "runs": runs,
    }  # fmt: skip
    (work / "trl.json").write_text(json.dumps(trl))
    job = {
        **rows_of(task), "ask": ASKS[task.name], "labels": list(task.labels), "threads": args.threads,
        "work": str(work),
        "model": str(models.find(MODEL)), "encoder": str(models.find(ENCODER)), "gguf": str(args.gguf),
        "trl": str(work / "trl.json"), "prompts": prompts,
    }  # fmt: skip
    (work / "job.json").write_text(json.dumps(job))
    return work / "job.json"


def theirs(step: str, job: Path, work: Path, best: float, args: argparse.Namespace) -> dict[str, Any]:
    """One step of the user's script; trainings that an earlier start finished count what they took then.

    Args:
        step: of STEPS.
        job: its file.
        work: folder of the set.
        best: the highest dev score of the steps before.
        args: of the command line.
    """
    trl = json.loads((work / "trl.json").read_text())
    places = [Path(run["folder"]) / "done.json" for run in trl["runs"]] if step == "lora" else []
    done = [json.loads(place.read_text()) for place in places if place.exists()]
    started, before = time.perf_counter(), worked()
    command = [args.peers, str(HERE / "sides" / "user_script.py"), step, str(job), str(best)]
    with (work / f"{step}.log").open("w") as log:
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=log, text=True).stdout
    found: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    seconds = time.perf_counter() - started + sum(training["seconds"] for training in done)
    return {**found, "seconds": seconds, "cpu": worked() - before + sum(training["cpu"] for training in done)}


def lines_of_code(*names: str) -> int:
    """Lines that are neither empty nor comments."""
    texts = [(HERE / "sides" / name).read_text(encoding="utf-8").splitlines() for name in names]
    return sum(bool(line.strip()) and not line.strip().startswith("#") for text in texts for line in text)


def _percent(part: dict[str, Any]) -> str:
    """A step's test score; on dev where it was not the best there, and the test rows were not asked."""
    return f"{100 * part['dev']:.1f} on dev" if part["test"] is None else f"{100 * part['test']:.1f}"


HEAD = """# The whole job beside its peers

`python benchmarks/verdict.py`: one `whichway run` (default options, six ways, one seed, a new process in a new folder)
against the script that a capable user writes today ({lines} lines in `sides/user_script.py` and `sides/tune_trl.py`;
ours is one command). SmolLM2-135M-Instruct and MiniLM, 192 rows to learn from, 150 to choose by, the same test rows;
accuracy in percent. The script answers the test rows in its slow steps only where they lead on dev; DSPy draws its
examples from 48 rows and answers half of the dev rows, as it takes two seconds a row. (It reads none of the answers:
so small a model keeps to neither of its forms, with examples or without.) Minutes are of the processor (all processes
of a side, one run each, {threads} thread(s)), as other work ran beside both. Machine: {machine}.

"""


def page(found: dict[tuple[str, str], dict[str, Any]], args: argparse.Namespace) -> str:
    """The committed table, of the sets that are finished."""
    lines = ["| set | ours: choice | test | minutes | theirs: choice | test | minutes | times |", "|---" * 8 + "|"]
    steps = ["", "The steps of the script, test score and minutes:", ""]
    steps += ["| set | " + " | ".join(STEPS.values()) + " |", "|---" * (len(STEPS) + 1) + "|"]
    for name in args.sets.split(","):
        parts = {step: found.get((name, step)) for step in ("ours", *STEPS)}
        shown = [f"{_percent(p)}, {p['cpu'] / 60:.1f}" if p else "" for p in map(parts.get, STEPS)]
        steps.append(f"| {name} | " + " | ".join(shown) + " |")
        our, peers = parts.pop("ours"), {step: p for step, p in parts.items() if p}
        if our and len(peers) == len(STEPS):
            cpu = sum(p["cpu"] for p in peers.values())
            best = max(peers, key=lambda step: peers[step]["dev"])
            lines.append(
                f"| {name} | {our['choice']} | {100 * our['test']:.1f} | {our['cpu'] / 60:.1f} | {STEPS[best]} | "
                f"{100 * peers[best]['test']:.1f} | {cpu / 60:.1f} | {cpu / our['cpu']:.1f} |"
            )
    head = HEAD.format(lines=lines_of_code("user_script.py", "tune_trl.py"), machine=processor(), threads=args.threads)
    return head + "\n".join(lines + steps) + "\n"


def main() -> None:
    """Measure what is not there yet, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=str(HERE.parent.parent / "peers" / "bin" / "python"))
    parser.add_argument("--evals", type=Path, default=Path("evals"))
    parser.add_argument("--gguf", type=Path, required=True, help="SmolLM2-135M-Instruct for llama.cpp")
    parser.add_argument("--sets", default="trec6,nlupp_need,nlupp_topic")
    parser.add_argument("--steps", default=",".join(("ours", *STEPS)))
    parser.add_argument("--test", type=int, default=250, help="test rows at most")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "verdict")
    parser.add_argument("--kept", type=Path, default=HERE / "results" / "verdict.jsonl", help="finished steps")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "verdict.md")
    args = parser.parse_args()
    found: dict[tuple[str, str], dict[str, Any]] = {}
    if args.kept.exists():
        for line in map(json.loads, args.kept.read_text(encoding="utf-8").splitlines()):
            found[line.pop("set"), line.pop("step")] = line
    for name in args.sets.split(","):
        work = args.work.resolve() / name
        work.mkdir(parents=True, exist_ok=True)
        task = task_of(name, args.evals, args.test)
        job = job_of(task, work, args)
        for step in args.steps.split(","):
            if (name, step) in found:
                continue
            best = max((found[name, s]["dev"] for s in STEPS if (name, s) in found), default=0.0)
            result = ours(task, work, args.threads) if step == "ours" else theirs(step, job, work, best, args)
            found[name, step] = result
            with args.kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"set": name, "step": step, **result}) + "\n")
            scores = f"dev {result['dev']:.3f}, test {result['test']}"
            print(f"{name}: {step}: {scores}, {result['seconds']:.0f} s", flush=True)
            args.out.write_text(page(found, args), encoding="utf-8")
    args.out.write_text(page(found, args), encoding="utf-8")


if __name__ == "__main__":
    main()
