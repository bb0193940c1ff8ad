"""Prompt optimisers at equal calls: prompt_search beside GEPA and MIPROv2 (light), on the example and on sets.

    python benchmarks/prompt_search.py --evals EVALS --out benchmarks/results/prompt_search.md

EVALS is a folder with JSON-lines files (`input`, `target`); see SETS for their names. Each (set, way, calls, seed) is a
contest of its own with that budget and a cache of its own, and the finalist crosses the whole test split. Interrupted,
the same command goes on: finished contests are kept. `--only` runs a part, for several processes; `--tell` makes the
table from what is there. GEPA and MIPROv2 need `pip install whichway[gepa]` and `[dspy]`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from whichway.app.bundled_examples import DEFAULT, find
from whichway.app.request import RunRequest
from whichway.app.run import prepare
from whichway.contest import run
from whichway.errors import WhichwayError
from whichway.nouns import Budget
from whichway.runs.folder import read_records
from whichway.tasks import from_flags
from whichway.verdict.stats import FloatArray

ASKS = {
    "support": "",
    "trec6": "What kind of answer does the question want?",
    "nlupp_topic": "What does the caller talk about?",
    "nlupp_need": "What does the caller need?",
    "medical_titles": "Which field of medicine is this paper from?",
}
ZERO = "prompt_plain"
WAYS = ("prompt_search", "prompt_gepa", "prompt_mipro")
CALLS = (400, 1600)
SEEDS = (0, 1, 2)
DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Cell:
    """One contest."""

    task: str
    way: str
    calls: int | None  # None: no limit (the plain prompt, which needs no search)
    seed: int

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{self.task}-{self.way}-{self.calls or 'free'}-{self.seed}"


def cells(only: str) -> Iterator[Cell]:
    """All contests whose name has one of the words of `only`; seed by seed, so that a part is a balanced part."""
    wanted = [word for word in only.split(",") if word]
    every = [Cell(task, ZERO, None, 0) for task in ASKS]
    every += [Cell(task, way, calls, seed) for seed in SEEDS for calls in CALLS for task in ASKS for way in WAYS]
    yield from (cell for cell in every if not wanted or any(word in cell.name for word in wanted))


def sampled(path: Path, rows: int, place: Path) -> Path:
    """A JSON-lines file cut to so many rows, chosen by their content."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    kept = set(sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())[:rows])
    goal = place / "data" / path.name
    goal.parent.mkdir(parents=True, exist_ok=True)
    if not goal.exists():
        goal.write_text("".join(f"{line}\n" for line in lines if line in kept), encoding="utf-8")
    return goal


def hold(cell: Cell, options: argparse.Namespace) -> None:
    """Run one contest to its end, unless that was done."""
    folder = options.place / cell.name
    if (folder / "verdict.json").exists():
        return
    if cell.task == "support":
        spec = from_flags(find(DEFAULT), model=options.model)
    else:
        data = sampled(options.evals / f"{cell.task}.jsonl", options.rows, options.place)
        spec = from_flags(data=data, name=cell.task, ask=ASKS[cell.task], model=options.model)
    more = (("prompt_search", "calls", 100_000),) if cell.way == "prompt_search" else ()
    budget = Budget(calls=cell.calls)
    ready = prepare(spec, RunRequest((cell.way,), more, budget, out=folder, cache=folder / ".cache"))
    settings = replace(ready.settings, seeds=(cell.seed,))
    began = time.monotonic()
    run(ready.task, ready.components, folder=ready.folder, settings=settings)
    spent = json.loads((folder / "ways" / cell.way / "status.json").read_text())
    print(f"{cell.name}: {time.monotonic() - began:.0f} s, {spent}", flush=True)


@dataclass(frozen=True, slots=True)
class Came:
    """What a contest gave."""

    scores: Mapping[str, float]  # example -> score on test
    calls: int
    seconds: float
    note: str
    reason: str  # why it failed


def read(folder: Path, way: str) -> Came | None:
    """A finished contest; None when it is not there."""
    if not (folder / "verdict.json").exists():
        return None
    status = json.loads((folder / "ways" / way / "status.json").read_text())
    verdict = json.loads((folder / "verdict.json").read_text())
    scores = {r.example: r.points for r in read_records(folder) if r.split == "test"}
    note = verdict["standings"][0]["note"]
    return Came(scores, int(status.get("calls_fit", 0)), status.get("seconds_fit", 0.0), note, status["reason"])


def interval(scores: FloatArray, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean over seeds and rows with a 95 % bootstrap interval over rows; (S, n)."""
    rows = scores.mean(0)
    draws = rows[rng.integers(0, len(rows), (DRAWS, len(rows)))].mean(1)
    return float(rows.mean()), *(float(x) for x in np.quantile(draws, (0.025, 0.975)))


def permuted(differences: FloatArray, rng: np.random.Generator) -> float:
    """Two-sided p of the mean of paired differences, by flipping their signs."""
    signs = rng.choice((-1.0, 1.0), (DRAWS, len(differences)))
    drawn = np.abs((signs * differences).mean(1))
    return float((1 + (drawn >= abs(differences.mean()) - 1e-12).sum()) / (DRAWS + 1))


def table(found: Mapping[Cell, Came]) -> list[str]:
    """The scores of each way, and the paired differences to the others."""
    rng = np.random.default_rng(0)
    lines = [
        "| set | calls | way | test rows | accuracy, mean of seeds (95 %) | calls bought | seconds | "
        "to zero-shot (95 %, p) | prompt_search minus it (95 %, p) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for task in ASKS:
        zero = found.get(Cell(task, ZERO, None, 0))
        if zero is None:
            continue
        ids = sorted(zero.scores)
        base = np.array([[zero.scores[i] for i in ids]])
        lines.append(f"| {task} | – | zero-shot | {len(ids)} | {_told(interval(base, rng))} | – | – | – | – |")
        for calls in CALLS:
            have = {way: _matrix(found, task, way, calls, ids) for way in WAYS}
            for way, (matrix, came) in have.items():
                if matrix is not None:
                    ours = have[WAYS[0]][0]
                    lines.append(_line(task, calls, way, matrix, came, base, ours, rng))
    return lines


def _matrix(
    found: Mapping[Cell, Came], task: str, way: str, calls: int, ids: Sequence[str]
) -> tuple[FloatArray | None, list[Came]]:
    came = [c for seed in SEEDS if (c := found.get(Cell(task, way, calls, seed))) and set(c.scores) >= set(ids)]
    return (np.array([[c.scores[i] for i in ids] for c in came]) if came else None), came


def _line(
    task: str,
    calls: int,
    way: str,
    matrix: FloatArray,
    came: Sequence[Came],
    base: FloatArray,
    ours: FloatArray | None,
    rng: np.random.Generator,
) -> str:
    cells_ = [
        task,
        f"{calls:,}",
        way if len(came) == len(SEEDS) else f"{way} ({len(came)} seeds)",
        str(matrix.shape[1]),
        _told(interval(matrix, rng)),
        f"{np.mean([c.calls for c in came]):.0f}",
        f"{np.mean([c.seconds for c in came]):.0f}",
        _paired(matrix.mean(0) - base.mean(0), rng),
        "–" if way == WAYS[0] or ours is None else _paired(ours.mean(0) - matrix.mean(0), rng),
    ]
    return f"| {' | '.join(cells_)} |"


def _told(found: tuple[float, float, float]) -> str:
    mean, low, high = (100 * x for x in found)
    return f"{mean:.1f} ({low:.1f}–{high:.1f})"


def _paired(differences: FloatArray, rng: np.random.Generator) -> str:
    mean, low, high = (100 * x for x in interval(differences[None], rng))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f}, p {permuted(differences, rng):.4f})"


def page(found: Mapping[Cell, Came]) -> str:
    """The markdown page."""
    head = [
        "# Prompt optimisers at equal calls",
        "",
        "Sets of more than 2,000 rows are cut to that; 60, 15 and 25 % are train, dev and test.",
        "`benchmarks/prompt_search.py`: the embedded model (8.7 M parameters), accuracy on the whole test split, three",
        "seeds, each a contest of its own with the same budget (answers that a way may buy, its proposals included;",
        "the test split is not counted). Zero-shot is the finalist of `prompt_plain`, calibrated where dev says so.",
        "Intervals and p (sign flips of paired rows) are over rows, on the mean of the seeds. Seconds are the",
        "model's own. The model learns from shots only when they are alike: the ideas of `prompt_search` were ordered",
        "on dev rows of these sets, never on test. Neither GEPA nor MIPROv2 chooses shots for each row, or biases.",
        "A cell with fewer than three seeds says so.",
        "",
    ]
    notes = ["", "What each search ended with:", ""]
    for cell, came in found.items():
        if cell.way != ZERO:
            notes.append(f"- {cell.task}, {cell.calls:,}, {cell.way}, seed {cell.seed}: {came.reason or came.note}")
    return "\n".join([*head, *table(found), *notes]) + "\n"


def main(words: Sequence[str] | None = None) -> None:
    """Run what is missing, then print the table and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evals", type=Path, required=True, help="folder with the sets")
    parser.add_argument("--place", type=Path, default=Path("runs/prompt_search"), help="run folders")
    parser.add_argument("--rows", type=int, default=2000, help="of each set, at most")
    parser.add_argument("--model", help="default: the embedded one")
    parser.add_argument("--only", default="", help="parts of names with commas, such as support-prompt_search")
    parser.add_argument("--tell", action="store_true", help="make the table from what is there")
    parser.add_argument("--out", type=Path, help="file to write")
    options = parser.parse_args(words)
    for cell in () if options.tell else cells(options.only):
        try:
            hold(cell, options)
        except WhichwayError as error:
            print(f"{cell.name}: {error}", file=sys.stderr, flush=True)
    found = {cell: came for cell in cells("") if (came := read(options.place / cell.name, cell.way))}
    text = page(found)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
