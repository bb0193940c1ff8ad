"""The backend of sentence encoders on this machine: texts as vectors, and classifiers on them.

Kinds of trained part: "encoder", a logistic head on the mean-pooled states of an encoder that stays as it is,
"encoder_full", the encoder trained together with its head, and the same two with a head for each label, for rows that
may have several ("..._multi_label"). The text of the last message is the row, as for the classical baselines. Weights
from safetensors only, no remote code.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.contracts import Embedding, Session, Work, read_kind
from whichway.errors import AdapterNotLive, ModelError, WayFailed
from whichway.nouns import Adapter, Reply, Request, TrainJob, Weights, digest, row_text
from whichway.training_kinds import FREE_OPTIONS, KINDS, LabelSetOptions, kinds_of, options
from whichway.training_length import length_of

if TYPE_CHECKING:
    import numpy as np

    from whichway.engine.model.sentence_encoder import Encoder
    from whichway.engine.train.one_vs_rest import LabelSetHead
    from whichway.engine.train.probe import Head
    from whichway.engine.train.train_progress import TrainProgress

log = logging.getLogger(__name__)
_FEW = 4  # rows that prove a loaded head live
_TELL = 0.5  # seconds between words of progress


def backend() -> EncoderBackend:
    """The backend of this file."""
    return EncoderBackend()


class EncoderBackend:
    """Sentence encoders as a backend; keeps the last base and the last trained part in memory."""

    name = "encoder"

    def __init__(self) -> None:
        self._last: tuple[str, Encoder] | None = None
        self._session: tuple[tuple[str, str], EncoderClassifier] | None = None
        self.watch: Callable[[Mapping[str, Any]], None] | None = None

    @property
    def version(self) -> str:
        """Ours and the libraries'."""
        from importlib.metadata import version

        return f"encoder 1, torch {version('torch')}, transformers {version('transformers')}"

    def weights(self, base: str) -> Weights:
        """The encoder that a user's word names (see `models.find`), with the digest of its files.

        Raises:
            ModelError: there is no such model, or it has no weights in safetensors.
        """
        return Weights(self.name, base, _revision(_folder(base)))

    def trains(self) -> frozenset[str]:
        """A head alone, and the whole encoder with a head."""
        return kinds_of(self.name)

    def expect(self) -> None:
        """Trainings run in this process: there is nothing to get ready."""

    def open(self, weights: Weights, adapter: Path | None) -> AbstractContextManager[Session]:
        """Load the encoder and its head; without a trained part, a session that cannot answer.

        Raises:
            AdapterNotLive: it does not answer as when it was saved.
        """
        if adapter is None:
            return nullcontext(Headless(weights.base))
        key = (weights.revision, str(adapter.resolve()))
        if self._session is None or self._session[0] != key:
            self._session = None  # its memory is free before the next one is loaded
            self._session = (key, self._opened(weights, adapter))
        return nullcontext(self._session[1])

    def _opened(self, weights: Weights, adapter: Path) -> EncoderClassifier:
        from whichway.engine.model.sentence_encoder import Encoder
        from whichway.engine.train.encoder_files import read_head
        from whichway.engine.train.probe import Head

        if not adapter.is_dir():
            raise ModelError(f"The trained part {weights.adapter} is missing: there is no folder {adapter}.")
        encoder = self._encoder(weights) if KINDS[weights.kind].on_base else Encoder(adapter)
        head = read_head(adapter)
        session = EncoderClassifier(encoder, head) if isinstance(head, Head) else EncoderLabelSets(encoder, head)
        _check_live(adapter, session)
        return session

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        """Fit a head (one checkpoint), or train the encoder with one (as many as the job says).

        Raises:
            WayFailed: fewer than two labels among the rows; it diverged; memory does not suffice.
            OptionError: an unknown option; a head alone takes none, how strongly to regularise is cross-validated.
        """
        from whichway.engine.train import encoder_trainer

        if not KINDS[job.kind].on_base:
            yield from encoder_trainer.train(self._encoder(job.weights), job, folder, self._teller())
        else:
            yield from self._fit(job, folder)

    def _fit(self, job: TrainJob, folder: Path) -> Iterator[Adapter]:
        from whichway.engine.train import encoder_targets, one_vs_rest, probe

        settings: Any = options(KINDS[job.kind].options, job.options)
        start = time.perf_counter()
        answers = [row.answer for row in job.rows]
        if len(set(answers)) < 2:
            raise WayFailed("An encoder's head needs training rows of at least two labels.")
        texts = [row_text(row.messages) for row in job.rows]
        states, tokens = self._encoder(job.weights)(texts)
        read = time.perf_counter() - start
        head: Head | LabelSetHead
        if isinstance(settings, LabelSetOptions):
            sets = one_vs_rest.LabelSets.of(answers, settings.labels)
            head, loss = one_vs_rest.fit_dense(
                states, sets, encoder_targets.STRENGTHS, settings.exact, encoder_targets.FOLDS, job.seed
            )
        else:
            head, loss = probe.fit(states, answers, None, job.seed)
        name = digest(["encoder", self.version, job.id])
        size = _save(head, folder / name, texts[:_FEW], states[:_FEW])
        weights = Weights(self.name, job.weights.base, job.weights.revision, name, job.kind)
        seconds = time.perf_counter() - start
        work = {"read": (float(sum(tokens)), read), "fit": (float(len(texts)), seconds - read)}
        yield Adapter(weights, 1, 1.0, loss, seconds, sum(tokens), size, work=work)

    def answer_work(self, weights: Weights, request: Request, reply: Reply) -> Work:
        """The tokens of a row; a head costs next to nothing."""
        return Work(read_kind(weights), reply.tokens_in, reply.seconds)

    def training_work(self, job: TrainJob, adapter: Adapter, before: Adapter | None) -> tuple[Work, ...]:
        """Tokens that were read or trained, and the rows of a fit."""
        from whichway.engine.train.counted_work import training_work

        options = {name: value for name, value in job.options.items() if name not in FREE_OPTIONS}
        kind = f"{self.name} {job.weights.revision} {job.kind} {digest([options, len(job.labels)], 8)}"
        return training_work(read_kind(job.weights), kind, adapter, before)

    def expected_answers(self, weights: Weights, requests: Sequence[Request]) -> list[Work]:
        """The tokens of rows."""
        base = replace(weights, adapter=None, kind="none")
        sizes = self._encoder(base).sizes([row_text(request.messages) for request in requests])
        return [Work(read_kind(weights), size, 0.0) for size in sizes]

    def expected_training(self, job: TrainJob) -> tuple[Work, ...]:
        """Tokens that will be read or trained, and the rows of a fit."""
        tokens = sum(self._encoder(job.weights).sizes([row_text(row.messages) for row in job.rows]))
        length = length_of(job)
        if length is None:
            work = {"read": (float(tokens), 0.0), "fit": (float(len(job.rows)), 0.0)}
        else:
            work = {"train": (tokens * length.steps / length.per_epoch, 0.0)}
        return self.training_work(job, Adapter(job.weights, 1, 1.0, None, 0.0, 0, 0, work=work), None)

    def _teller(self) -> Callable[[TrainProgress], None]:
        """Says where a training stands, to the log and to whoever watches it; not after every step."""
        last = 0.0

        def tell(now: TrainProgress) -> None:
            nonlocal last
            if time.perf_counter() - last < _TELL and now.step < now.steps:
                return
            last = time.perf_counter()
            rate, left = now.tokens / now.seconds, now.seconds / now.step * (now.steps - now.step)
            log.info("step %d of %d, loss %.3f, %.0f tokens/s, %.0f s left", now.step, now.steps, now.loss, rate, left)
            if self.watch is not None:
                facts = {"step": now.step, "steps": now.steps, "loss": now.loss}
                self.watch({**facts, "tokens_per_second": rate, "seconds_left": left})

        return tell

    def embed(self, weights: Weights, texts: Sequence[str]) -> list[Embedding]:
        """Mean-pooled states of length 1; seconds are shared out by tokens.

        Raises:
            ModelError: the encoder cannot be read, or has changed.
        """
        import numpy as np

        encoder = self._encoder(weights)
        start = time.perf_counter()
        states, sizes = encoder(texts)
        per_token = (time.perf_counter() - start) / max(1, sum(sizes))
        lengths = np.linalg.norm(states, axis=1, keepdims=True)
        vectors = (states / np.maximum(lengths, 1e-12)).astype(np.float32)
        return [Embedding(vector, n, n * per_token) for vector, n in zip(vectors, sizes, strict=True)]

    def files(self, weights: Weights) -> Path:
        """The folder of an encoder.

        Raises:
            ModelError: it is not there, or has changed.
        """
        folder = _folder(weights.base)
        if weights.revision and weights.revision != _revision(folder):
            raise ModelError(f"Encoder {weights.base} has changed since this run began: its files are not the same.")
        return folder

    def _encoder(self, weights: Weights) -> Encoder:
        from whichway.engine.model.sentence_encoder import Encoder

        folder = self.files(weights)
        mark = _revision(folder)
        if self._last is None or self._last[0] != mark:
            self._last = (mark, Encoder(folder))
        return self._last[1]


def _folder(base: str) -> Path:
    from whichway import models

    return models.find(base)


def _revision(folder: Path) -> str:
    from whichway.engine.model import load

    for name in ("config.json", "tokenizer_config.json"):
        if not (folder / name).exists():
            raise ModelError(f"{folder} is no sentence encoder: it has no {name}.")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{folder} has no weights in safetensors; convert it with save_pretrained where you trust it.")
    return load.files_digest(folder)


def _save(head: Head | LabelSetHead, goal: Path, texts: Sequence[str], states: np.ndarray[Any, Any]) -> int:
    """Write a head, whole or not at all, with what it says of a few rows; its bytes."""
    from whichway.engine.train import checkpoint, encoder_files
    from whichway.engine.train.probe import Head

    if not goal.exists():
        with checkpoint.written(goal) as temporary:
            if not isinstance(head, Head):
                encoder_files.write_set_head(temporary, head, texts, states)
                return _size(temporary)
            parts = {"mean": head.mean, "scale": head.scale, "weight": head.weight, "bias": head.bias}
            encoder_files.write_head(temporary, parts, head.labels, texts, states)
    return _size(goal)


def _size(folder: Path) -> int:
    """Bytes of a head on disk, without the rows that prove it live."""
    from whichway.engine.train.encoder_files import LIVE

    return sum(file.stat().st_size for file in folder.glob("*") if file.name != LIVE)


def _check_live(folder: Path, session: EncoderClassifier) -> None:
    """Compare a loaded part with what it said when it was saved, and with what the base would say.

    Raises:
        AdapterNotLive: it changes nothing, or answers differently.
    """
    import numpy as np

    from whichway.engine.train.encoder_files import LIVE

    if not (folder / LIVE).exists():  # of an older version, or shipped
        return
    live = json.loads((folder / LIVE).read_text(encoding="utf-8"))
    now, stored = session.scores(live["texts"]), np.array(live["scores"])
    if "base" in live and not np.abs(now - np.array(live["base"])).max() > 1e-6:
        raise AdapterNotLive(f"The encoder in {folder} was loaded but its training changes nothing: the base answers.")
    if not np.abs(now - stored).max() <= 0.02 * (1 + np.abs(stored).max()):
        raise AdapterNotLive(f"The encoder in {folder} does not answer as when it was saved; was its base changed?")


class Headless:
    """A session on an encoder without a trained head, which cannot answer."""

    def __init__(self, base: str) -> None:
        self._base = base

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """Refuse to answer: an encoder without a head knows no labels.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"the encoder '{self._base}' answers only after a head was fitted to it")

    generate = choose


class EncoderClassifier:
    """An encoder with a head: answers with labels; it cannot write."""

    def __init__(self, encoder: Encoder, head: Head | LabelSetHead) -> None:
        self.encoder, self.head = encoder, head

    def scores(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Log-probabilities `[B, K]` of the head's labels; log-odds of one that gives sets."""
        return self.head(self.encoder(texts)[0])

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """The label with the highest probability."""
        start = time.perf_counter()
        states, sizes = self.encoder([row_text(r.messages) for r in requests])
        scores = self._logs(self.head(states))
        seconds = (time.perf_counter() - start) / max(1, len(requests))
        names = self.head.labels
        return [
            Reply(names[int(row.argmax())], size, 0, 0, seconds, dict(zip(names, map(float, row), strict=True)))
            for row, size in zip(scores, sizes, strict=True)
        ]

    def _logs(self, scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What the head says as log-probabilities of one label."""
        return scores

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """A head has no words of its own."""
        raise WayFailed(f"An encoder's head answers with one of its labels; it cannot write ({len(requests)} asked).")


class EncoderLabelSets(EncoderClassifier):
    """An encoder with a head for each label: an answer is a set of labels."""

    head: LabelSetHead

    def _logs(self, scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        from scipy.special import log_softmax

        logs: np.ndarray[Any, Any] = log_softmax(scores, axis=1)
        return logs

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """All labels whose probability is at least the threshold, as targets spell them."""
        start = time.perf_counter()
        states, sizes = self.encoder([row_text(r.messages) for r in requests])
        answers = self.head.answers(self.head(states))
        seconds = (time.perf_counter() - start) / max(1, len(requests))
        return [Reply(answer, size, 0, 0, seconds) for answer, size in zip(answers, sizes, strict=True)]
