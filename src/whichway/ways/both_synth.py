"""New rows that a model writes from the task and its examples, mixed with the real ones; a small model is trained.

The writer is asked label by label for rows of drawn length, manner and subject. Rows that are nearly copies of labelled
ones, of whichever split, are left out and counted. What is left is labelled once more, by the writer's best prompts or
by the student of the real rows, whichever is better on dev, and only rows whose label comes back are kept (round trip).
The share of them that is mixed in is chosen on dev; none is one of the choices, so the student is never below the same
training on the labelled rows alone there. Everything that the writer takes is in the student's price.

On subjective tasks such rows teach worse than people's (arXiv 2310.07849): the plan warns.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from whichway.contracts import Bench
from whichway.errors import BudgetSpent, WayFailed
from whichway.nouns import Budget, Candidate, Example, Reply, TrainDevView, Weights
from whichway.ways._prompt import one_seed
from whichway.ways._spending import bought_in_blocks, with_share
from whichway.ways._student import STUDENT, Student, best_of, student_of, taught
from whichway.ways._teacher import Teacher, label_rows, mean_score, teacher_of
from whichway.ways._train import TrainingOptions
from whichway.ways._writer import Question, plain, questions, rows_of, writer

KIND = "both"
RANDOM = True
LABELLING = 0.5  # share of what is left of a budget beyond the training that is for labelling the written rows
WRITTEN = "written rows"
CALLS = 16  # questions put at once: what a spent budget can cost


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """Who writes, how much, what is trained, and how long."""

    teacher: str = field(
        default="", metadata={"help": "the model that writes the rows; empty: the model itself", "teacher": True}
    )
    student: str = field(default="", metadata=STUDENT)
    prompts: tuple[str, ...] = field(
        default=("prompt_plain", "prompt_shots"), metadata={"help": "prompting ways by which the writer labels them"}
    )
    agree: int = field(default=1, metadata={"help": "prompts of the writer that vote on a label", "least": 1})
    per_label: int = field(default=20, metadata={"help": "rows to write for each label", "least": 1})
    per_call: int = field(default=5, metadata={"help": "rows to write in one answer", "least": 1})
    shown: int = field(default=4, metadata={"help": "real rows shown for an answer", "least": 1})
    write_temperature: float = field(default=0.8, metadata={"help": "temperature of the writing"})
    mix: tuple[float, ...] = field(
        default=(1.0, 0.5),
        metadata={
            "help": "shares of the written rows to mix with the real ones; dev chooses",
            "above": 0,
            "most": 1,
            "quick": 1,
        },
    )
    rank: int = field(default=16, metadata={"help": "rank of the adapter", "least": 1})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: the student of the labelled rows, then of these and the written ones, seed by seed."""
    if not task.labels:
        raise WayFailed("rows are written for labels; for written answers let a teacher answer rows: both_distill")
    if any(e.turns for e in task.train):
        raise WayFailed("conversations are not written; let a teacher label some: both_distill with --unlabelled")
    if options.teacher and bench.way(options.teacher):
        raise WayFailed(f"{options.teacher} is a way, and a model is needed that writes")
    student = student_of(task, bench, options.student, options)
    base = bench.model(options.teacher) if options.teacher else bench.base

    def added(alone: list[Candidate], reserve: Budget) -> tuple[list[Example], str]:
        rows = _kept(task, bench, options, (base, reserve), alone)
        return _chosen_mix(task, bench, options.mix, rows, student) if rows else [], WRITTEN

    yield from taught(task, bench, student, added)


def _kept(
    task: TrainDevView, bench: Bench, options: Options, paid: tuple[Weights, Budget], alone: Sequence[Candidate]
) -> list[Example]:
    """Written rows that are new and whose label comes back."""
    base, reserve = paid
    asked_rows = questions(task, options.per_label, options.per_call, options.shown)
    model = writer(task, base, options.write_temperature, options.per_call)
    written = _written(task, bench, model, asked_rows, with_share(reserve, bench.left, LABELLING))
    new = _new(bench, written)
    if not new:
        return []
    checker, right = _checker(task, bench, options, alone)
    pairs = label_rows(task, bench, checker, new, reserve)
    kept_rows = [row for row, answer in pairs if answer.text == row.target]
    bench.say(
        f"{len(kept_rows)} of {len(new)} new rows are labelled as they were meant, by {checker.name} ({right:.3f} of "
        "dev right); the others are left out"
    )
    return kept_rows


def _written(
    task: TrainDevView, bench: Bench, model: Candidate, put: Sequence[Question], reserve: Budget
) -> list[Example]:
    """Rows of all answers, each with the label that it was written for, as far as the budget goes."""

    def replies(block: Sequence[Question]) -> Sequence[Reply]:
        return bench.ask(model, [question.row for question in block])

    rows: list[Example] = []
    for question, reply in bought_in_blocks(bench, put, CALLS, reserve, replies, "questions are put to the writer"):
        if reply.finish != "error":
            rows += [Example(cells, question.label) for cells in rows_of(reply.text, reply.finish, task)]
    return rows


def _new(bench: Bench, written: Sequence[Example]) -> list[Example]:
    """The rows that are no copies: of each other, or nearly of a labelled row of any split."""
    distinct = list({plain(row.text): row for row in reversed(written)}.values())[::-1]
    near = bench.near_copies([row.text for row in distinct])
    counts = Counter(near)
    bench.say(
        f"the writer gave {len(written)} rows; left out: {len(written) - len(distinct)} copies of each other, nearly "
        f"copies of {counts['train']} training, {counts['dev']} dev and {counts['test']} test rows"
    )
    return [row for row, split in zip(distinct, near, strict=True) if split is None]


def _checker(task: TrainDevView, bench: Bench, options: Options, alone: Sequence[Candidate]) -> tuple[Teacher, float]:
    """Who labels the written rows once more, and how much of dev it has right: the better of writer and student."""
    checkers: list[Teacher] = []
    best = best_of(bench, alone)
    if best is not None:
        checkers.append(Teacher("the student of the labelled rows", (best.candidate,)))
    try:
        word = options.teacher or bench.base.base
        checkers.append(teacher_of(task, bench, word, options.prompts, options.agree))
    except (WayFailed, BudgetSpent) as error:
        bench.say(f"the writer does not label its rows: {error}")
    if not checkers:
        raise BudgetSpent("the budget is spent before anybody could label the written rows")
    scored = [(mean_score(checker.dev(task, bench)) or 0.0, checker) for checker in checkers]
    right, checker = max(scored, key=lambda pair: pair[0])
    return checker, right


def _chosen_mix(
    task: TrainDevView, bench: Bench, mix: Sequence[float], rows: Sequence[Example], student: Student
) -> list[Example]:
    """The share of the written rows whose student is best on dev; the first seed tells."""
    if len(mix) == 1:
        return _part(rows, mix[0])
    one, best, value = one_seed(bench), _part(rows, mix[0]), -math.inf
    for share in mix:
        added = _part(rows, share)
        wider = replace(task, train=(*task.train, *added))
        result = best_of(one, list(student.trained(wider, one, f"with {len(added)} {WRITTEN}")))
        if result is not None and result.value > value:
            best, value = added, result.value
        if result is not None:
            bench.say(f"with {len(added)} written rows: dev {result.value:.3f}")
    return best


def _part(rows: Sequence[Example], share: float) -> list[Example]:
    """A share of the rows of each label, in their order."""
    totals = Counter(row.target for row in rows)
    limits = {label: math.ceil(min(1.0, share) * count) for label, count in totals.items()}
    seen: Counter[str] = Counter()
    part = []
    for row in rows:
        seen[row.target] += 1
        if seen[row.target] <= limits[row.target]:
            part.append(row)
    return part
