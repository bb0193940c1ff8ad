"""Learning curves from a table of runs (way, seed, n, score): how many labels is a prompt worth?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

if TYPE_CHECKING:
    from whichway.findings import Crossover
    from whichway.verdict.curves import Curves


def curves(
    file: Annotated[Path, Argument(help="CSV with columns way, seed, n, score; or a run folder with curves.jsonl.")],
    aggregate: Annotated[
        Literal["mean", "max"], Option(help="Mean over seeds, or the accumulated maximum of Le Scao & Rush.")
    ] = "mean",
    ways: Annotated[str | None, Option(metavar="A,B", help="Only these two; default every pair.")] = None,
    confidence: Annotated[float, Option(min=0.5, max=0.999, help="Of the intervals.")] = 0.95,
    baseline: Annotated[float | None, Option(help="Score of doing nothing, to tell a plateau near it.")] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[Path | None, Option(help="Write a page with the plot.")] = None,
) -> None:
    """Learning curves, where one overtakes another, and how many rows a way is worth."""
    import json as as_json

    from whichway.app.list_runs import read
    from whichway.nouns import to_json
    from whichway.report import learning
    from whichway.verdict.curves import Curves

    drawn = Curves(read(file), aggregate, confidence)
    found = [drawn.curve(way) for way in drawn.families]
    crossed = pairs(drawn, ways, baseline)
    if html is not None:
        learning.write(html, file.name, found, crossed, drawn)
    if json:
        facts = {"aggregate": aggregate, "confidence": confidence, "curves": found, "crossovers": crossed}
        print(as_json.dumps(to_json(facts), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(learning.lines(found, crossed, confidence)))


def pairs(drawn: Curves, ways: str | None, baseline: float | None) -> list[Crossover]:
    """The crossovers asked for.

    Raises:
        OptionError: a way that the table does not have.
    """
    from itertools import combinations

    from whichway.errors import OptionError, did_you_mean
    from whichway.verdict.crossover import crossover

    names = list(drawn.families)
    if ways is not None:
        names = [name.strip() for name in ways.split(",")]
        if len(set(names)) != 2 or len(names) != 2:
            raise OptionError(f"--ways {ways}: name two ways with a comma.")
        for name in names:
            if name not in drawn.families:
                raise OptionError(f"the table has no way '{name}'.{did_you_mean(name, drawn.families)}")
    found = []
    for one, two in combinations(names, 2):
        first, second = (one, two) if ways is not None else late_last(drawn, one, two)
        found.append(crossover(drawn, first, second, baseline))
    return found


def late_last(drawn: Curves, one: str, two: str) -> tuple[str, str]:
    """Two ways, the one that is ahead at the larger sizes last: it is the one that overtakes."""
    from whichway.verdict.crossover import shared

    sizes = shared(drawn, one, two)
    if len(sizes) == 0:
        return one, two
    gap = float(drawn.at(two, sizes[-1:])[0] - drawn.at(one, sizes[-1:])[0])
    return (one, two) if gap >= 0 else (two, one)
