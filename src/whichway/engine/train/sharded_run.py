"""A training that several processes do together: the same rows, order, loss and steps as one process alone.

Each step's rows are dealt to the processes; the step's loss stays the mean over all its trained tokens, and gradients
are summed. Rows run through transformers' layers and autograd, with the shared prompt in the same pass (the way back
through the keys of an earlier pass would meet weights that are dropped again), and each layer computes its numbers once
more on the way back. The result equals that of one process up to rounding. The first process writes what is saved.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recomputed

from whichway.engine.model import decoder, forward
from whichway.engine.model.load import Model
from whichway.engine.model.out_of_memory import out_of_memory
from whichway.engine.train import adapter_check
from whichway.engine.train.encoded_rows import Encoded
from whichway.engine.train.shards import Shards, deal
from whichway.engine.train.train_progress import ProgressWatcher
from whichway.engine.train.trainable import Trainable
from whichway.engine.train.trainer import ONE_ROW, TrainingRun
from whichway.errors import WayFailed
from whichway.nouns import TrainJob
from whichway.training_kinds import KINDS, options

_WHOLE = ("pissa", "dora")  # variants that start from each weight as a whole


def refusal(job: TrainJob) -> str:
    """Why a training cannot be shared out among processes, as a clause; "" where it can.

    Raises:
        OptionError: an unknown option.
    """
    settings: Any = options(KINDS[job.kind].options, job.options)
    if not KINDS[job.kind].shards:
        able = ", ".join(name for name, kind in KINDS.items() if kind.shards)
        return f"of the kinds of training only {able} are sharded, not {job.kind}"
    variant = getattr(settings, "variant", "")
    if variant in _WHOLE:
        return f"variant = '{variant}' starts from whole weights; take 'lora' or 'rslora'"
    if getattr(settings, "soup", 1) > 1:
        return "soup > 1 trains several adapters in turns; take soup = 1"
    if getattr(settings, "init", "zeros") != "zeros":
        return "init = 'logistic' reads the frozen base first; take init = 'zeros'"
    return ""


class ShardedRun(TrainingRun):
    """A training of which this process does a part."""

    def __init__(
        self, model: Model, job: TrainJob, folder: Path, start: Path | None, watch: ProgressWatcher | None,
        shards: Shards, tokens: int,
    ) -> None:  # fmt: skip
        """`model`: as `load.load_to_share` opens it; its weights are given up. `tokens`: in one backward pass.

        Raises:
            WayFailed: such a training cannot be shared out.
            OptionError: an unknown option.
        """
        reason = refusal(job)
        if reason:
            raise WayFailed(f"This training cannot be sharded: {reason}.")
        super().__init__(model, job, options(KINDS[job.kind].options, job.options), folder, start, watch)
        self.shards, self.tokens = shards, tokens
        self._samples: list[adapter_check.SampledRow] = []

    def set_up(self) -> None:
        """Have this process's part of the base, the trained part and the optimiser in memory.

        Raises:
            WayFailed: they do not fit.
        """
        try:
            super().set_up()
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            part = f"Part {self.shards.rank + 1} of {self.shards.count} of the model"
            raise WayFailed(f"{part} does not fit into memory; use a smaller model or more cards.") from error
        self.limit = max(1, min(self.limit, self.tokens - len(self.prefix)))

    def _trainable(self) -> Trainable:
        trainable = super()._trainable()
        module, layers = trainable.module, _layers(trainable.module)
        self.shards.spread(module, layers)
        decoder.unregister(module)
        for layer in layers:
            layer.gradient_checkpointing = True
            layer._gradient_checkpointing_func = functools.partial(recomputed, use_reentrant=False)
            layer.training = True  # asked for by transformers; the parts of the layer stay as they are
        trainable.tensors = {name: p for name, p in trainable.outer.named_parameters() if p.requires_grad}
        if trainable.head is not None:
            trainable.head = module.lm_head.weight
        self.model = dataclasses.replace(self.model, module=module)  # nobody holds the whole weights now
        self.limit = self.tokens
        return trainable

    def _backward(self, batch: Sequence[Encoded], trained: int) -> float:
        """Gradients of the batch's mean loss: this process's rows, then the sum over all.

        All processes run as many passes, because each pass wants everybody's part of the weights. One that has fewer
        rows runs the shortest row once more, and counts it for nothing. When memory runs out the error leaves: all
        processes have to begin the step again.

        Raises:
            WayFailed: one row does not fit into memory.
        """
        self.adam.zero_grad(set_to_none=True)
        hands = deal(batch, self.shards.count, lambda row: self._size([row]))
        pieces = [list(self._pieces(rows)) if rows else [] for rows in hands]
        mine, filler = pieces[self.shards.rank], [min(batch, key=lambda row: self._size([row]))]
        try:
            with self._drawn():
                loss = sum(self._piece(piece, trained) for piece in mine)
                for _ in range(max(map(len, pieces)) - len(mine)):
                    torch.autograd.backward(self._losses(filler).sum() * 0.0)
        except (MemoryError, RuntimeError) as error:
            if out_of_memory(error) and max(map(len, mine), default=1) == 1:
                raise WayFailed(ONE_ROW) from error
            raise
        return self.shards.sum_gradients(list(self.trainable.tensors.values()), loss)

    def _piece(self, rows: Sequence[Encoded], trained: int) -> float:
        loss = self._losses(rows).sum() / trained
        torch.autograd.backward(loss)
        return float(loss.detach())

    def _losses(self, rows: Sequence[Encoded]) -> Tensor:
        pairs, spans = [(row.prompt, row.answer) for row in rows], [row.earlier for row in rows]
        return -forward.whole_logprobs(self.trainable.module, pairs, self.prefix, spans)

    @property
    def _dropout_seed(self) -> list[int | str]:
        return [*super()._dropout_seed, self.shards.rank] if self.shards.rank else super()._dropout_seed

    # What is on disk

    def _save(self, folder: Path) -> None:
        module = self.trainable.module
        self._samples = adapter_check.sample(module, self.rows)  # a pass wants everybody's weights
        module.reshard()  # saving does so in the first process: all have to ask for the weights again, or none
        if self.shards.rank == 0:
            super()._save(folder)
        self.shards.wait()

    def _sampled(self) -> list[adapter_check.SampledRow]:
        return self._samples

    def _save_state(self) -> None:
        if self.shards.rank == 0:
            super()._save_state()

    def _finish(self) -> None:
        if self.shards.rank == 0:
            super()._finish()


def _layers(module: Any) -> list[Any]:
    """The layers of a transformers model, from the first to the last."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [part for part in module.modules() if isinstance(part, GradientCheckpointingLayer)]
