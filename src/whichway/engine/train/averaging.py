"""The mean of several trainings from one start, as one adapter (model soups, Wortsman et al. 2022, arXiv 2203.05482).

A few hundred rows leave much to the order in which they are seen: two trainings answer many rows differently, and an
ensemble of them is better than either. Trainings from the same start end near enough to each other that the mean of
their changes to the weights keeps most of that, and answers in one pass (`dev/LOG.md`).

The mean of `B A` over m adapters of rank r is one adapter of rank m r: all `A` on top of each other, all `B` side by
side, divided by m. PEFT loads it like any other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from whichway.engine.model.load import Model
from whichway.engine.train import adapter_check, adapters, checkpoint, process_memory, trainer
from whichway.engine.train.train_progress import ProgressWatcher, TrainProgress
from whichway.errors import OptionError
from whichway.nouns import Adapter, TrainJob, digest
from whichway.training_kinds import LoraOptions

_VERSION = 1
_CONFIG, _TENSORS = "adapter_config.json", "adapter_model.safetensors"


class Soup:
    """Trainings that go forward together, checkpoint by checkpoint, each continuing by itself where it was stopped."""

    def __init__(
        self, model: Model, job: TrainJob, settings: LoraOptions, folder: Path, start: Path | None,
        watch: ProgressWatcher | None = None,
    ) -> None:  # fmt: skip
        """As `learn.Run`; `settings.soup` trainings.

        Raises:
            OptionError: DoRA, whose changes have no mean of this form.
        """
        if settings.variant == "dora":
            raise OptionError("Training option soup cannot be used with variant = 'dora': its changes have no mean.")
        self.model, self.job, self.folder = model, job, folder
        self.key = digest(["soup", _VERSION, job])
        self._at: dict[int, TrainProgress] = {}
        self.runs = [
            trainer.TrainingRun(
                model, job, settings, folder, start, self._reported(n, watch) if watch else None, member=n
            )
            for n in range(settings.soup)
        ]

    def steps(self) -> Iterator[Adapter]:
        """One adapter for each checkpoint that all trainings have reached."""
        for number, adapters_of_step in enumerate(zip(*(run.steps() for run in self.runs), strict=True)):
            yield self._mean(digest([self.key, number]), adapters_of_step)

    def _reported(self, number: int, watch: ProgressWatcher) -> ProgressWatcher:
        """A watcher of one training, which tells `watch` where all of them together stand."""

        def tell(now: TrainProgress) -> None:
            self._at[number] = now
            all_ = self._at.values()
            step, tokens = sum(n.step for n in all_), sum(n.tokens for n in all_)
            watch(TrainProgress(step, now.steps * len(self.runs), now.loss, tokens, sum(n.seconds for n in all_)))

        return tell

    def _mean(self, name: str, members: Sequence[Adapter]) -> Adapter:
        """The mean of these checkpoints."""
        place = self.folder / name
        if not place.exists():
            with checkpoint.written(place) as temporary:
                _join([self.folder / str(adapter.weights.adapter) for adapter in members], temporary)
                module = adapters.trained(self.model.module, temporary)
                adapter_check.write(temporary, adapter_check.sample(module, self.runs[0].rows))
                checkpoint.write_facts(
                    temporary,
                    kind=self.job.kind,
                    step=sum(a.step for a in members),
                    epoch=members[0].epoch,
                    loss=sum(a.loss or 0.0 for a in members) / len(members),
                    seconds=sum(a.seconds for a in members),
                    tokens=sum(a.tokens for a in members),
                    peak_bytes=process_memory.peak_bytes(),
                    work=_summed(members),
                )
        return checkpoint.read_adapter(place, self.job.weights)


def _summed(members: Sequence[Adapter]) -> dict[str, tuple[float, float]]:
    """The counted work of all trainings together; what they read before is read once."""
    work = dict(members[0].work)
    for member in members[1:]:
        units, seconds = work.get("train", (0.0, 0.0))
        more = member.work.get("train", (0.0, 0.0))
        work["train"] = (units + more[0], seconds + more[1])
    return work


def _join(places: Sequence[Path], into: Path) -> None:
    """Write the adapter whose change of each weight is the mean of those in `places`."""
    from safetensors.torch import load_file, save_file

    config: dict[str, Any] = json.loads((places[0] / _CONFIG).read_text(encoding="utf-8"))
    count = len(places)
    # PEFT scales by alpha / r, or by alpha / sqrt(r) for rsLoRA: the same scale at the larger rank.
    config["r"] *= count
    config["lora_alpha"] *= math.sqrt(count) if config.get("use_rslora") else count
    (into / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    tensors_by_place = [load_file(place / _TENSORS) for place in places]
    joined = {
        name: torch.cat([member[name] for member in tensors_by_place])
        if "lora_A" in name
        else torch.cat([member[name] for member in tensors_by_place], dim=1) / count
        for name in tensors_by_place[0]
    }
    save_file({k: t.contiguous() for k, t in joined.items()}, into / _TENSORS, metadata={"format": "pt"})
