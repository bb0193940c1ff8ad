"""Compare two finished runs: paired on the test rows that both have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def compare(
    first: Annotated[Path, Argument(help="A finished run folder.")],
    second: Annotated[Path, Argument(help="Another one.")],
    way: Annotated[
        str | None, Option(metavar="WAY|A,B", help="A way of both, or one of each; default: the choices.")
    ] = None,
    confidence: Annotated[float, Option(min=0.5, max=0.999, help="Of the intervals.")] = 0.95,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare what two runs chose (or two ways), paired where their test rows coincide; says how many do."""
    import json as as_json

    from whichway.app.open_results import results_of
    from whichway.contest.compare_runs import compare_ways
    from whichway.nouns import to_json
    from whichway.report.compare import lines
    from whichway.runs.folder import read_verdict

    names = way.split(",") if way else [read_verdict(run).choice or "" for run in (first, second)]
    one, two = (names[0].strip(), names[-1].strip())
    result = compare_ways(results_of(first), results_of(second), one, two, confidence, (first, second))
    if json:
        print(as_json.dumps(to_json(result), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(lines(result)))
