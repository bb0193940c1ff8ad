"""Runs the training that a job asks for: one run, several that are averaged, or one on pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from whichway.engine.model.load import Model
from whichway.engine.train.averaging import Soup
from whichway.engine.train.dpo import PairRun
from whichway.engine.train.train_progress import ProgressWatcher
from whichway.engine.train.trainer import TrainingRun
from whichway.nouns import Adapter, TrainJob
from whichway.training_kinds import KINDS, FullOptions, LoraOptions, options


def train(
    model: Model, job: TrainJob, folder: Path, start: Path | None, watch: ProgressWatcher | None = None
) -> Iterator[Adapter]:
    """Train a LoRA adapter or all weights; one `Adapter` per checkpoint, saved as `folder/<digest>/`.

    Continues from `folder/state/` when the same job was interrupted; a finished one yields what is there. `watch` is
    told after every step where it stands, and may raise `Stop`.

    Raises:
        WayFailed: it diverged, or no row fits the model.
        OptionError: an unknown option.
    """
    settings: FullOptions = options(KINDS[job.kind].options, job.options)
    if isinstance(settings, LoraOptions) and settings.soup > 1:
        yield from Soup(model, job, settings, folder, start, watch).steps()
    else:
        yield from (PairRun if KINDS[job.kind].pairs else TrainingRun)(
            model, job, settings, folder, start, watch
        ).steps()
