"""What each way is worth on a real model: six sets, SmolLM2-135M-Instruct, 200 and 1,000 labelled rows.

Every cell is a contest of one way on its own: `rows` labelled rows, from which the tool cuts its dev split, and the
same test rows for every way, draw and size of a set. Options are the defaults; one seed. Differences between ways are
paired by test rows. Goes on where it was stopped; the table is written anew after every cell.

    python benchmarks/real_model.py --evals EVALS

EVALS: a folder of JSON lines with `input` and `target`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import whichway as ww
from whichway.contest.dry_run.machine_load import processor
from whichway.runs.run import read

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "pretraining"))

from sets import ASKS  # noqa: E402  (what is asked about the evaluation sets is said once)

MODEL = "smollm2"
TEST = 250
FREE = {"restaurant_slots"}  # written answers; the others are closed sets of labels
PROMPTS = ("prompt_plain", "prompt_shots")
WAYS = (
    *("base_tfidf", "base_encoder", "prompt_plain", "tune_head", "tune_lora"),
    *("prompt_shots", "tune_encoder", "both_shots_lora"),
)
CLOSED_ONLY = {"base_encoder", "tune_head", "tune_encoder"}
LARGE = ("trec6", "medical_titles", "nlupp_domain")  # the sets that are measured with 1,000 rows
PLAN = [(200, 1, sorted(ASKS)), (200, 2, sorted(ASKS)), (1000, 1, LARGE)]  # rows, draw, sets


@dataclass(frozen=True)
class Cell:
    """One contest."""

    name: str
    rows: int
    draw: int
    way: str

    @property
    def key(self) -> str:
        """Its name on disk."""
        return f"{self.name}-{self.rows}-{self.draw}-{self.way}"


def cells(sets: Sequence[str], ways: Sequence[str], sizes: Sequence[int]) -> Iterable[Cell]:
    """All contests, the ones that are needed first before the others."""
    for rows, draw, names in PLAN:
        for way in ways if rows in sizes else ():
            for name in names:
                if name in sets and not (name in FREE and way in CLOSED_ONLY):
                    yield Cell(name, rows, draw, way)


def split(path: Path, rows: int, draw: int) -> dict[str, list[dict[str, str]]]:
    """Labelled rows of a draw and the test rows that all draws share."""
    read_rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    distinct = {row["input"]: {"input": row["input"], "target": row["target"]} for row in read_rows}

    def order(salt: str, text: str) -> str:
        return hashlib.sha256(f"{salt}|{text}".encode()).hexdigest()

    texts = sorted(distinct, key=lambda text: order("test", text))
    train = sorted(texts[TEST:], key=lambda text: order(f"draw {draw}", text))[:rows]
    return {"train": [distinct[t] for t in train], "test": [distinct[t] for t in texts[:TEST]]}


def measure(cell: Cell, evals: Path, work: Path) -> dict[str, Any]:
    """Run one contest; what the table needs of it."""
    data = split(evals / f"{cell.name}.jsonl", cell.rows, cell.draw)
    given: dict[str, Any] = {"input": "input", "target": "target", "ask": ASKS[cell.name], "probe": False}
    given["metric"] = "json_fields" if cell.name in FREE else "accuracy"
    started = time.perf_counter()
    done = ww.run(data, model=MODEL, ways=[cell.way], seeds=1, out=str(work / cell.key), **given)
    run = read(Path(done.path))
    standing = run.verdict.standings[0]
    points = {r.example: r.points for r in run.all_records if r.split == "test" and r.candidate in standing.candidates}
    dev = {c.note: run.dev_scores.get(key) for key, c in run.candidates.items()}
    return {
        "status": standing.status, "reason": standing.reason, "note": standing.note,
        "score": standing.score, "low": standing.low, "high": standing.high, "dev": standing.dev_score,
        "points": [points[key] for key in sorted(points)], "candidates": dev,
        "seconds_fit": standing.seconds_fit, "seconds_per_row": standing.seconds_per_row,
        "usd_fit": standing.usd_fit, "usd_per_1000": standing.usd_per_1000,
        "wall": time.perf_counter() - started,
    }  # fmt: skip


HEAD = """# What each way is worth on SmolLM2-135M-Instruct

`python benchmarks/real_model.py --evals EVALS`: default options, one seed, {test} test rows that all draws of a set share. "Rows" are the labelled
rows that a user brings, dev rows included. Scores in percent with 95 % intervals (accuracy; restaurant_slots: share of right JSON
fields). Then seconds until the finalist was ready (search and training), milliseconds to answer a row, and the price of 1,000 answers at
$0.1 an hour. Machine: {machine}; other work ran beside it, so seconds are comparable within a line and no better than a factor of 1.5.

"""  # noqa: E501


def table(found: dict[Cell, dict[str, Any]]) -> str:
    """The committed page."""
    ways = [way for way in WAYS if any(cell.way == way for cell in found)]
    lines = ["| set | rows, draw | " + " | ".join(ways) + " |", "|---|---|" + "---|" * len(ways)]
    for rows, draw, names in PLAN:
        for name in names:
            row = {way: found.get(Cell(name, rows, draw, way)) for way in ways}
            if any(row.values()):
                lines.append(f"| {name} | {rows}, {draw} | " + " | ".join(map(_shown, row.values())) + " |")
    return "\n".join(lines)


def _shown(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    if cell["score"] is None:
        return f"failed: {cell['reason']}"
    told = f"**{100 * cell['score']:.1f}** ({100 * cell['low']:.0f}–{100 * cell['high']:.0f})"
    return f"{told} {cell['seconds_fit']:.0f} s, {1000 * cell['seconds_per_row']:.0f} ms, ${cell['usd_per_1000']:.4f}"


def _gap(first: dict[str, Any], second: dict[str, Any]) -> tuple[float, float]:
    """Second minus first in points, with its standard error over rows, paired."""
    gaps = [100 * (y - x) for x, y in zip(first["points"], second["points"], strict=True)]
    return statistics.mean(gaps), statistics.stdev(gaps) / math.sqrt(len(gaps))


def _best(row: dict[str, dict[str, Any] | None], ways: Iterable[str]) -> tuple[str, dict[str, Any]] | None:
    """The way with the best dev score among some, as a user would choose."""
    there = [(way, row[way]) for way in ways if row.get(way)]
    scored = [(way, cell) for way, cell in there if cell and cell["score"] is not None]
    return max(scored, key=lambda pair: pair[1]["dev"] or 0.0, default=None)


def claims(found: dict[Cell, dict[str, Any]]) -> str:
    """What the table says about the three questions that defaults follow from."""
    head = "| set | rows, draw | best fine-tune by dev − TF-IDF | tune_head − tune_lora | seconds, of LoRA's |"
    lines = [head + " both_shots_lora − better half by dev |", "|---|---|---|---|---|---|"]
    for rows, draw, names in PLAN:
        for name in names:
            row = {way: found.get(Cell(name, rows, draw, way)) for way in WAYS}
            if any(row.values()):
                cells_ = [_against_words(row), *_head(row), _both(row)]
                lines.append(f"| {name} | {rows}, {draw} | " + " | ".join(cells_) + " |")
    return "\n".join(lines)


def _against_words(row: dict[str, dict[str, Any] | None]) -> str:
    best, words = _best(row, ("tune_lora", "tune_head", "tune_encoder")), row.get("base_tfidf")
    if not best or not words or words["score"] is None:
        return ""
    gap, error = _gap(words, best[1])
    return f"{gap:+.1f} ± {error:.1f} ({best[0]})"


def _head(row: dict[str, dict[str, Any] | None]) -> tuple[str, str]:
    head, lora = row.get("tune_head"), row.get("tune_lora")
    if not head or not lora or head["score"] is None or lora["score"] is None:
        return "", ""
    gap, error = _gap(lora, head)
    return f"{gap:+.1f} ± {error:.1f}", f"{head['seconds_fit'] / lora['seconds_fit']:.2f}"


def _both(row: dict[str, dict[str, Any] | None]) -> str:
    both, half = row.get("both_shots_lora"), _best(row, ("prompt_shots", "tune_lora"))
    if not both or not half or both["score"] is None:
        return ""
    gap, error = _gap(half[1], both)
    return f"{gap:+.1f} ± {error:.1f} ({half[0]})"


def write(found: dict[Cell, dict[str, Any]], out: Path) -> None:
    """The committed table."""
    page = HEAD.format(test=TEST, machine=processor()) + table(found) + "\n\nDifferences in points, paired, with "
    page += "their standard errors over test rows.\n\n" + claims(found) + "\n"
    out.write_text(page, encoding="utf-8")


def main() -> None:
    """Measure what is not there yet, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evals", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(sorted(ASKS)))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--rows", default="200,1000", help="sizes to measure")
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "real_model")
    parser.add_argument("--kept", type=Path, default=HERE / "results" / "real_model.jsonl", help="finished cells")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "real_model.md")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    found: dict[Cell, dict[str, Any]] = {}
    if args.kept.exists():
        for line in map(json.loads, args.kept.read_text(encoding="utf-8").splitlines()):
            found[Cell(**line.pop("cell"))] = line
    sizes = [int(size) for size in args.rows.split(",")]
    for cell in cells(args.sets.split(","), args.ways.split(","), sizes):
        if cell not in found:
            found[cell] = result = measure(cell, args.evals, args.work)
            with args.kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"cell": vars(cell), **result}) + "\n")
            shown = f"{cell.key}: {_shown(result)}, dev {result['dev']}, {result['wall']:.0f} s in all"
            print(shown, flush=True)
    write(found, args.out)


if __name__ == "__main__":
    main()
