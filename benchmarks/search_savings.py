"""What a cheaper search would have chosen: decisions replayed on the dev rows of finished runs.

    python benchmarks/search_savings.py --runs RUNS [--out benchmarks/results/search_savings.md]

RUNS: run folders of `real_model.py`. Nothing is trained or answered, and no test row is looked at. Two savings:

- one rate: only the first of the rates, without a rung. A run whose search kept the first rate ends as it did.
- patience N: a training stops when N checkpoints in a row were no better on dev than the best before them.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from whichway.contest.selection.successive_halving import latest
from whichway.runs.run import Run
from whichway.ways._train import shares

WAYS = ("tune_lora", "tune_head", "both_shots_lora", "tune_encoder")
PATIENCE = (1, 2)
SEARCHED = 0.3  # of a whole run, that each rate but the surviving one takes


@dataclass(frozen=True, slots=True)
class Search:
    """One training of a finished run: the rate that was kept, and dev scores of its checkpoints."""

    cell: str
    way: str
    rate: str
    first_rate: str
    train: int  # rows
    dev: int  # rows that every checkpoint answered
    values: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]  # row by row
    other: float | None  # dev score of the rate that was dropped, at the rung, on the same rows
    share: tuple[float, ...]  # of the steps, at each checkpoint

    @property
    def kept(self) -> int:
        """The checkpoint that selection keeps: the latest that ties with the best."""
        return latest(self.values, self.scores)

    def stopped(self, patience: int) -> tuple[float, float]:
        """(share of the steps that is trained, change of the kept dev score) with so much patience."""
        best, waited, end = float("-inf"), 0, len(self.values) - 1
        for place, value in enumerate(self.values[:-1]):
            waited = 0 if value > best else waited + 1
            best = max(best, value)
            if waited >= patience:
                end = place
                break
        kept = latest(self.values[: end + 1], self.scores[: end + 1])
        return self.share[end], self.values[kept] - self.values[self.kept]


def searches(folder: Path) -> list[Search]:
    """Every finished run of a way that searches its rate."""
    found = []
    for place in sorted(folder.iterdir()):
        cell, _, way = place.name.rpartition("-")
        if way in WAYS and (place / "verdict.json").exists() and (one := search_of(Run(place), cell, way)):
            found.append(one)
    return found


def search_of(run: Run, cell: str, way: str) -> Search | None:
    """The search of a run; None where it has no rows in common."""
    entries = run.entries.get(way, [])
    points: dict[str, dict[str, float]] = {}
    for record in run.all_records:
        if record.split == "dev":
            points.setdefault(record.candidate, {})[record.example] = record.points
    names = [entry.facts["id"] for entry in entries]
    if not names or any(name not in points for name in names):
        return None
    rows = sorted(set.intersection(*(set(points[name]) for name in names)))
    scores = tuple(tuple(points[name][row] for row in rows) for name in names)
    dropped = [[points[name][row] for row in rows if row in points[name]] for name in points if name not in names]
    options = run.plan.ways[way]
    notes = [entry.candidate.note for entry in entries]
    return Search(
        cell, way, notes[0].split(" ×")[0], f"{options['factors'][0]:g}", run.plan.rows["train"], len(rows),
        tuple(map(statistics.mean, scores)), scores,
        statistics.mean(dropped[0]) if dropped and dropped[0] else None, shares(options["checkpoints"])[: len(names)],
    )  # fmt: skip


def table(found: Sequence[Search]) -> Iterator[str]:
    """The page in Markdown."""
    yield "# What a cheaper search would have chosen"
    yield ""
    yield (
        "`python benchmarks/search_savings.py --runs RUNS`: decisions replayed on the dev rows of the finished runs of "
        '`real_model.md` (SmolLM2 and MiniLM, default options, one seed). No test row is looked at. "Saved": of the '
        'steps of a search and its training. "Dev": change of the kept checkpoint\'s dev score in points, with its '
        "standard error over runs."
    )
    yield ""
    yield "| way | runs | first rate kept | one rate saves | patience 1 saves | dev | patience 2 saves | dev |"
    yield "|---|---|---|---|---|---|---|---|"
    for way in WAYS:
        those = [one for one in found if one.way == way]
        if those:
            first = sum(one.rate == one.first_rate for one in those)
            cells = [f"| {way} | {len(those)} | {first} | {SEARCHED / (1 + SEARCHED):.0%}"]
            for patience in PATIENCE:
                stops = [one.stopped(patience) for one in those]
                saved = statistics.mean((1 - share) / (1 + SEARCHED) for share, _ in stops)
                cells += [f"{saved:.0%}", _mean([100 * change for _, change in stops])]
            yield " | ".join(cells) + " |"
    yield ""
    yield "Runs whose search kept another rate than the first; the dev scores of both at the rung, and what was kept:"
    yield ""
    for one in found:
        if one.rate != one.first_rate:
            other = "" if one.other is None else f", against {100 * one.other:.1f} of the first"
            about = f"{one.train} training rows, {one.dev} dev rows"
            yield f"- {one.cell}, {one.way} ({about}): {100 * one.values[0]:.1f}{other}; in the end "
            yield f"  {100 * one.values[one.kept]:.1f}."
    yield ""
    yield "| run | way | rate | dev at each checkpoint | kept | patience 1 | patience 2 |"
    yield "|---|---|---|---|---|---|---|"
    for one in found:
        devs = " ".join(f"{100 * value:.1f}" for value in one.values)
        stops = [f"{share:.0%}, {100 * change:+.1f}" for share, change in map(one.stopped, PATIENCE)]
        yield f"| {one.cell} | {one.way} | {one.rate} | {devs} | {one.kept + 1} | {' | '.join(stops)} |"


def _mean(values: Sequence[float]) -> str:
    """A mean with its standard error: "-1.4 ± 1.3"."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.mean(values):+.1f} ± {error:.1f}"


def main() -> None:
    """Replay, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "search_savings.md")
    given = parser.parse_args()
    given.out.write_text("\n".join(table(searches(given.runs))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
