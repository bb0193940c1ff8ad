"""How a sentence encoder learns to classify: all its weights and a linear head on the mean of its states.

The head starts as a logistic regression on the encoder's own states, so that the first steps do not spoil what the
encoder knows (Kumar et al. 2022, arXiv 2202.10054). Optionally a share of the steps comes first in which texts of one
label are pulled together and others apart, without a head: SetFit's contrastive warm-up (Tunstall et al. 2022, arXiv
2209.11055), with all pairs of a batch instead of drawn ones; the head then starts from the states that this gives.

Everything random is drawn from the seed and the step's number, so that a training that was killed continues from its
saved state as if nothing had happened.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from whichway.engine.model import throughput
from whichway.engine.model.out_of_memory import out_of_memory
from whichway.engine.model.sentence_encoder import Encoder, pooled
from whichway.engine.train import checkpoint, encoder_files, pace, process_memory
from whichway.engine.train.activation_cache import cached_tensors
from whichway.engine.train.encoder_targets import OneLabel, SeveralLabels
from whichway.engine.train.seen_tokens import SeenVocabulary
from whichway.engine.train.train_progress import ProgressWatcher, TrainProgress
from whichway.errors import DataError, WayFailed
from whichway.nouns import Adapter, TrainJob, digest, row_text
from whichway.training_kinds import KINDS, EncoderOptions, EncoderSetOptions, default_rate, options
from whichway.training_length import training_length

STATE_SECONDS = 30.0  # between saved states: what a kill can cost
_HEAD_RATE = 10.0  # times the encoder's rate
_WINDOW = 8  # batches of one epoch that are sorted by length together, so that little is padded
_BYTES = 20  # of memory for each weight: it, its gradient, two moments, the base


@dataclass(slots=True)
class EncoderTrainerState:
    """Where a training stands; saved with the weights."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    loss: float = 0.0  # summed over steps since the last checkpoint
    steps: int = 0  # those steps
    done: list[str] = field(default_factory=list)  # digests of the checkpoints so far
    paces: list[float] = field(default_factory=list)  # see `pace.py`, as the next two
    work_tokens: int = 0
    work_seconds: float = 0.0


def train(encoder: Encoder, job: TrainJob, folder: Path, watch: ProgressWatcher | None = None) -> Iterator[Adapter]:
    """Train an encoder with a head; one `Adapter` per checkpoint, saved as `folder/<digest>/`.

    Continues from `folder/state/` when the same job was interrupted; a finished one yields what is there.

    Args:
        encoder: the base; it stays as it is.
        job: rows, of which the last message is the text.
        folder: for checkpoints and the state.
        watch: told after every step where it stands.

    Raises:
        WayFailed: it diverged, there are rows of one label only, or memory does not suffice.
        OptionError: an unknown option.
    """
    yield from EncoderRun(encoder, job, options(KINDS[job.kind].options, job.options), folder, watch).steps()


class EncoderRun:
    """One training from its rows to its last checkpoint."""

    def __init__(
        self, encoder: Encoder, job: TrainJob, settings: EncoderOptions, folder: Path, watch: ProgressWatcher | None
    ) -> None:
        if not job.rows:
            raise DataError("There are no rows to train on.")
        self.encoder, self.job, self.settings, self.folder, self.watch = encoder, job, settings, folder, watch
        self.texts = [row_text(row.messages) for row in job.rows]
        answers = [row.answer for row in job.rows]
        code = {answer: k for k, answer in enumerate(sorted(set(answers)))}
        if len(code) < 2:
            raise WayFailed("An encoder needs training rows of at least two labels.")
        self.targets: OneLabel | SeveralLabels = OneLabel(answers)
        if isinstance(settings, EncoderSetOptions):
            self.targets = SeveralLabels(answers, settings.labels, settings.exact)
        self.wanted, self.kind = [code[answer] for answer in answers], job.kind
        self.key = digest([self.kind, KINDS[self.kind].version, job])
        length = training_length(len(self.texts), settings.batch, settings.epochs, max_steps=settings.max_steps)
        self.per_epoch, self.total = length.per_epoch, length.steps
        self.contrastive = min(round(settings.contrastive * self.total), self.total - 1)
        self.rate = settings.factor * (
            default_rate(encoder.hidden, job.kind) if settings.rate is None else settings.rate
        )
        self.stops = {max(1, round(self.total * share)) for share in job.shares}
        self.limit = settings.batch  # rows in one backward pass
        self._order: tuple[int, list[list[int]]] | None = None

    def steps(self) -> Iterator[Adapter]:
        """Train to the end, from where it stopped."""
        finished = self._finished()
        if finished is not None:
            yield from finished
            return
        self._set_up()
        self.at = self._resume() or EncoderTrainerState()
        yield from [self._adapter(name) for name in self.at.done]
        began, saved = time.perf_counter() - self.at.seconds, time.perf_counter()
        while self.at.step < self.total:
            tokens, start = self.at.tokens, time.perf_counter()
            with throughput.fitting():
                loss = self._step()
            pace.count_step(self.at, self.at.tokens - tokens, time.perf_counter() - start)
            self.at.seconds = time.perf_counter() - began
            if self.watch is not None:
                self.watch(TrainProgress(self.at.step, self.total, loss, self.at.tokens, self.at.seconds))
            if self.at.step in self.stops:
                name = self._checkpoint()
                self._save_state()
                away = time.perf_counter()
                yield self._adapter(name)
                saved = time.perf_counter()
                began += saved - away  # the caller's time is not ours
            elif time.perf_counter() - saved >= STATE_SECONDS:
                self._save_state()
                saved = time.perf_counter()
        checkpoint.finish(self._state, self.at.done)

    def _set_up(self) -> None:
        """Own weights, a head, an optimiser."""
        _check_memory(self.encoder)
        self.model = copy.deepcopy(self.encoder.model).requires_grad_(True)
        limits = {"truncation": True, "max_length": self.encoder.longest}
        read = self.encoder.tokenizer(self.texts, split_special_tokens=True, **limits)
        seen = [token for ids in read["input_ids"] for token in ids]
        self.vocabulary = SeenVocabulary(self.model, [*seen, self.encoder.tokenizer.pad_token_id])
        self.head = nn.Linear(self.encoder.hidden, len(self.targets.labels)).to(self.model.device)
        if not self.contrastive:
            self._start_head()
        groups = [
            {"params": list(self.model.parameters()), "times": 1.0},
            {"params": list(self.head.parameters()), "times": _HEAD_RATE},
        ]
        self.adam = torch.optim.AdamW(groups, lr=self.rate, weight_decay=0.0, fused=True)

    # steps

    def _step(self) -> float:
        """One optimiser step; returns its loss."""
        if self.contrastive and self.at.step == self.contrastive:
            self._start_head()
        warming = self.at.step < self.contrastive
        batch = self._pairs(self.at.step) if warming else self._batch(self.at.step)
        loss = self._backward(batch, warming)
        self.at.step += 1
        norm = float(nn.utils.clip_grad_norm_([*self.model.parameters(), *self.head.parameters()], 1.0))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise WayFailed(f"The training diverged at step {self.at.step}, rate {self.rate:g}; lower the rate.")
        for group in self.adam.param_groups:
            group["lr"] = self.rate * group["times"] * self._factor(self.at.step)
        self.adam.step()
        self.at.loss += loss
        self.at.steps += 1
        return loss

    def _factor(self, step: int) -> float:
        """Warm-up, then decay to nothing after the last step."""
        warm = max(1, round(self.total * self.settings.warmup))
        if step <= warm:
            return step / warm
        left = (self.total - step + 1) / (self.total - warm + 1)
        return left if self.settings.schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)

    def _batch(self, step: int) -> list[int]:
        """The rows of a step: each once an epoch, rows of like length together."""
        epoch, place = divmod(step, self.per_epoch)
        if self._order is None or self._order[0] != epoch:
            draw, size = random.Random(f"{self.job.seed}/{epoch}"), self.settings.batch
            rows = list(range(len(self.texts)))
            draw.shuffle(rows)
            batches = []
            for start in range(0, len(rows), _WINDOW * size):
                window = sorted(rows[start : start + _WINDOW * size], key=lambda row: (len(self.texts[row]), row))
                batches += [window[at : at + size] for at in range(0, len(window), size)]
            draw.shuffle(batches)
            self._order = (epoch, batches)
        return self._order[1][place]

    def _pairs(self, step: int) -> list[int]:
        """Rows in pairs of one label; a label of one row is paired with itself, seen twice through dropout."""
        draw, by_label = random.Random(f"{self.job.seed}/{step}/pairs"), defaultdict(list)
        for row, label in enumerate(self.wanted):
            by_label[label].append(row)
        rows = draw.sample(range(len(self.texts)), min(max(1, self.settings.batch // 2), len(self.texts)))
        others = ([other for other in by_label[self.wanted[row]] if other != row] or [row] for row in rows)
        return [row for first, mates in zip(rows, others, strict=True) for row in (first, draw.choice(mates))]

    def _backward(self, batch: Sequence[int], warming: bool) -> float:
        """Gradients of the batch's mean loss; smaller pieces when memory runs out."""
        while True:
            self.adam.zero_grad(set_to_none=True)
            size = len(batch) if warming else self.limit
            try:
                with self._drawn():
                    pieces = (batch[at : at + size] for at in range(0, len(batch), size))
                    return sum(self._piece(piece, len(batch), warming) for piece in pieces)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if warming or self.limit == 1:
                    raise WayFailed("A training step does not fit into memory; use shorter rows, a smaller encoder or "
                                    "a smaller batch.") from error  # fmt: skip
                self.limit = max(1, min(self.limit, len(batch)) // 2)

    def _piece(self, rows: Sequence[int], whole: int, warming: bool) -> float:
        fed = self.encoder.fed([self.texts[row] for row in rows])
        self.at.tokens += int(fed["attention_mask"].sum())
        kind = throughput.dtype(self.model.device, self.encoder.hidden)
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
            states = pooled(self.model, fed)
            losses = None if warming else self.targets.loss(self.head(states).float(), rows)
        if losses is None:
            wanted = torch.tensor([self.wanted[row] for row in rows], device=self.model.device)
        loss = contrast(states.float(), wanted) if losses is None else losses / whole
        torch.autograd.backward(loss)
        return float(loss.detach())

    def _drawn(self) -> Any:
        """Dropout drawn from the seed and the step alone; the model is in training mode meanwhile."""
        return _Drawn(self.model, int(digest([self.job.seed, self.at.step], 8), 16))

    # the head

    def _start_head(self) -> None:
        """Logistic regression on the states of the training rows as they are now, or zeros."""
        if self.settings.init == "zeros":
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
            return
        if self.contrastive:
            fitted_head = self._fit()
        else:  # the same for all rates and seeds
            key = [self.kind, KINDS[self.kind].version, self.job.weights.revision, self.texts, self.wanted]
            if self.job.options.get("labels"):  # the same codes of other sets are another head
                key += [[row.answer for row in self.job.rows], self.job.options]
            fitted_head = cached_tensors(self.folder, key, self._fit)
        with torch.no_grad():
            self.head.weight.copy_(fitted_head["weight"])
            self.head.bias.copy_(fitted_head["bias"])

    def _fit(self) -> dict[str, Tensor]:
        own = copy.copy(self.encoder)
        own.model = self.model.eval()
        states, _ = own(self.texts)
        return self.targets.fitted(states)

    # what is on disk

    def _checkpoint(self) -> str:
        """Save encoder, tokenizer and head by write-then-rename; return their digest."""
        name = digest([self.key, self.at.step])
        place = self.folder / name
        if not place.exists():
            with checkpoint.written(place) as temporary:
                trained = copy.copy(self.encoder)
                trained.model = self.model.eval()
                with self.vocabulary.whole():
                    encoder_files.write(temporary, self.encoder, trained, self.head, self.targets, self.texts)
                checkpoint.write_facts(
                    temporary,
                    kind=self.kind,
                    step=self.at.step,
                    epoch=self.at.step / self.per_epoch,
                    loss=self.at.loss / max(1, self.at.steps),
                    seconds=self.at.seconds,
                    tokens=self.at.tokens,
                    peak_bytes=process_memory.peak_bytes(),
                    work={"train": pace.settle(self.at)},
                )
        self.at.loss, self.at.steps = 0.0, 0
        self.at.done.append(name)
        return name

    def _adapter(self, name: str) -> Adapter:
        return checkpoint.read_adapter(self.folder / name, self.job.weights)

    @property
    def _state(self) -> Path:
        return self.folder / "state" / f"{self.key}.safetensors"

    def _tensors(self) -> dict[str, Tensor]:
        named = [(f"encoder/{n}", p) for n, p in self.model.named_parameters()]
        return dict([*named, *((f"head/{n}", p) for n, p in self.head.named_parameters())])

    def _save_state(self) -> None:
        from safetensors.torch import save_file

        tensors: dict[str, Tensor] = {}
        for name, p in self._tensors().items():
            tensors[f"w/{name}"] = p.data
            moments = self.adam.state.get(p)
            if moments:  # an unused pooler has none, nor has the head during the contrastive steps
                tensors |= {f"m/{name}": moments["exp_avg"], f"v/{name}": moments["exp_avg_sq"]}
                tensors[f"s/{name}"] = moments["step"].reshape(1)
        self._state.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._state.with_suffix(".tmp")
        facts = json.dumps(dataclasses.asdict(self.at) | {"limit": self.limit})
        save_file({k: t.detach().contiguous() for k, t in tensors.items()}, temporary, metadata={"progress": facts})
        temporary.replace(self._state)

    def _resume(self) -> EncoderTrainerState | None:
        """Take up the saved state, if there is one and its checkpoints still stand."""
        from safetensors import safe_open

        if not self._state.exists():
            return None
        with safe_open(self._state, "pt") as file:
            facts = json.loads(file.metadata()["progress"])
            self.limit = facts.pop("limit")
            at = EncoderTrainerState(**facts)
            if not all((self.folder / name).exists() for name in at.done):
                return None
            known = set(file.keys())
            for name, p in self._tensors().items():
                p.data.copy_(file.get_tensor(f"w/{name}"))
                if f"m/{name}" in known:
                    m, v, s = (file.get_tensor(f"{kind}/{name}").to(p.device) for kind in "mvs")
                    self.adam.state[p] = {"step": s.reshape(()), "exp_avg": m, "exp_avg_sq": v}
        return at

    def _finished(self) -> list[Adapter] | None:
        names = checkpoint.finished(self._state, self.folder)
        return None if names is None else [self._adapter(name) for name in names]


class _Drawn:
    """Training mode with a random state of its own; leaves both as they were."""

    def __init__(self, model: Any, seed: int) -> None:
        self._model, self._seed, self._fork = model, seed, torch.random.fork_rng()

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)
        self._model.train()

    def __exit__(self, *error: Any) -> None:
        self._model.eval()
        self._fork.__exit__(*error)


def contrast(states: Tensor, labels: Tensor) -> Tensor:
    """Squared distance of all pairs' cosines from 1 (one label) or 0 (two); both kinds of pairs count half."""
    unit = functional.normalize(states, dim=-1)
    cosines = unit @ unit.T
    same = labels[:, None] == labels[None]
    apart = ~same
    same = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    near = (1 - cosines[same]).square().mean() if same.any() else cosines.sum() * 0
    far = cosines[apart].square().mean() if apart.any() else cosines.sum() * 0
    return (near + far) / 2


def _check_memory(encoder: Encoder) -> None:
    """Refuse an encoder whose training cannot fit, before the system ends the process for it."""
    if encoder.model.device.type != "cpu":
        return
    import psutil

    needed = _BYTES * sum(p.numel() for p in encoder.model.parameters())
    free = psutil.virtual_memory().available
    if needed > free:
        raise WayFailed(
            f"Training all weights of this encoder needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} "
            "GB are free; use a smaller encoder."
        )
