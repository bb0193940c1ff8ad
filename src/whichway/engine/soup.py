"""The mean of several trainings from one start, as one adapter (model soups, Wortsman et al. 2022, arXiv 2203.05482).

A few hundred rows leave much to the order in which they are seen: two trainings answer many rows differently, and an
ensemble of them is better than either. Trainings from the same start end near enough to each other that the mean of
their changes to the weights keeps most of that, and answers in one pass (`dev/LOG.md`).

The mean of `B A` over m adapters of rank r is one adapter of rank m r: all `A` on top of each other, all `B` side by
side, divided by m. PEFT loads it like any other.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from whichway.engine import attach, learn, live, memory
from whichway.engine.child import Now, Watch
from whichway.engine.load import Model
from whichway.engine.options import LoraOptions
from whichway.errors import OptionError
from whichway.nouns import Adapter, TrainJob, digest

_VERSION = 1
_CONFIG, _TENSORS = "adapter_config.json", "adapter_model.safetensors"


class Soup:
    """Trainings that go forward together, checkpoint by checkpoint, each continuing by itself where it was stopped."""

    def __init__(
        self, model: Model, job: TrainJob, given: LoraOptions, folder: Path, start: Path | None,
        watch: Watch | None = None,
    ) -> None:  # fmt: skip
        """As `learn.Run`; `given.soup` trainings.

        Raises:
            OptionError: DoRA, whose changes have no mean of this form.
        """
        if given.variant == "dora":
            raise OptionError("Training option soup cannot be used with variant = 'dora': its changes are no products.")
        self.model, self.folder = model, folder
        self.weights = job.weights
        self.key = digest(["soup", _VERSION, job])
        self.watch = watch
        self._at: dict[int, Now] = {}
        alone = dataclasses.replace(job, options={**job.options, "soup": 1})
        count = given.soup
        self.runs = [
            learn.Run(model, alone, given, folder, start, self._told(n, count) if watch else None, member=n)
            for n in range(count)
        ]

    def steps(self) -> Iterator[Adapter]:
        """One adapter for each checkpoint that all trainings have reached."""
        for number, made in enumerate(zip(*(run.steps() for run in self.runs), strict=True)):
            yield self._mean(digest([self.key, number]), made)

    def _told(self, number: int, count: int) -> Watch:
        """A watcher of one training: where all of them together stand."""

        def tell(now: Now) -> None:
            self._at[number] = now
            all_ = self._at.values()
            assert self.watch is not None
            self.watch(
                Now(
                    sum(n.step for n in all_), now.steps * count, now.loss, sum(n.tokens for n in all_),
                    sum(n.seconds for n in all_),
                )
            )  # fmt: skip

        return tell

    def _mean(self, name: str, made: Sequence[Adapter]) -> Adapter:
        """The mean of these checkpoints, saved by write-then-rename."""
        place, temporary = self.folder / name, self.folder / f".{name}.tmp"
        if not place.exists():
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            _join([self.folder / str(adapter.weights.adapter) for adapter in made], temporary)
            rows = self.runs[0].rows
            module = attach.trained(self.model.module, temporary)
            live.write(temporary, module, rows[:: max(1, len(rows) // 4)][:4])
            learn.write_facts(
                temporary,
                kind=made[0].weights.kind,
                step=sum(a.step for a in made),
                epoch=made[0].epoch,
                loss=sum(a.loss or 0.0 for a in made) / len(made),
                seconds=sum(a.seconds for a in made),
                tokens=sum(a.tokens for a in made),
                peak_bytes=memory.peak_bytes(),
            )
            temporary.replace(place)
        return learn.read_adapter(place, self.weights)


def _join(places: Sequence[Path], into: Path) -> None:
    """Write the adapter whose change of each weight is the mean of those in `places`."""
    from safetensors.torch import load_file, save_file

    config: dict[str, Any] = json.loads((places[0] / _CONFIG).read_text(encoding="utf-8"))
    count = len(places)
    # PEFT scales by alpha / r, or by alpha / sqrt(r) for rsLoRA: the same scale at the larger rank.
    config["r"] *= count
    config["lora_alpha"] *= math.sqrt(count) if config.get("use_rslora") else count
    (into / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    parts = [load_file(place / _TENSORS) for place in places]
    joined = {
        name: torch.cat([part[name] for part in parts])
        if "lora_A" in name
        else torch.cat([part[name] for part in parts], dim=1) / count
        for name in parts[0]
    }
    save_file({k: t.contiguous() for k, t in joined.items()}, into / _TENSORS, metadata={"format": "pt"})
