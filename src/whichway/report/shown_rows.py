"""The test rows that a report looks at one by one: all of them, or of very many a part that fits into memory."""

from __future__ import annotations

from whichway.runs.run import Run

SHOWN = 400_000  # answers to test rows that are held at once


def shown(run: Run) -> Run:
    """The run with as many test rows as can be looked at one by one: itself, or with a part of them.

    The part is drawn by the rows' content, after those whose labels are doubtful and those on which seeds differ most.
    The verdict is of all rows, as before.
    """
    count = SHOWN // max(1, len(run.plan_data["ways"]))
    test = run.test
    if len(test) <= count:
        return run
    doubtful = {row.example for row in run.verdict.doubtful.rows} if run.verdict.doubtful else set()
    divided = {row for spread in run.verdict.spreads for row in spread.flips}
    drawn = sorted(test, key=lambda row: (row.id not in doubtful, row.id not in divided, row.id))[:count]  # by digest
    return run.with_test_rows(frozenset(row.id for row in drawn))
