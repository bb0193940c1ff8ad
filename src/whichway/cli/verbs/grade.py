"""Write a sheet of answers to grade by hand, so that a judge's error is known and it may decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def grade(
    run: Annotated[Path, Argument(help="A finished run folder with a judge.")],
    inputs: Annotated[
        int, Option(min=2, help="Test inputs on the sheet, with every way's answer; drawn at random.")
    ] = 40,
    out: Annotated[Path, Option(help="The sheet to write, a CSV file.")] = Path("grades.csv"),
) -> None:
    """Write a sheet of answers to grade by hand: random inputs, every way's answer, without the ways' names.

    Fill in the last column, then: whichway verdict RUN --grades FILE. Grades that RUN holds already are filled in.
    """
    from whichway.app.grading_sheet import write_sheet
    from whichway.runs.run import Run

    sheet = write_sheet(Run(run), out, inputs)
    scale = ", ".join(f"{k} {level}" for k, level in enumerate(sheet.levels, start=1))
    known = f", {sheet.graded} of them graded already" if sheet.graded else ""
    print(f"{sheet.answers} answers to {sheet.inputs} inputs{known} -> {sheet.path}")
    print(f"Grade by: {sheet.rubric} ({scale})")
    print("From the top; you may stop after any input. Equal answers stand there once; ways are not named.")
    print(f"Then: whichway verdict {run} --grades {sheet.path}")
