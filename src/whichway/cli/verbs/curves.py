"""Learning curves from a table of runs (way, seed, n, score): how many labels is a prompt worth?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option


def curves(
    file: Annotated[Path, Argument(help="CSV with columns way, seed, n, score; or a run folder with curves.jsonl.")],
    aggregate: Annotated[
        Literal["mean", "max"], Option(help="Mean over seeds, or the accumulated maximum of Le Scao & Rush.")
    ] = "mean",
    ways: Annotated[str | None, Option(metavar="A,B", help="Only these two; default every pair.")] = None,
    confidence: Annotated[float, Option(min=0.5, max=0.999, help="Of the intervals.")] = 0.95,
    baseline: Annotated[float | None, Option(help="Score of doing nothing, to tell a plateau near it.")] = None,
    window: Annotated[
        str | None, Option(metavar="LOW,HIGH", help="Scores over which rows are compared; default all that both reach.")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[Path | None, Option(help="Write a page with the plot.")] = None,
) -> None:
    """Learning curves, where one overtakes another, and how many rows a way is worth."""
    import json as as_json

    from whichway.app.curves import pairs, plain_scores, read
    from whichway.app.curves import window as levels
    from whichway.nouns import to_json
    from whichway.report import curves
    from whichway.report.formatting import ScoreText
    from whichway.verdict.curves import Curves
    from whichway.verdict.explain.number_format import score_format

    score_window, plain = levels(window), plain_scores(file)
    scores = ScoreText(score_format(plain))
    drawn = Curves(read(file), aggregate, confidence)
    fitted = [drawn.curve(way) for way in drawn.families]
    crossed = pairs(drawn, ways, baseline, score_window, plain)
    if html is not None:
        curves.write(html, file.name, fitted, crossed, drawn, scores)
    if json:
        facts = {"aggregate": aggregate, "confidence": confidence, "curves": fitted, "crossovers": crossed}
        print(as_json.dumps(to_json(facts), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(curves.lines(fitted, crossed, confidence, drawn.rows_known, scores)))
