"""A teacher's answers into weights: to rows without a wanted answer, or a long prompt's behaviour under a short one.

With rows that nobody labelled (`unlabelled:`) a teacher labels them: a prompted model, larger or hosted, or another way
of the contest. Answers of which it is sure enough, by a threshold chosen on dev, are added to the labelled rows, and
the student's own way is trained on both. The same training on the labelled rows alone comes first; it is the measure
and the fallback. Everything that the teacher takes is in the student's price.

Without such rows: the model, or a teacher that is named, answers the training rows under the best prompt found; answers
that the metric finds good are kept, and an adapter learns to give them under the plain prompt. Context distillation
(Snell et al. 2022, arXiv 2209.15189) with the filter of BootstrapFinetune (DSPy), LoRA instead of all weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Budget, Candidate, Example, Prompt, TrainDevView, digest
from whichway.prompts.plain import base_prompt
from whichway.ways._prompt import best_prompt, not_shown
from whichway.ways._student import STUDENT, best_of, student_of, taught
from whichway.ways._teacher import (
    TEACHER,
    Teacher,
    TeacherAnswer,
    label_rows,
    least_confidence,
    mean_score,
    teacher_of,
)
from whichway.ways._train import TrainingOptions, trained

KIND = "both"
RANDOM = True
FEWEST = 8  # answers to learn from
WORSE = 1.5  # times the student's errors: a teacher that is shown to make more labels nothing


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """Who teaches, what is kept, what is trained, and how long."""

    prompts: tuple[str, ...] = field(
        default=("prompt_plain", "prompt_shots"), metadata={"help": "prompting ways whose candidates are tried on dev"}
    )
    teacher: str = field(default="", metadata=TEACHER)
    teacher_backend: str = field(
        default="", metadata={"help": "the backend of a teacher that is no model of the contest"}
    )
    student: str = field(default="", metadata=STUDENT)
    agree: int = field(default=3, metadata={"help": "prompts of a teaching model that vote on each row", "least": 1})
    rows: int = field(default=2000, metadata={"help": "most unlabelled rows that are labelled", "least": 1})
    confidence: float = field(
        default=0.0, metadata={"help": "least confidence of a label that is learned from; 0: chosen on dev", "below": 1}
    )
    keep: float = field(
        default=1.0, metadata={"help": "least score of an answer to a training row that is learned from"}
    )
    bare: bool = field(
        default=False, metadata={"help": "train answers to training rows under the ask alone, without the labels"}
    )
    rank: int = field(default=16, metadata={"help": "rank of the adapter", "least": 1})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs on the teacher's answers, seed by seed."""
    if task.is_preference:
        raise WayFailed("preference rows hold both answers already; use tune_dpo")
    if task.unlabelled:
        yield from _from_unlabelled(task, bench, options)
        return
    base = None
    if options.teacher:
        if bench.way(options.teacher) and not options.teacher_backend:
            raise WayFailed(
                "a way teaches by labelling rows that have no answer: name a file of them with --unlabelled"
            )
        named = options.teacher_backend
        base = bench.weights(named, options.teacher) if named else bench.model(options.teacher)
    if options.student:
        student = student_of(task, bench, options.student, options)
        examples = _answered(task, bench, best_prompt(task, bench, options.prompts, base), options.keep)
        yield from student.trained(replace(task, train=tuple(examples)), bench, "rows that the teacher answered well")
        return
    if not bench.has("lora"):
        raise WayFailed("this model's backend cannot train LoRA adapters")
    examples = _answered(task, bench, best_prompt(task, bench, options.prompts, base), options.keep)
    prompt = base_prompt(task)
    if options.bare:
        prompt = Prompt(objective=prompt.objective, output_format=prompt.output_format)
    yield from trained(task, bench, "lora", options, prompt=prompt, examples=examples, rank=options.rank)


def _answered(task: TrainDevView, bench: Bench, teacher: Candidate, least: float) -> list[Example]:
    """Training rows with the teacher's answers for targets, those that the metric finds good."""
    rows = not_shown(task.train, teacher.prompt)
    records = bench.score(teacher, rows)
    examples = [
        replace(example, target=record.text)
        for example, record in zip(rows, records, strict=True)
        if record.score is not None and record.score >= least and record.text.strip()
    ]
    bench.say(f"the teacher answered {len(examples)} of {len(rows)} rows well enough to learn from")
    if len(examples) < min(FEWEST, len(task.train)):
        raise WayFailed(
            f"the teacher answered only {len(examples)} of {len(rows)} training rows with a score of {least:g} or "
            "more; name a better one with both_distill.teacher, or lower both_distill.keep"
        )
    return examples


# rows without a wanted answer


def _from_unlabelled(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """The student on the labelled rows, then with rows that the teacher labelled."""

    def added(alone: list[Candidate], reserve: Budget) -> tuple[list[Example], str]:
        teacher = teacher_of(task, bench, options.teacher, options.prompts, options.agree, options.teacher_backend)
        rows = _labelled(task, bench, options, teacher, (alone, reserve))
        return rows, f"rows that {teacher.name} labelled"

    yield from taught(task, bench, student_of(task, bench, options.student, options), added)


def _labelled(
    task: TrainDevView, bench: Bench, options: Options, teacher: Teacher, before: tuple[list[Candidate], Budget]
) -> list[Example]:
    """Unlabelled rows with the answers of which the teacher is sure; none where it is worse than the student."""
    alone, reserve = before
    facts = teacher.dev(task, bench)
    score, student = mean_score(facts) or 0.0, best_of(bench, alone)
    noise = math.sqrt(score * (1 - score) / max(1, len(facts)))
    bench.say(f"teacher {teacher.name}: {len(teacher.members)} voting, {score:.3f} of dev right")
    own = math.fsum(student.scores) / len(student.scores) if student else 0.0
    if student is not None and 1 - score - noise > WORSE * (1 - own):
        bench.say(f"the student of the labelled rows alone is much better on dev ({own:.3f}): it needs no such teacher")
        return []
    chance = 1 / len(task.labels) if task.labels else 0.0
    least = options.confidence or least_confidence(facts, chance)
    rows = sorted(task.unlabelled, key=lambda row: digest(["teach", row.id]))[: options.rows]
    pairs = label_rows(task, bench, teacher, rows, reserve)
    sure = [(row, answer) for row, answer in pairs if answer.confidence >= least]
    right = mean_score(facts, least)
    bench.say(
        f"{len(sure)} of {len(pairs)} labelled rows are kept, those with a confidence of {least:.3f} or more"
        + ("" if right is None else f" ({right:.3f} right on dev)")
    )
    return _in_order(task, sure)


def _in_order(task: TrainDevView, sure: list[tuple[Example, TeacherAnswer]]) -> list[Example]:
    """The labelled rows in the order of their file, so that how far the budget went changes their number alone."""
    answers = {row.id: answer.text for row, answer in sure}
    return [replace(row, target=answers[row.id]) for row in task.unlabelled if row.id in answers]
