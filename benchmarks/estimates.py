"""Estimates beside actuals: a contest is estimated from a probe, then run at once in the same process.

    python benchmarks/estimates.py [TASK ...] [--rows 400] [--seeds 2] [--out benchmarks/results/estimates.md]

    python benchmarks/estimates.py --finished RUNS --evals EVALS --model smollm2 --processor --out PAGE

A TASK is a task file or a data file; the example that comes along is always taken, and first. Each is cut to some rows,
so that the whole table takes minutes. Nothing is read from an earlier run: caches are new.

With --finished, run folders of `real_model.py` are estimated again and compared with what they took; with --processor
every process counts its processor seconds in place of the clock, so that other programs on the machine do not matter.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import whichway
from whichway.app.configure import build, settings_for
from whichway.app.request import RunRequest
from whichway.app.way_options import settings_of
from whichway.contest import run
from whichway.contest.dry_run import machine_load
from whichway.contest.dry_run.simulate import Estimate, estimate
from whichway.events import Event
from whichway.nouns import Task
from whichway.runs.run import Run
from whichway.tasks import examine, from_flags

WAYS = (
    *("base_majority", "base_tfidf", "prompt_plain", "prompt_shots"),
    *("tune_probe", "tune_lora", "tune_full", "tune_top"),
)
REAL = (  # the ways of real_model.py
    *("base_tfidf", "base_encoder", "prompt_plain", "prompt_shots"),
    *("tune_head", "tune_lora", "tune_encoder", "both_shots_lora"),
)
SHORT = 0.05  # seconds under which a factor says nothing


def load(place: Path | None, rows: int, model: str) -> Task:
    """A task, cut to some rows: the first of each split, in proportion."""
    example = Path(whichway.__file__).parent / "examples" / "support" / "task.yaml"
    path = place or example
    spec = from_flags(path, model=model) if path.suffix == ".yaml" else from_flags(None, data=path, model=model)
    task = examine(spec).task
    whole = len(task.train) + len(task.dev) + len(task.test)
    share = min(1.0, rows / whole)
    train, dev, test = (part[: math.ceil(share * len(part))] for part in (task.train, task.dev, task.test))
    known = {e.target for e in (*train, *dev, *test)}
    labels = tuple(label for label in task.labels if label in known)
    name = path.stem if place else "support"
    return replace(task, name=name, train=train, dev=dev, test=test, labels=labels, ways={})


def measure(task: Task, seeds: int, ways: str, options: list[str]) -> tuple[Estimate, dict[str, float], float, float]:
    """The estimate, the actual seconds of each way, and by the clock what the probe and the contest took."""
    with tempfile.TemporaryDirectory() as place:
        asked = RunRequest(tuple(ways.split(",")), tuple(settings_of(options)), cache=Path(place) / ".cache")
        components = build(task, ())
        task = replace(task, options={"seeds": tuple(range(seeds))})
        settings = settings_for(task, asked, components, Path(place) / "run")
        began = time.perf_counter()
        said = estimate(task, components, settings, quiet)
        probed = time.perf_counter()
        run(task, components, folder=Path(place) / "run", settings=settings)
        return said, Run(Path(place) / "run").seconds, probed - began, time.perf_counter() - probed


def quiet(event: Event) -> None:
    """Follow nothing."""


def factor(said: float, took: float) -> float | None:
    """How far apart they are, at least 1; None where both are too short to tell."""
    if max(said, took) < SHORT:
        return None
    return max(said, took) / max(min(said, took), 1e-9)


def lines(found: list[tuple[Task, Estimate, dict[str, float], float, float]]) -> Iterator[str]:
    """The table in Markdown."""
    pairs = [(amount.seconds, took.get(way, 0.0)) for _, said, took, *_ in found for way, amount in said.ways.items()]
    factors = [f for f in itertools.starmap(factor, pairs) if f is not None]
    within = sum(f <= 1.5 for f in factors)
    yield "# Estimates beside actuals"
    yield ""
    yield (
        f"{within} of {len(factors)} within a factor of 1.5 ({100 * within / max(1, len(factors)):.0f} %; wanted 90), "
        f"the middle one {sorted(factors)[len(factors) // 2]:.2f}, the worst {max(factors):.2f}. Seconds are those of "
        f"the ledger: answering and training at list price. A way under {1000 * SHORT:.0f} ms either way "
        "is not counted. The ceiling is without racing. Probe and contest ran one after the other in one process, with "
        "new caches."
    )
    yield ""
    about = f"Python {platform.python_version()}, {platform.machine()}, {date.today().isoformat()}"
    yield f"{about}; whichway {whichway.__version__}."
    yield ""
    yield "| task | rows | way | estimated s | ceiling s | actual s | estimated / actual | within 1.5 |"
    yield "|---|---|---|---|---|---|---|---|"
    for task, said, took, *_ in found:
        rows = len(task.train) + len(task.dev) + len(task.test)
        for way, amount in said.ways.items():
            actual = took.get(way, 0.0)
            far = factor(amount.seconds, actual)
            ratio = f"{amount.seconds / actual:.2f}" if far and actual else "–"
            held = "–" if far is None else "yes" if far <= 1.5 else "no"
            told = f"{amount.seconds:.2f} | {amount.ceiling_seconds:.2f} | {actual:.2f} | {ratio} | {held}"
            yield f"| {task.name} | {rows} | {way} | {told} |"
    yield ""
    yield "| task | whole contest, estimated s | actual s | estimated by the clock | by the clock | estimating took |"
    yield "|---|---|---|---|---|---|"
    for task, said, took, probe, clock in found:
        whole = f"{said.seconds:.1f} | {sum(took.values()):.1f} | {said.clock_seconds:.1f} | {clock:.1f}"
        yield f"| {task.name} | {whole} | {probe:.1f} |"


def count_processor_seconds() -> None:
    """Start again, with a clock in this process and its children that counts what each of them computes."""
    if os.environ.get("ESTIMATES_CLOCK") == "processor":
        return
    place = tempfile.mkdtemp(prefix="estimates-")
    (Path(place) / "sitecustomize.py").write_text("import time\n\ntime.perf_counter = time.process_time\n")
    path = os.pathsep.join(filter(None, (place, os.environ.get("PYTHONPATH"))))
    about = {"PYTHONPATH": path, "ESTIMATES_CLOCK": "processor", "OMP_NUM_THREADS": "1"}
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **about})


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", type=Path)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--set", action="append", default=[], help="an option of a way, as `whichway run` takes it")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--finished", type=Path, metavar="RUNS", help="run folders of real_model.py")
    parser.add_argument("--draw", type=int, help="only this draw of their rows")
    parser.add_argument("--evals", type=Path, help="the evaluation sets that these were cut from")
    parser.add_argument("--processor", action="store_true", help="count processor seconds, of one thread")
    given = parser.parse_args()
    if given.processor:
        count_processor_seconds()
        machine_load.busy_seconds = lambda: None  # processor seconds need no correction for other programs
    if given.finished:
        from estimates_of_runs import write_table

        ways = [name for name in given.ways.split(",") if name] if given.ways != ",".join(WAYS) else list(REAL)
        write_table(given.finished, given.evals, given.model, given.out, ways, given.draw)
        return
    found = []
    for place in [None, *given.tasks]:
        task = load(place, given.rows, given.model)
        result = measure(task, given.seeds, given.ways, given.set)
        found.append((task, *result))
        said, took = result[0], result[1]
        told = {way: [round(amount.seconds, 2), round(took.get(way, 0.0), 2)] for way, amount in said.ways.items()}
        print(task.name, json.dumps(told), f"probe {result[2]:.1f} s, contest {result[3]:.1f} s", flush=True)
        if given.out:  # after each task: an interrupted measurement keeps what it has
            given.out.write_text("\n".join(lines(found)) + "\n", encoding="utf-8")
    print("\n".join(lines(found)))


if __name__ == "__main__":
    main()
