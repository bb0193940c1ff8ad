"""The sheet on which people grade answers: written for a run, blind and in random order, and read back.

A sheet is a CSV file with one line for each answer: its id, the input, the answer, and an empty column for the grade, a
level's word or its number. It says nothing about ways. Only ids and grades are read back, so that columns may be added
or removed; formats are those of data files.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.errors import DataError, DiskError, OptionError, UserError, did_you_mean

if TYPE_CHECKING:
    from whichway.runs.grades import InputToGrade
    from whichway.runs.run import Run
    from whichway.tasks.table import Row

USUAL = 40  # inputs
FORMULA = ("=", "+", "-", "@")  # how a cell begins that spreadsheets would compute
GRADE = "grade"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a written sheet holds."""

    path: Path
    inputs: int
    answers: int
    graded: int  # answers whose grade is known already
    rubric: str
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadGrades:
    """The grades of a sheet that can be used."""

    lines: tuple[dict[str, Any], ...]  # of grades.jsonl
    inputs: int
    notes: tuple[str, ...] = ()


def write_sheet(run: Run, path: Path, count: int = USUAL) -> Sheet:
    """Write a sheet for the first inputs of a run's order, with the grades that the run holds already.

    Args:
        run: finished, with a judge.
        path: of the sheet.
        count: inputs; all where there are fewer.

    Raises:
        UserError: the run has no judge.
        OptionError: the file exists.
        DiskError: it cannot be written.
    """
    from whichway.runs.grades import inputs_to_grade, judge_of

    judge = judge_of(run)
    inputs = inputs_to_grade(run)[:count]
    if path.exists():
        raise OptionError(f"{path} exists and may hold grades. Give another file with --out.")
    known = {(line["example"], line["way"]): line["level"] for line in run.grades}
    scale = ", ".join(f"{k} = {level}" for k, level in enumerate(judge.levels, start=1))
    lines, graded = [("id", "input", "answer", f"{GRADE}: {judge.rubric} {scale}")], 0
    for one in inputs:
        for answer in one.answers:
            level = known.get((one.row.id, answer.ways[0][0]))
            graded += level is not None
            grade = "" if level is None else str(level + 1)
            lines.append((answer.id, inert(one.row.text), inert(answer.text), grade))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8-sig", newline="") as out:
            csv.writer(out).writerows(lines)
    except OSError as error:
        raise DiskError(f"{path} cannot be written ({error.strerror}). Give another place with --out.") from error
    return Sheet(path, len(inputs), len(lines) - 1, graded, judge.rubric, judge.levels)


def inert(text: str) -> str:
    """A cell that no spreadsheet computes."""
    return f"'{text}" if text.startswith(FORMULA) else text


def read_sheet(run: Run, path: Path) -> ReadGrades:
    """The grades of a sheet: of all inputs down to the first that is not graded.

    Args:
        run: whose answers were graded.
        path: a filled-in sheet.

    Raises:
        DataError: a line is of another run, twice there, no level, or left out with others graded below it; names file
            and line.
        UserError: the run has no judge.
    """
    from whichway.runs.grades import grade_lines, inputs_to_grade, judge_of
    from whichway.tasks.read import read

    judge, inputs = judge_of(run), inputs_to_grade(run)
    table = read(path)
    column = next((name for name in table.columns if name.casefold().startswith(GRADE)), None)
    if column is None or "id" not in table.columns:
        raise DataError(
            f"{path}: no column '{'id' if 'id' not in table.columns else GRADE}'. Fill in the sheet that `whichway "
            f"grade {run.path}` writes."
        )
    levels, places = _levels(run, table.rows, column, inputs, judge.levels)
    complete = 0
    while complete < len(inputs) and all(answer.id in levels for answer in inputs[complete].answers):
        complete += 1
    if complete and not any(one.answers for one in inputs[:complete]):
        complete = 0  # nothing but empty answers: nobody has graded anything
    _refuse_gaps(path, inputs[complete:], levels, places)
    if complete < 2:
        raise DataError(f"{path}: fewer than two inputs are graded. Fill in the column '{GRADE}' from the top.")
    part = complete < len(inputs) and any(answer.id in levels for answer in inputs[complete].answers)
    notes = ("The last input is graded in part and is left out.",) if part else ()
    return ReadGrades(grade_lines(inputs[:complete], levels, len(judge.levels), run.grades), complete, notes)


def _levels(
    run: Run, rows: Sequence[Row], column: str, inputs: Sequence[InputToGrade], words: Sequence[str]
) -> tuple[dict[str, int], dict[str, str]]:
    """Answer's id -> its level, and -> the line it stands on (of all, graded or not)."""
    known = {answer.id for one in inputs for answer in one.answers}
    levels: dict[str, int] = {}
    places: dict[str, str] = {}
    for row in rows:
        name, text = row.fields.get("id", ""), row.fields.get(column, "")
        if name not in known:
            raise DataError(f"{row.where}: no answer of {run.path} has the id '{name}'. Is the sheet of another run?")
        if name in places:
            raise DataError(f"{row.where}: the answer '{name}' stands on {places[name]} already. Leave one of them.")
        places[name] = row.where
        if text:
            levels[name] = _level(text, words, row.where)
    return levels, places


def _level(text: str, words: Sequence[str], where: str) -> int:
    """The level that a cell names: its word, or its number from 1."""
    folded = [word.casefold() for word in words]
    if text.casefold() in folded:
        return folded.index(text.casefold())
    number = text.removesuffix(".0")
    if number.isdecimal() and 1 <= int(number) <= len(words):
        return int(number) - 1
    hint = "" if number.isdecimal() else did_you_mean(text, words)
    raise DataError(f"{where}: '{text}' is no grade. Give a number from 1 to {len(words)}, or a level's word.{hint}")


def _refuse_gaps(
    path: Path, rest: Sequence[InputToGrade], levels: Mapping[str, int], places: Mapping[str, str]
) -> None:
    """Refuse grades below an input that is not graded: which inputs are graded must be left to chance."""
    if not any(answer.id in levels for one in rest[1:] for answer in one.answers):
        return
    gap = next(answer for answer in rest[0].answers if answer.id not in levels)
    where = places.get(gap.id)
    what = f"{where}: no grade" if where else f"{path}: the answer '{gap.id}' is missing"
    raise DataError(
        f"{what}, but inputs below it are graded. The inputs stand in random order, and leaving out some of them would "
        "bias the scores: grade it, or stop above it."
    )


def keep_grades(run: Run, grades: ReadGrades) -> None:
    """Write the grades into the run folder, where every verdict reads them from then on."""
    from whichway.nouns import canonical
    from whichway.runs.folder import write_text
    from whichway.runs.grades import FILE

    try:
        write_text(run.path / FILE, "".join(canonical(line) + "\n" for line in grades.lines))
    except OSError as error:
        raise UserError(f"{run.path / FILE} cannot be written ({error.strerror}).") from error
