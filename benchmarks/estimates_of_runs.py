"""Estimates of contests that were held before, beside what they took: a mode of `estimates.py`.

The run folders are those of `real_model.py`: one way each, named SET-ROWS-DRAW-WAY. Each contest is simulated again at
rates of one probe. The finished runs shared their machine and kept seconds by the clock only, and the same work took up
to three times as long at a busy moment. So each part of a run (the trainings; the answers, by what was asked) is also
taken at the pace of the quietest such part of the same way on the same set.
"""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import real_model

import whichway
from sets import ASKS  # of the recipe of the embedded model: what is asked about the evaluation sets is said once
from whichway.app.arguments import read_call
from whichway.contest.dry_run.machine_load import processor
from whichway.contest.dry_run.simulate import estimate
from whichway.contracts import follow_nothing
from whichway.runs.run import Run
from whichway.ways._train import shares

SHORT = 1.0  # seconds under which a factor says nothing: loading a library takes as long
WITHIN = 1.5


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a run did: how much of it, and the seconds that it took."""

    what: str  # parts of one name may be compared by pace
    units: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """One finished run of one way, and its estimate."""

    name: str  # of the set
    rows: int
    draw: int
    way: str
    parts: tuple[Part, ...]
    estimated: float = 0.0

    @property
    def seconds(self) -> float:
        """By the clock."""
        return sum(part.seconds for part in self.parts)


def finished_runs(folder: Path, rows: int) -> list[Finished]:
    """The runs that ended with a verdict, without those that failed."""
    found = []
    for place in sorted(path.parent for path in folder.glob("*-*-*-*/verdict.json")):
        name, count, draw, way = place.name.rsplit("-", 3)
        run = Run(place)
        if int(count) == rows and run.verdict.standings[0].status == "ok":
            found.append(Finished(name, rows, int(draw), way, tuple(parts(run))))
    return found


def parts(run: Run) -> Iterator[Part]:
    """What a run's ledger holds. Training rows differ a little between draws of a set, which a training counts by."""
    (options,) = run.plan.ways.values()
    steps = shares(options.get("checkpoints", 1))
    for line in run.ledger:
        if line["what"] == "train":
            place = int(line["key"].rpartition("/")[2])
            share = steps[place] - (steps[place - 1] if place else 0.0) if place < len(steps) else 1.0
            yield Part("train", share * run.plan.rows["train"], float(line["seconds"]))
        else:
            test = line["what"] == "test"  # dev rows are answered in blocks: a shared prompt weighs more on them
            yield Part("test" if test else "dev", float(max(1, line["calls"])), float(line["seconds"]))


def quiet_seconds(one: Finished, runs: Sequence[Finished]) -> float:
    """The seconds of a run at the pace of the quietest part of each kind, over all runs of its way on its set."""
    paces: dict[str, float] = {}
    for part in (p for run in runs if (run.name, run.way) == (one.name, one.way) for p in run.parts):
        paces[part.what] = min(part.seconds / part.units, paces.get(part.what, float("inf")))
    if one.way == "prompt_shots":  # its candidates have prompts of other lengths, so dev answers are not alike
        paces.pop("dev", None)
    return sum(p.units * paces[p.what] if p.what in paces else p.seconds for p in one.parts)


def estimated(one: Finished, folder: Path, evals: Path, model: str, cache: Path) -> float:
    """List seconds that a simulation of the same contest takes, at the rates of the cache."""
    place = folder / f"{one.name}-{one.rows}-{one.draw}-{one.way}"
    options = Run(place).plan.ways[one.way]
    data = real_model.split(evals / f"{one.name}.jsonl", one.rows, one.draw)
    metric = "json_fields" if one.name in real_model.FREE else "accuracy"
    with tempfile.TemporaryDirectory() as out:
        arguments: dict[str, Any] = {"input": "input", "target": "target", "ask": ASKS[one.name], "metric": metric}
        arguments |= {"model": model, "ways": {one.way: dict(options)}, "seeds": 1, "cache": str(cache)}
        ready = read_call(data, {**arguments, "out": f"{out}/run"}).ready()
        return estimate(ready.task, ready.components, ready.settings, follow_nothing).ways[one.way].seconds


def table(runs: Sequence[Finished], every: Sequence[Finished]) -> Iterator[str]:
    """The page in Markdown: of some runs, beside the paces of all."""
    lines, clock, quiet = list[str](), list[float](), list[float]()
    ratios = [run.estimated / quiet_seconds(run, every) for run in runs if quiet_seconds(run, every) >= SHORT]
    middle = sorted(ratios)[len(ratios) // 2] if ratios else 1.0
    alike = sum(1 / WITHIN <= ratio / middle <= WITHIN for ratio in ratios)
    for run in runs:
        least = quiet_seconds(run, every)
        far = [_factor(run.estimated, took) for took in (run.seconds, least)]
        if far[0] is not None and far[1] is not None:
            clock.append(far[0])
            quiet.append(far[1])
        ratio, told = (f"{run.estimated / took:.2f}" if took else "–" for took in (run.seconds, least))
        held = "–" if far[1] is None else "yes" if far[1] <= WITHIN else "no"
        numbers = f"{run.estimated:.1f} | {run.seconds:.1f} | {ratio} | {least:.1f} | {told} | {held}"
        lines.append(f"| {run.name} | {run.draw} | {run.way} | {numbers} |")
    yield "# Estimates beside finished runs of SmolLM2"
    yield ""
    yield (
        f"{_share(quiet)} within a factor of {WITHIN:g} of the seconds at the quietest pace (wanted: 90 %), "
        f"{_share(clock)} of those by the clock. The runs of `real_model.md` shared their machine and kept seconds by "
        "the clock only; "
        '"quietest" takes trainings and answers at the pace of the quietest such part of the same way on the same set. '
        "Estimates: the contest simulated again at the rates of a probe, in processor seconds of one thread. The probe "
        f"had its own moment of the machine: its middle ratio is {middle:.2f}, and {alike} of {len(ratios)} "
        f"({100 * alike / max(1, len(ratios)):.0f} %) lie within {WITHIN:g} of that, which is how well work is counted."
    )
    yield ""
    about = f"Python {platform.python_version()}, {processor()}, one thread, {date.today().isoformat()}"
    yield f"{about}; whichway {whichway.__version__}. A way under a second is not counted."
    yield ""
    yield "| set | draw | way | estimated s | clock s | estimated / clock | quietest s | estimated / quietest | held |"
    yield "|---|---|---|---|---|---|---|---|---|"
    yield from lines


def _factor(said: float, took: float) -> float | None:
    """How far apart they are, at least 1; None where both are too short to tell."""
    return max(said, took) / max(min(said, took), 1e-9) if max(said, took) >= SHORT else None


def _share(factors: Sequence[float]) -> str:
    within = sum(factor <= WITHIN for factor in factors)
    return (
        f"{within} of {len(factors)} ({100 * within / max(1, len(factors)):.0f} %, the middle {_middle(factors):.2f})"
    )


def _middle(factors: Sequence[float]) -> float:
    return sorted(factors)[len(factors) // 2] if factors else 1.0


def write_table(
    folder: Path, evals: Path, model: str, out: Path | None, ways: Sequence[str], draw: int | None, rows: int = 200
) -> None:
    """Estimate every finished run again; the page is written after each, so that an interrupted one keeps what it has.

    Args:
        folder: of the run folders.
        evals: of the evaluation sets they were cut from.
        model: under trial.
        out: where to; None: printed.
        ways: that are estimated.
        draw: of the sets' rows that are estimated; None: all.
        rows: labelled rows of the runs that are taken.
    """
    every = finished_runs(folder, rows)
    runs = [run for run in every if run.way in ways and draw in (None, run.draw)]
    done: list[Finished] = []
    with tempfile.TemporaryDirectory() as place:
        for run in runs:
            done.append(replace(run, estimated=estimated(run, folder, evals, model, Path(place) / "cache")))
            told = [run.name, run.draw, run.way, round(done[-1].estimated, 2), round(run.seconds, 2)]
            print(json.dumps(told), flush=True)
            if out is not None:
                out.write_text("\n".join(table(done, every)) + "\n", encoding="utf-8")
    print("\n".join(table(done, every)))
