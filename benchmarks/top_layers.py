"""LoRA on the top layers of SmolLM2-135M-Instruct: score and time by the number of layers, and what `deeper` loses.

    python benchmarks/top_layers.py --evals EVALS [--work CELLS] [--out PAGE]

EVALS: a folder of JSON lines with `input` and `target`. Each training has 200 rows; 45 other rows are the dev split by
which `deeper=10,30` decides whether to go on, and 205 more tell what that was worth. None is a test row of
`real_model.py`. Goes on where it was stopped. Seconds are by the clock, of training alone; one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from int8 import job_of, requests_of, task_of
from table_writer import write_table

import whichway
from whichway.backends.local import LocalBackend
from whichway.contest.dry_run.machine_load import processor
from whichway.tasks import metrics
from whichway.training_kinds import EXACT

LAYERS = (2, 10, 30)  # from the top; the last are all
SETS = ("trec6", "nlupp_need", "medical_titles")
ROWS, DEV = 200, 45


def measured(evals: Path, name: str, layers: int) -> dict[str, Any]:
    """One training, and each dev row's score."""
    task = task_of(evals / f"{name}.jsonl", ROWS, 1)
    job, backend, judge = job_of(task, "lora", EXACT), LocalBackend(), metrics.load(task.metric)
    job = replace(job, kind="top", options={**job.options, "layers": layers})
    with tempfile.TemporaryDirectory() as place:
        adapter = list(backend.train(job, Path(place), None))[-1]
        with backend.open(adapter.weights, Path(place) / str(adapter.weights.adapter)) as session:
            replies = session.choose(requests_of(task))
    points = [judge(e, r.text).value or 0.0 for e, r in zip(task.dev, replies, strict=True)]
    return {"set": name, "layers": layers, "seconds": adapter.seconds, "points": points}


def chosen(cells: Sequence[dict[str, Any]]) -> tuple[int, float]:
    """The layers that `deeper` keeps by the dev split, and the seconds until it knows."""
    kept, best, spent = cells[0]["layers"], -1.0, 0.0
    for cell in cells:
        spent += cell["seconds"]
        value = statistics.mean(cell["points"][:DEV])
        if value <= best:
            break
        kept, best = cell["layers"], value
    return kept, spent


def percent(points: Sequence[float]) -> float:
    """The mean, in percent."""
    return 100 * statistics.mean(points)


def page(cells: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The table in Markdown."""
    yield "# LoRA on the top layers"
    yield ""
    yield (
        f"`python benchmarks/top_layers.py`: SmolLM2-135M-Instruct, {ROWS} training rows, four epochs, one rate, one "
        f"training a cell. Dev: {DEV} rows, by which `deeper` decides; other: 205 rows that decide nothing. Seconds "
        "of training by the clock, one thread, beside other work; what lies below the trained layers is read once."
    )
    yield ""
    yield f"{processor()}, {date.today().isoformat()}; whichway {whichway.__version__}."
    yield ""
    yield "| set | layers | dev | other | seconds | of all layers' |"
    yield "|---|---|---|---|---|---|"
    for cell in cells:
        full = next((c for c in cells if (c["set"], c["layers"]) == (cell["set"], LAYERS[-1])), None)
        share = f"{cell['seconds'] / full['seconds']:.2f}" if full else "–"
        dev, other = percent(cell["points"][:DEV]), percent(cell["points"][DEV:])
        yield f"| {cell['set']} | {cell['layers']} | {dev:.1f} | {other:.1f} | {cell['seconds']:.0f} | {share} |"
    yield ""
    yield "| set | `layers=2, deeper=10,30` keeps | other, beside all layers | seconds until it knows, of all layers' |"
    yield "|---|---|---|---|"
    for name in dict.fromkeys(cell["set"] for cell in cells):
        own = [cell for cell in cells if cell["set"] == name]
        if len(own) == len(LAYERS):
            kept, spent = chosen(own)
            points = {cell["layers"]: cell["points"][DEV:] for cell in own}
            gap = percent(points[kept]) - percent(points[LAYERS[-1]])
            yield f"| {name} | {kept} | {gap:+.1f} | {spent / own[-1]['seconds']:.2f} |"


def cells_of(evals: Path, kept: Path, sets: Iterable[str]) -> list[dict[str, Any]]:
    """All trainings, those that were done before from the file."""
    done = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []
    for name in sets:
        for layers in LAYERS:
            if not any((cell["set"], cell["layers"]) == (name, layers) for cell in done):
                done.append(measured(evals, name, layers))
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[-1]) + "\n")
                print(name, layers, f"{percent(done[-1]['points']):.1f} %, {done[-1]['seconds']:.0f} s", flush=True)
    return done


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evals", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("top_layers.jsonl"), help="file that keeps each training")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    write_table(page(cells_of(given.evals, given.work, given.sets.split(","))), given.out)


if __name__ == "__main__":
    main()
