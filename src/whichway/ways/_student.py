"""What the ways share whose student is trained by another way: on the labelled rows alone, and with more rows.

The first is the second's measure and its fallback: both are candidates, and dev chooses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from whichway.contracts import Bench, RaceResult, Way
from whichway.errors import WayFailed
from whichway.nouns import Candidate, TrainDevView
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
    if other is None or other[0].KIND not in ("fine-tune", "baseline"):
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


def tell_gain(bench: Bench, alone: Sequence[Candidate], more: Sequence[Candidate], what: str) -> None:
    """Log for each seed whether the rows that were added help on dev; where they do not, the others stand."""
    for seed in sorted({candidate.seed for candidate in more}):
        without = best_of(bench, [candidate for candidate in alone if candidate.seed == seed] or alone)
        added = best_of(bench, [candidate for candidate in more if candidate.seed == seed])
        if without is None or added is None:
            continue
        if added.value > without.value:
            bench.say(f"seed {seed}: {what} help on dev, {added.value:.3f} against {without.value:.3f} without them")
        else:
            bench.say(
                f"seed {seed}: {what} do not help on dev, {added.value:.3f} against {without.value:.3f} without them: "
                "the student of the labelled rows alone stands"
            )
