"""What a gate says in a pull request, bound to the digests of what it compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whichway.verdict.explain.number_format import score_format

if TYPE_CHECKING:
    from whichway.app.regression import RegressionCheck

MARK = "<!-- whichway gate -->"  # by which a workflow finds its comment of before


def gate_comment(result: RegressionCheck) -> str:
    """A comment in Markdown: the comparison, and the digests of the prompt, the rows and the baseline.

    Two comments with equal digests say the same; one whose digests are others than those of the current commit is out
    of date.
    """
    form, comparison = score_format(result.plain), result.comparison
    low, high = comparison.low, comparison.high
    interval = "" if low is None or high is None else f" ({form.signed(low)} to {form.signed(high)})"
    heading = "the prompt is shown worse" if result.worse else "the prompt is not shown worse"
    times = f"{result.crossings} time{'s' * (result.crossings > 1)}"
    lines = [
        MARK,
        f"### whichway: {heading}",
        "",
        f"| | {result.way} | this commit |",
        "|---|---:|---:|",
        f"| score on {result.rows} test rows | {form.bare(result.before)} | {form.bare(result.now)} |",
        "",
        f"Difference {form.signed(comparison.value)}{form.unit}{interval}; {comparison.wins} rows better, "
        f"{comparison.losses} worse. The test split of {result.run} has been crossed {times} by gates.",
        "",
        "| bound to | digest |",
        "|---|---|",
        *(f"| {name} | `{value}` |" for name, value in result.digests.items()),
        "",
    ]
    return "\n".join(lines)
