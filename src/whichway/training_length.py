"""How long a training is: epochs and steps, resolved in one place for plan, estimate, progress and loop."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from whichway.nouns import TrainJob
from whichway.training_kinds import KINDS


@dataclass(frozen=True, slots=True)
class TrainingLength:
    """A training's length."""

    epochs: float  # passes over the rows
    steps: int  # of the optimiser
    per_epoch: int  # steps of one pass


def training_length(
    rows: int, batch: int, epochs: float, least_steps: int = 0, max_steps: int | None = None
) -> TrainingLength:
    """Epochs and steps of a training.

    Args:
        rows: to train on; pairs where rows come in pairs.
        batch: rows a step.
        epochs: passes over the rows, as the options say.
        least_steps: a floor: where the epochs give fewer steps, there are more epochs; 0 for none.
        max_steps: a ceiling; None for none.
    """
    per_epoch = math.ceil(rows / batch)
    passes = max(float(epochs), least_steps / per_epoch)
    return TrainingLength(passes, max(1, min(math.ceil(per_epoch * passes), max_steps or 10**9)), per_epoch)


def length_of(job: TrainJob) -> TrainingLength | None:
    """The length of one training of a job; None for kinds that are fitted in one go."""
    kind = KINDS[job.kind]
    defaults = {field.name: field.default for field in dataclasses.fields(kind.options)}
    if "epochs" not in defaults:
        return None
    all_options = {**defaults, **job.options}
    rows = len(job.rows) // 2 if kind.pairs else len(job.rows)
    return training_length(rows, all_options["batch"], all_options["epochs"], max_steps=all_options["max_steps"])
