"""How a model learns: LoRA or all weights, on rows packed after their shared prompt; loss on answer tokens only.

A step's loss is the mean over all trained tokens of the step, so sixteen rows at once and sixteen rows one by one give
the same gradient; when memory runs out the pieces get smaller, the step stays. Everything random is drawn from the seed
and the step's number, so that a training killed at any moment continues bit for bit (on a processor).

With the option `targets: all` the answers of a row's earlier turns (its worked examples) are trained with its own, and
count alike. Those in turns that all rows share are not: every step would repeat them.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from whichway.engine.model import decoder, decoder_loss, forward, packing, placement, weights
from whichway.engine.model.attention import pack_train_batch
from whichway.engine.model.load import Model
from whichway.engine.model.out_of_memory import out_of_memory
from whichway.engine.train import (
    adapter_check,
    checkpoint,
    head,
    int8_training,
    pace,
    process_memory,
    prompt_tuning,
    saved_state,
)
from whichway.engine.train.adapter_check import Encoded
from whichway.engine.train.frozen_states import FrozenStates
from whichway.engine.train.int8_training import Int8Products
from whichway.engine.train.job_rows import encode
from whichway.engine.train.seeded_draws import seeded
from whichway.engine.train.train_progress import ProgressWatcher, StopTraining, TrainProgress
from whichway.engine.train.trainable import Trainable, set_up, trained_layers, word_dropout
from whichway.engine.train.word_dropout import WordDropout
from whichway.errors import WayFailed
from whichway.nouns import Adapter, TrainJob, digest
from whichway.training_kinds import EXACT, INT8, KINDS, FullOptions, default_rate
from whichway.training_length import training_length

STATE_SECONDS = 20.0  # between saved states: what a kill can cost
_MICRO = placement.MOST_TOKENS
ONE_ROW = "One training row does not fit into memory; use shorter rows or a smaller model."

log = logging.getLogger(__name__)


@dataclass(slots=True)
class TrainerState:
    """Where a training stands; saved with the weights."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    loss: float = 0.0  # summed over trained tokens since the last checkpoint
    trained: int = 0  # those tokens
    done: list[str] = field(default_factory=list)  # digests of the checkpoints so far
    precision: str = ""  # of the frozen weights' products, once it is decided; "": the job asks for nothing
    paces: list[float] = field(default_factory=list)  # see `pace.py`, as the next two
    work_tokens: int = 0
    work_seconds: float = 0.0


def training_key(job: TrainJob, member: int = 0) -> str:
    """What a training's state and checkpoints are named by; `member`: number among trainings of one job."""
    return digest(["learn", KINDS[job.kind].version, job, *([member] if member else [])])


class TrainingRun:
    """One training from its rows to its last checkpoint."""

    unit = 1  # rows that belong together, in a batch and in memory

    def __init__(
        self, model: Model, job: TrainJob, settings: FullOptions, folder: Path, start: Path | None,
        watch: ProgressWatcher | None = None, member: int = 0,
    ) -> None:  # fmt: skip
        """`member`: number among trainings of one job, which share the start; all else is drawn for each anew."""
        self.watch = watch
        self.model, self.job, self.settings, self.folder, self.start = model, job, settings, folder, start
        self.draw: int | str = f"{job.seed}+{member}" if member else job.seed
        self.key = training_key(job, member)
        self.rows = self._fitting(prompt_tuning.with_soft_prompt(encode(model, job), model, settings))
        self.rows, self.prefix = adapter_check.shared(self.rows)
        length = training_length(
            len(self.rows) // self.unit, settings.batch, settings.epochs, max_steps=settings.max_steps
        )
        self.per_epoch, self.total = length.per_epoch, length.steps
        self.rate = settings.factor * (default_rate(model.hidden, job.kind) if settings.rate is None else settings.rate)
        self.stops = self._stops()
        self.dropped = self._word_dropout()
        self.rounded: Int8Products | None = None  # the frozen weights, where their products are in int8
        self.limit = _MICRO.get(model.device.type, 1)

    def steps(self) -> Iterator[Adapter]:
        """Train to the end, from where it stopped."""
        finished = self._finished()
        if finished is not None:
            yield from finished
            return
        self.set_up()
        yield from [self._adapter(name) for name in self.at.done]
        began, saved = time.perf_counter() - self.at.seconds, time.perf_counter()
        while self.at.step < self.total:
            tokens, start = self.at.tokens, time.perf_counter()
            loss = self._step()
            pace.count_step(self.at, self.at.tokens - tokens, time.perf_counter() - start)
            self.at.seconds = time.perf_counter() - began
            name = self._checkpoint() if self.at.step in self.stops else None
            if self.watch is not None:
                self._tell(loss)  # may stop here; then the checkpoint is made already, as no later start would make it
            if name is not None:
                self._save_state()
                away = time.perf_counter()
                yield self._adapter(name)
                saved = time.perf_counter()
                began += saved - away  # the caller's time is not ours
            elif time.perf_counter() - saved >= STATE_SECONDS:
                self._save_state()
                saved = time.perf_counter()
        self._finish()

    def set_up(self) -> None:
        """Have the trained part and the optimiser in memory, as they were left or at their start."""
        self.trainable = self._trainable()
        self.below = self._below()
        self.adam = torch.optim.AdamW(self.trainable.tensors.values(), lr=self.rate, weight_decay=0.0, fused=True)
        self.at = self._resume() or self._begin()
        self._round()

    def _trainable(self) -> Trainable:
        return set_up(self.model, self.job, self.settings, self.start)

    def _fitting(self, rows: list[Encoded]) -> list[Encoded]:
        """Rows that the model can read whole; one that is too long is left out, as evaluation counts it as an error."""
        units = [rows[n : n + self.unit] for n in range(0, len(rows), self.unit)]
        most = self.model.context
        fitting = [u for u in units if all(len(row.prompt) + len(row.answer) - 1 <= most for row in u)]
        if not fitting:
            raise WayFailed(f"No training row fits the model: the shortest has more than {most} tokens.")
        left = len(units) - len(fitting)
        if left:
            why = f" ({self.model.limit})" if self.model.limit else ""
            log.warning("%d of %d training rows are longer than %d tokens%s; left out.", left, len(units), most, why)
        return [row for u in fitting for row in u]

    def _tell(self, loss: float) -> None:
        assert self.watch is not None
        try:
            self.watch(TrainProgress(self.at.step, self.total, loss, self.at.tokens, self.at.seconds))
        except StopTraining:
            self._save_state()
            raise

    def _begin(self) -> TrainerState:
        """Before the first step: a head starts at a fit on the frozen states."""
        if self.trainable.head is not None and self.settings.init == "logistic":  # type: ignore[attr-defined]
            start = head.fitted(self.model, self.rows, self.prefix, len(self.job.labels), self.folder, self.below)
            self.trainable.head.data.copy_(start)
            self.trainable.refresh()
        return TrainerState()

    def _round(self) -> None:
        """Have frozen weights multiply in int8 where the job says so and its first rows allow it; decided once."""
        if getattr(self.settings, "precision", EXACT) == INT8:
            first, batch = self.below.first if self.below else 0, self._batch(0)
            backward = functools.partial(self._backward, batch, self._amount(batch))
            settled = int8_training.settle(self.model, self.trainable, first, self.at.precision, backward)
            self.at.precision, self.rounded = settled

    def _word_dropout(self) -> WordDropout | None:
        share = word_dropout(self.model.module, self.settings)
        return WordDropout.of(self.rows, share, len(self.prefix), self.model.renderer.special) if share else None

    def _below(self) -> FrozenStates | None:
        """States in front of the first trained layer, for ways that train the top only."""
        layers = trained_layers(self.model.module, self.settings)
        if self.trainable.masters is None or layers is None:
            return None
        first = len(decoder.known(self.trainable.module).how) - layers
        return FrozenStates.of(self.model, self.rows, self.prefix, first, self.folder)

    def _stops(self) -> set[int]:
        """The steps after which a checkpoint is saved; the last one always is."""
        if self.settings.checkpoints is not None:
            return {max(1, round(self.total * share)) for share in self.job.shares}
        return {*range(self.per_epoch, self.total, self.per_epoch), self.total}

    def _batch(self, step: int) -> list[Encoded]:
        """The rows of a step; the order is drawn anew for each epoch."""
        epoch, place = divmod(step, self.per_epoch)
        order = list(range(len(self.rows) // self.unit))
        random.Random(f"{self.draw}/{epoch}").shuffle(order)
        drawn = order[place * self.settings.batch : (place + 1) * self.settings.batch]
        return [row for i in drawn for row in self.rows[i * self.unit : (i + 1) * self.unit]]

    def _amount(self, batch: Sequence[Encoded]) -> int:
        """What a batch's loss is the mean over: its trained tokens."""
        return sum(row.trained for row in batch)

    def _step(self) -> float:
        """One optimiser step; returns its loss."""
        batch = self._batch(self.at.step)
        if self.dropped is not None:
            batch = self.dropped(batch, random.Random(f"{self.draw}/{self.at.step}/words"))
        trained = self._amount(batch)
        loss = self._backward(batch, trained)
        self.at.step += 1
        self.trainable.drop_frozen_gradients()
        norm = float(nn.utils.clip_grad_norm_(self.trainable.tensors.values(), 1.0))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise WayFailed(f"The training diverged at step {self.at.step}, rate {self.rate:g}; lower the rate.")
        for group in self.adam.param_groups:
            group["lr"] = self.rate * self._factor(self.at.step)
        self.adam.step()
        self.trainable.refresh()
        self.at.loss += loss * trained
        self.at.trained += trained
        self.at.tokens += self._size(batch) + len(self.prefix)
        return loss

    def _factor(self, step: int) -> float:
        """The factor of the learning rate: warm-up, then decay to nothing after the last step."""
        warm = max(1, round(self.total * self.settings.warmup))
        if step <= warm:
            return step / warm
        left = (self.total - step + 1) / (self.total - warm + 1)
        return left if self.settings.schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)

    def _backward(self, batch: Sequence[Encoded], trained: int) -> float:
        """Gradients of the batch's mean loss; smaller pieces when memory runs out."""
        while True:
            self.adam.zero_grad(set_to_none=self.trainable.masters is None)
            pieces = list(self._pieces(batch))
            try:
                with self._drawn():
                    return sum(self._piece(piece, trained) for piece in pieces)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if max(len(piece) for piece in pieces) == self.unit:
                    raise WayFailed(ONE_ROW) from error
                self.limit = max(self._size(piece) for piece in pieces) // 2

    @contextmanager
    def _drawn(self) -> Iterator[None]:
        """Dropout drawn from the seed and the step alone; nothing else is random here."""
        if getattr(self.settings, "dropout", 0.0) == 0:
            yield
            return
        with seeded(int(digest(self._dropout_seed, 8), 16)):
            yield

    @property
    def _dropout_seed(self) -> list[int | str]:
        return [self.draw, self.at.step]

    def _piece(self, rows: Sequence[Encoded], trained: int) -> float:
        losses = row_losses(self.trainable.module, rows, self.prefix, self.trainable.masters, self.below)
        loss = losses.sum() / trained
        torch.autograd.backward(loss)
        return float(loss.detach())

    def _pieces(self, batch: Sequence[Encoded]) -> Iterator[list[Encoded]]:
        """The batch in pieces that fit one backward pass."""
        piece: list[Encoded] = []
        size = 0
        for start in range(0, len(batch), self.unit):
            together = batch[start : start + self.unit]
            more = self._size(together)
            if piece and size + more > self.limit:
                yield piece
                piece, size = [], 0
            piece.extend(together)
            size += more
        yield piece

    def _size(self, rows: Sequence[Encoded]) -> int:
        """Tokens run for these rows after the shared prefix; the last answer token is never fed."""
        return sum(len(row.prompt) + len(row.answer) - 1 - len(self.prefix) for row in rows)

    # What is on disk

    def _checkpoint(self) -> str:
        """Save the trained part by write-then-rename; return its digest."""
        name = digest([self.key, self.at.step])
        self._save(self.folder / name)
        self.at.loss, self.at.trained = 0.0, 0
        self.at.done.append(name)
        return name

    def _save(self, folder: Path) -> None:
        if not folder.exists():
            with checkpoint.written(folder) as temporary:
                self._write(temporary)

    def _write(self, place: Path) -> None:
        self.trainable.save(place, self.model.tokenizer)
        adapter_check.write(place, self._sampled())
        checkpoint.write_facts(
            place,
            kind=self.job.kind,
            step=self.at.step,
            epoch=self.at.step / self.per_epoch,
            loss=self.at.loss / self.at.trained,
            seconds=self.at.seconds,
            tokens=self.at.tokens,
            peak_bytes=process_memory.peak_bytes(),
            work={"train": pace.settle(self.at), **self._read_before()},
            precision=self.at.precision,
        )

    def _sampled(self) -> list[adapter_check.SampledRow]:
        with self.rounded.exact() if self.rounded else nullcontext():
            return adapter_check.sample(self.trainable.module, self.rows)

    def _finish(self) -> None:
        checkpoint.finish(self._state, self.at.done)

    def _read_before(self) -> dict[str, tuple[float, float]]:
        """What was read before the first step, in whole tokens and seconds; layers that were kept count as well."""
        return {} if self.below is None else {"read": self.below.read}

    def _adapter(self, name: str) -> Adapter:
        return checkpoint.read_adapter(self.folder / name, self.job.weights)

    @property
    def _state(self) -> Path:
        return checkpoint.state_file(self.folder, self.key)

    def _save_state(self) -> None:
        facts = dataclasses.asdict(self.at) | {"limit": self.limit, "threads": torch.get_num_threads()}
        saved_state.save(self._state, self.trainable, self.adam, facts)

    def _resume(self) -> TrainerState | None:
        """Take up the saved state, if there is one and its checkpoints still stand."""
        facts = saved_state.read_facts(self._state)
        if facts is None:
            return None
        limit, threads = facts.pop("limit"), facts.pop("threads")
        at = TrainerState(**facts)
        if not all((self.folder / name).exists() for name in at.done):
            return None
        if not saved_state.load(self._state, self.trainable, self.adam, at.step):
            return None
        self.limit = limit
        torch.set_num_threads(threads)  # sums in another order would not be bit-equal
        return at

    def _finished(self) -> list[Adapter] | None:
        names = checkpoint.finished(self._state, self.folder)
        return None if names is None else [self._adapter(name) for name in names]


def row_losses(
    module: Any,
    rows: Sequence[Encoded],
    prefix: Sequence[int],
    masters: weights.MasterWeights | None = None,
    below: FrozenStates | None = None,
) -> Tensor:
    """Negative log-probability of every answer token of all rows, with the shared prefix run once.

    With `masters` the gradients are computed by hand and land in their vector's; else autograd follows the module.
    """
    pairs, spans = [(row.prompt, row.answer) for row in rows], [row.earlier for row in rows]
    if masters is not None:
        own_decoder = decoder.known(module)
        even = below is None and packing.pads_shapes(own_decoder.weights.dtype, module.device)
        paper = pack_train_batch(pairs, prefix, module.device, even=even, spans=spans)
        states, first = (below(rows), below.first) if below else (None, 0)
        return decoder_loss.losses(masters.vector, own_decoder, paper, states, first)[: paper.real]
    front = forward.run_prefix(module, prefix, module.device)
    return -forward.answer_logprobs(module, pairs, front, len(prefix), spans)
