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

    from whichway.app.compare import compare as compare_finished
    from whichway.nouns import to_json
    from whichway.report.compare import lines

    names = [name.strip() for name in way.split(",")] if way else []
    result = compare_finished(first, second, (names[0], names[-1]) if names else None, confidence)
    if json:
        print(as_json.dumps(to_json(result), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(lines(result)))
