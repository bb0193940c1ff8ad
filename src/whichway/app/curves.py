"""Learning curves from a table (CSV `way, seed, n, score`, or a run's curves.jsonl), and where two of them cross."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.errors import DataError, OptionError, did_you_mean

if TYPE_CHECKING:
    from whichway.findings import Crossover
    from whichway.verdict.curves import CurveRun, Curves

NEEDED = ("way", "seed", "n", "score")


def read(path: Path) -> list[CurveRun]:
    """The runs of a CSV file or of a run folder.

    Raises:
        DataError: names file and line.
    """
    if path.is_dir() or path.suffix == ".jsonl":
        return _of_run(path / "curves.jsonl" if path.is_dir() else path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file, skipinitialspace=True)
            names = [name.strip().lower() for name in lines.fieldnames or ()]
            missing = [name for name in NEEDED if name not in names]
            if missing:
                columns = ", ".join(names) or "nothing"
                gone = ", ".join(missing)
                raise DataError(f"{path}:1: there is no column {gone}; found {columns}. Name them way,seed,n,score.")
            lines.fieldnames = names
            runs = [(lines.line_num, _run(path, lines.line_num, line)) for line in lines]
    except FileNotFoundError:
        raise DataError(f"{path} is missing. Give a CSV file with the columns way,seed,n,score.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text: {error}.") from error
    return _checked(path, runs)


def _run(path: Path, number: int, line: Mapping[str | None, str | None]) -> CurveRun:
    from whichway.verdict.curves import CurveRun

    way = (line.get("way") or "").strip()
    if not way:
        raise DataError(f"{path}:{number}: way is empty.")
    return CurveRun(
        way=way,
        seed=_whole(path, number, "seed", line.get("seed")),
        n=_whole(path, number, "n", line.get("n"), least=0),
        score=_score(path, number, line.get("score")),
    )


def _whole(path: Path, number: int, name: str, text: str | None, least: int | None = None) -> int:
    stripped = (text or "").strip()
    wanted = "give a whole number" if least is None else f"give a whole number from {least} on"
    try:
        value = float(stripped)
    except ValueError:
        raise DataError(f"{path}:{number}: {name} is '{stripped}'; {wanted}.") from None
    if not math.isfinite(value) or value != int(value) or (least is not None and value < least):
        raise DataError(f"{path}:{number}: {name} is '{stripped}'; {wanted}.")
    return int(value)


def _score(path: Path, number: int, text: str | None) -> float:
    try:
        value = float((text or "").strip())
    except ValueError:
        raise DataError(f"{path}:{number}: score is '{(text or '').strip()}'; give a number.") from None
    if not math.isfinite(value) or not -1 <= value <= 1:
        raise DataError(f"{path}:{number}: score is {value:g}; give it between −1 and 1 (71.5 % is 0.715).")
    return value


def _checked(path: Path, runs: list[tuple[int, CurveRun]]) -> list[CurveRun]:
    if not runs:
        raise DataError(f"{path} has no runs.")
    seen: dict[tuple[str, int, int], int] = {}
    for number, run in runs:
        key = (run.way, run.seed, run.n)
        if key in seen:
            point = f"{run.way}, seed {run.seed}, n {run.n}"
            raise DataError(
                f"{path}:{number}: {point} stands there twice; first in line {seen[key]}. Number the seeds."
            )
        seen[key] = number
    return [run for _, run in runs]


def _of_run(path: Path) -> list[CurveRun]:
    from whichway.runs.results import curve_runs

    runs = curve_runs(path)
    if not runs:
        raise DataError(f"{path} has no learning curves. Run the contest with --curve, such as --curve 8,16,32,64.")
    return runs


def plain_scores(path: Path) -> bool:
    """Whether scores are plain numbers, as a correlation's, by the plan of the run that the curves are of."""
    from whichway.runs.folder import read_plan

    folder = path if path.is_dir() else path.parent
    return path.suffix != ".csv" and (folder / "plan.json").is_file() and bool(read_plan(folder).get("metric_plain"))


def window(text: str | None) -> tuple[float, float] | None:
    """The levels of score of `--window LOW,HIGH`.

    Raises:
        OptionError: they are no two ascending scores.
    """
    if text is None:
        return None
    wrong = OptionError(f"--window {text}: give two scores between −1 and 1, the lower first, such as 0.6,0.8.")
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise wrong from None
    if not -1 <= low < high <= 1:
        raise wrong
    return low, high


def pairs(
    drawn: Curves,
    ways: str | None,
    baseline: float | None,
    window: tuple[float, float] | None = None,
    plain: bool = False,
) -> list[Crossover]:
    """The crossovers asked for, with the data advantage over a window of scores.

    Args:
        drawn: the curves.
        ways: two ways with a comma; None: every pair.
        baseline: score of doing nothing.
        window: scores over which rows are compared; None: all that both reach.
        plain: whether scores are written as plain numbers, not in percent.

    Raises:
        OptionError: a way that the table does not have.
    """
    from whichway.verdict.crossover import crossover
    from whichway.verdict.explain.number_format import score_format

    names = list(drawn.families)
    if ways is not None:
        names = [name.strip() for name in ways.split(",")]
        if len(set(names)) != 2 or len(names) != 2:
            raise OptionError(f"--ways {ways}: name two ways with a comma.")
        for name in names:
            if name not in drawn.families:
                raise OptionError(f"the table has no way '{name}'.{did_you_mean(name, drawn.families)}")
    crossovers = []
    for one, two in combinations(names, 2):
        first, second = (one, two) if ways is not None else late_last(drawn, one, two)
        crossovers.append(crossover(drawn, first, second, baseline, window, score=score_format(plain).score))
    return crossovers


def late_last(drawn: Curves, one: str, two: str) -> tuple[str, str]:
    """Two ways, the one that is ahead at the larger sizes last: it is the one that overtakes."""
    from whichway.verdict.crossover import shared

    sizes = shared(drawn, one, two)
    if len(sizes) == 0:
        return one, two
    gap = float(drawn.at(two, sizes[-1:])[0] - drawn.at(one, sizes[-1:])[0])
    return (one, two) if gap >= 0 else (two, one)
