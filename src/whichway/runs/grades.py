"""Which answers of a run people grade, in which order, and the file that keeps their grades.

Test inputs are drawn once, by the digest of the plan: whoever grades works down this order and may stop after any
input. The first m of a random order are a random sample, whatever m is; rows that a person picks are not. With each
input come the answers of every way that the judge judged, one each (drawn among its repeats), in an order that says
nothing about ways, and equal texts once. An empty answer has the worst level, as for the judge.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whichway.errors import UserError
from whichway.nouns import JudgeSpec, digest
from whichway.runs.run import Run, RunRow
from whichway.verdict.hand_grades import ENOUGH

FILE = "grades.jsonl"


@dataclass(frozen=True, slots=True)
class AnswerToGrade:
    """One text, and whose it is."""

    id: str  # says nothing about ways
    text: str
    ways: tuple[tuple[str, int], ...]  # way, and which of its repeats


@dataclass(frozen=True, slots=True)
class InputToGrade:
    """A test input with the answers to grade; empty ones are left out."""

    row: RunRow
    answers: tuple[AnswerToGrade, ...]
    empty: tuple[tuple[str, int], ...]  # ways whose answer is empty, and the repeat


def judge_of(run: Run) -> JudgeSpec:
    """The judge of a run.

    Raises:
        UserError: it has none.
    """
    judge = run.plan.judge
    if judge is None:
        raise UserError(
            f"{run.path} has no judge, so there are no levels to grade by. Add judge: with a model and a rubric to the "
            "task file and run it in a new folder."
        )
    return judge


def inputs_to_grade(run: Run) -> tuple[InputToGrade, ...]:
    """All test inputs of a judged run in the order in which they are graded.

    Raises:
        UserError: the run has no judge, or its judge has not judged any way to the end.
    """
    judge_of(run)
    finalists = _judged(run)
    if not finalists:
        raise UserError(
            f"{run.path}: the judge has judged no way to the end, so there is nothing to grade. Run the same "
            "`whichway run` command again, with a larger budget if it was spent."
        )
    rows = random.Random(f"{run.plan_sha256}/grades").sample(run.test, len(run.test))
    return tuple(_input(run, row, finalists) for row in rows)


def _judged(run: Run) -> dict[str, str]:
    """Way -> the finalist whose answers the judge judged, for ways that it judged on every test row."""
    seen: dict[str, set[str]] = {}
    finalist: dict[str, str] = {}
    for line in run.judgements:
        if line["what"] == "level":
            seen.setdefault(line["way"], set()).add(line["example"])
            finalist[line["way"]] = line["candidate"]
    every = {row.id for row in run.test}
    return {way: finalist[way] for way in sorted(seen) if seen[way] >= every}


def _input(run: Run, row: RunRow, finalists: Mapping[str, str]) -> InputToGrade:
    """An input with one answer of each way."""
    by_text: dict[str, list[tuple[str, int]]] = {}
    for way, candidate in finalists.items():
        records = run.test_records[candidate, row.id]
        record = random.Random(f"{run.plan_sha256}/{row.id}/{way}").choice(records)
        by_text.setdefault(record.text.strip(), []).append((way, record.repeat))
    empty = tuple(by_text.pop("", ()))
    # A letter in front: a spreadsheet would read some digests as numbers, and write them back as such.
    ids = {text: "a" + digest([run.plan_sha256, row.id, text], 10) for text in by_text}
    answers = (AnswerToGrade(ids[text], text, tuple(ways)) for text, ways in by_text.items())
    return InputToGrade(row, tuple(sorted(answers, key=lambda answer: answer.id)), empty)


def grade_lines(
    inputs: Sequence[InputToGrade], levels: Mapping[str, int], count: int, before: Sequence[Mapping[str, Any]] = ()
) -> tuple[dict[str, Any], ...]:
    """The lines of grades.jsonl: for each graded input and way, the level of its answer.

    Args:
        inputs: that were graded.
        levels: answer's id -> level, 0 the worst.
        count: of levels.
        before: the lines that the run holds already. Inputs that they lack are another look at the verdict, where
            there were enough of the others to decide.
    """
    lines, known = [], {line["example"]: line["look"] for line in before}
    last = max(known.values(), default=1)
    look = last + (len(known) >= ENOUGH)
    for one in inputs:
        every = [(way, repeat, answer.text, levels[answer.id]) for answer in one.answers for way, repeat in answer.ways]
        every += [(way, repeat, "", 0) for way, repeat in one.empty]
        lines += [
            {"example": one.row.id, "way": way, "repeat": repeat, "text": digest(text), "level": level, "levels": count,
             "look": known.get(one.row.id, look)}
            for way, repeat, text, level in sorted(every)
        ]  # fmt: skip
    return tuple(lines)
