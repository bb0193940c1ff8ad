"""What the ways share whose student is trained by another way: on the labelled rows alone, and with more rows.

The first is the second's measure and its fallback: both are candidates, and dev chooses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from whichway.contracts import Bench, RaceResult, Way, learns
from whichway.errors import BudgetSpent, WayFailed
from whichway.nouns import Budget, Candidate, Example, TrainDevView
from whichway.ways._spending import difference
from whichway.ways._train import TrainingOptions

ALONE = "labelled rows alone"
STUDENT = {
    "help": "the way that trains the student, with its options in this contest: tune_head, tune_lora, tune_encoder, "
    "base_encoder, ...; empty: tune_head for labels, tune_lora for texts",
    "student": True,
}


@dataclass(frozen=True, slots=True)
class Student:
    """A way that trains, with its options."""

    name: str
    way: Way
    options: Any

    def trained(self, task: TrainDevView, bench: Bench, note: str) -> Iterator[Candidate]:
        """Its candidates, seed by seed, each with a note of the rows that it learned from.

        Raises:
            WayFailed: it cannot be trained here.
        """
        try:
            for candidate in self.way.adapt(task, bench, self.options):
                yield replace(candidate, note=f"{self.name}, {note}: {candidate.note}")
        except WayFailed as failed:
            raise WayFailed(f"student {self.name}: {failed}") from failed


def student_of(task: TrainDevView, bench: Bench, name: str, own: TrainingOptions) -> Student:
    """The student that an option names.

    Args:
        task: what is asked.
        bench: of the contest, whose options the student's way takes over.
        name: of the way; empty: a head for labels, LoRA for texts.
        own: options of the way that teaches; those that are not at their defaults are the student's as well.

    Raises:
        WayFailed: no way that trains.
    """
    name = name or ("tune_head" if task.labels else "tune_lora")
    other = bench.way(name)
    if other is None or not learns(other[0]):
        raise WayFailed(
            f"student {name} is no way that is trained; name one such as tune_head, tune_lora, tune_encoder"
        )
    way, options = other
    known = {field.name for field in dataclasses.fields(options)}
    changed = {
        field.name: getattr(own, field.name)
        for field in dataclasses.fields(own)
        if field.name in known and getattr(own, field.name) != field.default
    }
    if "factors" in changed and "search_from" in known:
        changed["search_from"] = 0  # who sets the rates gets them
    return Student(name, way, dataclasses.replace(options, **changed))


def best_of(bench: Bench, candidates: Sequence[Candidate]) -> RaceResult | None:
    """The best of some candidates on dev, the first of equals; None where the budget measured none."""
    raced = bench.race(candidates, halve=False)
    return raced[0] if raced else None


def taught(
    task: TrainDevView,
    bench: Bench,
    student: Student,
    added: Callable[[list[Candidate], Budget], tuple[Sequence[Example], str]],
) -> Iterator[Candidate]:
    """Yield the student of the labelled rows and the one of more rows, whichever dev prefers first.

    Args:
        task: with the labelled rows.
        bench: of the contest.
        student: what is trained.
        added: gives more rows, and in words what they are, from the student's candidates of the labelled rows and what
            these took, which the training on more rows will take again.

    Raises:
        BudgetSpent: before the student of the labelled rows was trained.
    """
    before = bench.spent
    alone: list[Candidate] = []
    try:
        alone.extend(student.trained(task, bench, ALONE))
    except BudgetSpent:
        yield from alone
        raise
    best_of(bench, alone)  # measured while there is money, so that they stand whatever the added rows take
    try:
        more = added(alone, difference(bench.spent, before))
    except BudgetSpent as spent:
        bench.say(str(spent))
        yield from alone
        return
    yield from _student_and_fallback(task, bench, student, alone, more)


def _student_and_fallback(
    task: TrainDevView, bench: Bench, student: Student, alone: Sequence[Candidate], added: tuple[Sequence[Example], str]
) -> Iterator[Candidate]:
    """Yield the student with more rows beside the one without: of equals on dev the contest takes the first, this one.

    Where the budget ends on the way, or dev says that the rows do not help, the labelled rows alone come first.

    Args:
        task: with the labelled rows.
        bench: of the contest.
        student: what is trained.
        alone: its candidates of the labelled rows, which are measured already.
        added: more rows, and in words what they are.
    """
    rows, what = added
    if not rows:
        bench.say("nothing is added: the student of the labelled rows alone stands")
        yield from alone
        return
    wider = replace(task, train=(*task.train, *rows))
    more: list[Candidate] = []
    try:
        more.extend(student.trained(wider, bench, f"with {len(rows)} {what}"))
    except BudgetSpent as spent:
        bench.say(str(spent))
    helped = [seed for seed in sorted({candidate.seed for candidate in more}) if _helps(bench, alone, more, seed, what)]
    yield from (candidate for candidate in more if candidate.seed in helped)
    yield from alone
    yield from (candidate for candidate in more if candidate.seed not in helped)


def _helps(bench: Bench, alone: Sequence[Candidate], more: Sequence[Candidate], seed: int, what: str) -> bool:
    """Whether the rows that were added are no loss on dev with a seed; logs by how much."""
    without = best_of(bench, [candidate for candidate in alone if candidate.seed == seed] or alone)
    added = best_of(bench, [candidate for candidate in more if candidate.seed == seed])
    if without is None or added is None or len(added.scores) < len(without.scores):
        return False
    values = f"{added.value:.3f} on dev against {without.value:.3f} without them"
    if added.value < without.value:
        bench.say(f"seed {seed}: {what} do not help, {values}: the student of the labelled rows alone stands")
        return False
    bench.say(f"seed {seed}: {what} {'help' if added.value > without.value else 'are no loss'}, {values}")
    return True
