"""What racing saves on real tasks, and whether the verdict is the same: each task is run with racing and without.

    python benchmarks/racing.py --out benchmarks/results/racing.md                    # the support example
    python benchmarks/racing.py tickets.yaml questions.jsonl --rows 1000 --seeds 2    # your own

Data files need columns that can be found, such as input and target.

Both runs of a task share a cache, so the second one answers only what racing left out. Interrupted, the same command
goes on. Saved are dev rows: the test split is crossed in full either way; the last column counts its rows as well.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from whichway.app.bundled_examples import DEFAULT, find
from whichway.app.request import RunRequest
from whichway.app.run import prepare
from whichway.app.way_options import settings_of
from whichway.contest import run
from whichway.tasks import Spec, from_flags

PLACE = Path("runs/racing")
HEAD = (
    "| task | rows (train, dev, test) | ways | candidates | dev rows answered | of | saved | trainings in whole runs | "
    "with racing | without | same | saved, test rows counted |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
)


def sampled(path: Path, rows: int | None, place: Path) -> Path:
    """A JSON-lines file cut to so many rows, chosen by their content; anything else as it is."""
    if rows is None or path.suffix != ".jsonl":
        return path
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    kept = set(sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())[:rows])
    goal = place / "data" / path.name
    goal.parent.mkdir(parents=True, exist_ok=True)
    goal.write_text("".join(f"{line}\n" for line in lines if line in kept), encoding="utf-8")
    return goal


def spec_of(path: Path, options: argparse.Namespace) -> Spec:
    """A task file as it is; data with the columns that they name."""
    if path.suffix in (".yaml", ".yml"):
        return from_flags(path, model=options.model)
    return from_flags(data=sampled(path, options.rows, options.place), name=path.stem, model=options.model)


def measure(path: Path, options: argparse.Namespace) -> str:
    """A line of the table."""
    spec, said = spec_of(path, options), {}
    ways = tuple(options.ways.split(",")) if options.ways else None
    for name, race in (("raced", True), ("plain", False)):
        places = {"out": options.place / path.stem / name, "cache": options.place / ".cache"}
        ready = prepare(spec, RunRequest(ways, tuple(settings_of(options.set or ())), **places))
        seeds = ready.settings.seeds if options.seeds is None else tuple(range(options.seeds))
        ready = replace(ready, settings=replace(ready.settings, seeds=seeds, race=race))
        began = time.monotonic()
        outcome = run(ready.task, ready.components, folder=ready.folder, settings=ready.settings)
        print(f"{path.stem}, {name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        said[name] = outcome.verdict
    plan = json.loads((options.place / path.stem / "raced" / "plan.json").read_text())
    race: dict[str, Any] = json.loads((options.place / path.stem / "raced" / "race.json").read_text())
    crossed = sum(len(s.candidates) for s in said["raced"].standings if s.status == "ok") * plan["rows"]["test"]
    done, full = race["evaluations"], race["full_evaluations"]
    told = {name: f"{v.answer}: {v.choice}" for name, v in said.items()}
    runs = ", ".join(f"{t['way']} {t['runs']:.3g} of {t['full_runs']}" for t in race["trainings"]) or "–"
    cells = (
        path.parent.name if path.stem == "task" else path.stem,
        ", ".join(str(plan["rows"][split]) for split in ("train", "dev", "test")),
        len(plan["ways"]),
        race["candidates"],
        done,
        full,
        f"{1 - done / full:.0%}",
        runs,
        told["raced"],
        told["plain"],
        "yes" if told["raced"] == told["plain"] else "no",
        f"{1 - (done + crossed) / (full + crossed):.0%}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print the table, write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", type=Path, help="task files or data; none: the support example")
    parser.add_argument("--rows", type=int, help="of each JSON-lines file, at most")
    parser.add_argument("--model", help="default: the task's, or the embedded one")
    parser.add_argument("--ways", help="as for whichway run")
    parser.add_argument("--set", action="append", help="as for whichway run")
    parser.add_argument("--seeds", type=int, help="as for whichway run")
    parser.add_argument("--place", type=Path, default=PLACE, help="run folders and cache")
    parser.add_argument("--out", type=Path, help="file to write")
    options = parser.parse_args(words)
    rows = [measure(path, options) for path in options.tasks or [find(DEFAULT)]]
    head = ["# What racing saves", "", "`benchmarks/racing.py`; every task with racing and without, one cache.", ""]
    page = "\n".join([*head, *HEAD, *rows]) + "\n"
    sys.stdout.write(page)
    if options.out:
        options.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
