"""Models on this machine, whatever the user's word for them, through the engine."""

from __future__ import annotations

import functools
import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.contracts import Work
from whichway.errors import ModelError, WayFailed
from whichway.nouns import Adapter, Message, Reply, Request, TrainJob, TrainRow, Weights
from whichway.training_kinds import kinds_of, stored_as

if TYPE_CHECKING:
    from whichway.contracts import Session
    from whichway.engine.infer.row_reads import RowReads
    from whichway.engine.infer.session import InferenceSession
    from whichway.engine.model.activation_store import ActivationStore
    from whichway.engine.model.load import Model
    from whichway.engine.model.placement import Sharding
    from whichway.engine.train.counted_work import WorkCounter
    from whichway.engine.train.train_progress import ProgressWatcher, TrainProgress

log = logging.getLogger(__name__)


class LocalBackend:
    """Keeps the last base model in memory, and the last trained parts put on it: `sessions` of them."""

    name = "local"
    version = f"2, torch {version('torch')}, transformers {version('transformers')}"  # enters every digest

    def __init__(self) -> None:
        self._model: Model | None = None
        self._guard = threading.RLock()  # a server answers and trains in two threads
        self.sessions = 1
        self._open: OrderedDict[tuple[str, str], InferenceSession] = OrderedDict()  # the latest last
        self._expected = False
        self._store: ActivationStore | None = None
        self._heads: frozenset[tuple[Message, ...]] = frozenset()
        self._states = False
        self._counters: dict[str, WorkCounter] = {}  # revision -> counter
        self.shards: int | None = None  # processes that share the base in a training; None: as memory demands
        self.watch: Callable[[Mapping[str, Any]], None] | None = None

    def weights(self, base: str) -> Weights:
        """The base that a user's word names (see `models.find`), with the digest of its files.

        Raises:
            ModelError: there is no such model, or it cannot be used.
        """
        from whichway import models
        from whichway.engine.model import load

        return Weights(self.name, base, load.revision(models.find(base)))

    @contextmanager
    def open(self, weights: Weights, adapter: Path | None) -> Iterator[Session]:
        """A session on the base, or on the base with a trained part; what is open leaves no trace on the base.

        Raises:
            ModelError: the base cannot be used, or is not the revision that `weights` names.
            AdapterNotLive: the trained part changes nothing.
        """
        yield self._session(weights, adapter)

    def trains(self) -> frozenset[str]:
        """LoRA adapters, all weights (either also on the top layers only), heads, biases, soft prompts, preferences."""
        return kinds_of(self.name)

    def expect(self) -> None:
        """Start the process that trains together with the next model that is loaded: its imports take seconds."""
        self._expected = True

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        """Train on this machine; one `Adapter` per checkpoint.

        Raises:
            WayFailed: it diverged, or did not fit into memory.
            OptionError: an unknown option.
        """
        from whichway.engine.model import forward
        from whichway.engine.train import probe, sharded_run

        if job.kind not in self.trains():
            raise WayFailed(f"A local model cannot be trained as '{job.kind}'.")
        unfit = sharded_run.refusal(job)
        sharding = None if unfit else self._sharding(job.weights)
        if sharding is not None:
            yield from self._train_sharded(job, folder, adapter, sharding)
            return
        model = self._base(job.weights)
        if stored_as(job.kind, "probe"):  # one pass of the model that is in memory here, then a small fit
            yield from probe.train(model, job, folder, self._reads(model))
        elif forward.in_parts(model.module):
            raise WayFailed(f"One card does not hold this model, and this training cannot be sharded: {unfit}.")
        else:
            yield from _train_apart(model, job, folder, adapter, functools.partial(_say, self.watch))

    def _sharding(self, weights: Weights) -> Sharding | None:
        """How a training on this base is shared out among processes; None: one does it."""
        from whichway.engine.model import load, placement

        folder, _ = _located(weights)
        try:
            return placement.sharding(folder, load.products_of(folder)[1], load.device().type, self.shards)
        except ModelError as error:  # it may answer all the same
            raise WayFailed(str(error)) from error

    def _train_sharded(
        self, job: TrainJob, folder: Path, adapter: Path | None, sharding: Sharding
    ) -> Iterator[Adapter]:
        """Train in a process for each card. While they work the model leaves the cards; who asks it loads it anew."""
        base, mark = _located(job.weights)
        training = _in_worker(base, mark, job, folder, adapter, functools.partial(_say, self.watch), sharding=sharding)
        self._give_up(sharding)
        for trained in training:
            yield trained
            self._give_up(sharding)

    def _give_up(self, sharding: Sharding) -> None:
        """Free what the base takes of the cards."""
        if sharding.device == "cpu":
            return
        import torch

        with self._guard:
            self._model = None
            self._open.clear()
        gc.collect()
        torch.cuda.empty_cache()

    def rounds(self, weights: Weights) -> bool:
        """Whether frozen weights of this model multiply faster in int8 on this processor; measured once, then kept."""
        from whichway import models
        from whichway.engine.model import int8, load

        return load.device().type == "cpu" and int8.pays(*load.products_of(models.find(weights.base)))

    def fill(self, weights: Weights, rows: Sequence[TrainRow]) -> float:
        """Share of the model's context that the longest row takes; only the tokenizer is read.

        Raises:
            ModelError: the tokenizer cannot be read.
        """
        from whichway import models
        from whichway.engine.train import tokenization_report

        read = tokenization_report.reader(models.find(weights.base))
        lengths = tokenization_report.lengths(read, [(row.messages, row.answer) for row in rows])
        return max(lengths.tokens, default=0) / (lengths.context + 1)

    def answer_work(self, weights: Weights, request: Request, reply: Reply) -> Work:
        """The work of one answer, in tokens; the tokenizer is read where labels are scored, no weights."""
        return self._counter(weights).answer(weights, request, reply)

    def training_work(self, job: TrainJob, adapter: Adapter, before: Adapter | None) -> tuple[Work, ...]:
        """The work of a training between two checkpoints, in tokens."""
        return self._counter(job.weights).training(job, adapter, before)

    def expected_answers(self, weights: Weights, requests: Sequence[Request]) -> list[Work]:
        """The work of answers in one call, in tokens; only the tokenizer is read."""
        return self._counter(weights).expected_answers(weights, requests)

    def expected_training(self, job: TrainJob) -> tuple[Work, ...]:
        """The work of a whole training, in tokens; only the tokenizer is read."""
        return self._counter(job.weights).expected_training(job)

    def _counter(self, weights: Weights) -> WorkCounter:
        from whichway import models
        from whichway.engine.train.counted_work import WorkCounter

        if weights.revision not in self._counters:
            self._counters[weights.revision] = WorkCounter(models.find(weights.base), weights)
        return self._counters[weights.revision]

    def keep(self, folder: Path | None, heads: Collection[tuple[Message, ...]] = (), states: bool = False) -> None:
        """Keep what rows computed in this folder; None ends it.

        Args:
            folder: of the contest's trainings.
            heads: what stands before rows that several ways read.
            states: keep the states in front of the middle layer as well.
        """
        from whichway.engine.model.activation_store import FILE, ActivationStore

        if self._store is not None:
            self._store.close()
        self._store = None if folder is None else ActivationStore(folder / FILE)
        self._heads, self._states = frozenset(heads), states
        self._open.clear()  # a session holds the store that it was opened with

    def _reads(self, model: Model) -> RowReads | None:
        from whichway.engine.infer.row_reads import RowReads

        return None if self._store is None else RowReads.of(self._store, model, self._heads, self._states)

    def _session(self, weights: Weights, adapter: Path | None) -> InferenceSession:
        with self._guard:
            model = self._base(weights)
            key = (model.revision, str(adapter.resolve()) if adapter else "")
            if key not in self._open:
                while len(self._open) >= self.sessions:  # its memory is free before the next one is loaded
                    self._open.popitem(last=False)
                self._open[key] = _attach(model, weights, adapter, self._reads(model))
            self._open.move_to_end(key)
            return self._open[key]

    def _base(self, weights: Weights) -> Model:
        from whichway.engine.model import load
        from whichway.engine.train import worker

        folder, mark = _located(weights)
        with self._guard:
            if self._model is None or self._model.revision != mark:
                self._model = None
                self._open.clear()
                if self._expected:
                    worker.start()
                self._model = load.load(folder)
            return self._model


def _located(weights: Weights) -> tuple[Path, str]:
    """The folder of a base, and its revision.

    Raises:
        ModelError: the base cannot be used, or is not the revision that `weights` names.
    """
    from whichway import models
    from whichway.engine.model import load

    folder = models.find(weights.base)
    mark = load.revision(folder)
    if weights.revision and weights.revision != mark:
        raise ModelError(f"The model {weights.base} has changed since this run began (its files are not the same).")
    return folder, mark


def _attach(model: Model, weights: Weights, adapter: Path | None, reads: RowReads | None) -> InferenceSession:
    from whichway.engine.infer.frozen_layer_reads import FrozenLayerReads
    from whichway.engine.infer.session import InferenceSession
    from whichway.engine.train import adapter_check, adapters, head, probe, prompt_tuning

    if adapter is None:
        if weights.adapter is not None:
            raise ModelError(f"The folder of the trained part {weights.adapter} was not given.")
        return InferenceSession(model, model.module, reads)
    if not adapter.is_dir():
        raise ModelError(f"The trained part {weights.adapter} is missing: there is no folder {adapter}.")
    if stored_as(weights.kind, "probe"):
        return probe.open_head(model, adapter, reads)
    session: InferenceSession
    if weights.kind == "head":
        session = head.open_session(model, adapter)
    else:
        module = adapters.trained(model.module, adapter)
        adapter_check.check(adapter, model, module)
        session = InferenceSession(prompt_tuning.with_prefix_ids(model, module), module)
    if weights.kind in ("head", "top", "top_full"):
        session.frozen = FrozenLayerReads.of(reads, model.module, session.module)
    return session


def _train_apart(
    model: Model, job: TrainJob, folder: Path, adapter: Path | None, watch: ProgressWatcher
) -> Iterator[Adapter]:
    """Train in a process of its own, on this model's files."""
    from whichway.engine.model import decoder

    own_decoder = decoder.decoder_of(model.module) is not None
    yield from _in_worker(model.folder, model.revision, job, folder, adapter, watch, own_decoder=own_decoder)


def _in_worker(
    base: Path, revision: str, job: TrainJob, folder: Path, adapter: Path | None, watch: ProgressWatcher,
    *, own_decoder: bool = False, sharding: Sharding | None = None,
) -> Iterator[Adapter]:  # fmt: skip
    import torch

    from whichway.engine.train import worker

    place = adapter.resolve() if adapter else None
    request = worker.TrainRequest(
        base.resolve(), revision, own_decoder, job, folder.resolve(), place, torch.get_num_threads(), sharding
    )
    yield from worker.train(request, watch)


def _say(tell: Callable[[Mapping[str, Any]], None] | None, now: TrainProgress) -> None:
    """Where a training stands, to the log and to whoever watches it."""
    rate = now.tokens / now.seconds if now.seconds else 0.0
    left = now.seconds / now.step * (now.steps - now.step)
    log.info("step %d of %d, loss %.3f, %.0f tokens/s, %.0f s left", now.step, now.steps, now.loss, rate, left)
    if tell is not None:
        facts = {"step": now.step, "steps": now.steps, "loss": now.loss}
        tell({**facts, "tokens_per_second": rate, "seconds_left": left})


def backend() -> LocalBackend:
    """The backend of this file, with no model in memory yet."""
    return LocalBackend()


BACKEND = LocalBackend
