"""A linear probe: a logistic head on the frozen model's hidden states. One pass over the data, then seconds.

Features of a row: the last token's state, which has read everything, beside means over the row's own tokens (the prompt
before them is left out) of the embeddings, the middle layer and the last one. In a good model the first tells most, in
a weak one the means do. Standardised; how strongly to regularise is chosen by cross-validation.
"""

from __future__ import annotations

import functools
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whichway.engine.infer.row_reads import OwnStarts, PromptRow, RowReads
from whichway.engine.infer.session import InferenceSession, halving
from whichway.engine.model import forward, packing, throughput
from whichway.engine.model.load import Model
from whichway.engine.model.token_cost import token_cost
from whichway.engine.train import checkpoint
from whichway.engine.train.activation_cache import cached_tensors
from whichway.errors import AdapterNotLive, WayFailed
from whichway.nouns import Adapter, Decoding, Message, Reply, Request, TrainJob, digest
from whichway.training_kinds import KINDS, ProbeOptions, options

_VERSION = 2  # of the features as they are kept
_DECODING = Decoding("choose")
_FLOOR = -20.0  # log-probability of a label that no training row had
_GRID = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_PARTS = 4  # of the features, each as wide as the model
_CHECKED = 4  # rows kept to prove that a loaded head answers as the saved one


@dataclass(frozen=True, slots=True)
class Head:
    """A logistic head: features `[F]` to log-probabilities `[K]` of `labels`."""

    labels: tuple[str, ...]
    mean: np.ndarray[Any, np.dtype[np.float32]]  # [F]
    scale: np.ndarray[Any, np.dtype[np.float32]]  # [F]
    weight: np.ndarray[Any, np.dtype[np.float32]]  # [K, F]
    bias: np.ndarray[Any, np.dtype[np.float32]]  # [K]

    def __call__(self, features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Log-probabilities `[B, K]` for features `[B, F]`."""
        scores = ((features - self.mean) / self.scale) @ self.weight.T + self.bias
        scores = scores - scores.max(1, keepdims=True)
        return np.asarray(scores - np.log(np.exp(scores).sum(1, keepdims=True)))


class Prober(InferenceSession):
    """A session that answers with labels, by a head; it cannot write."""

    def __init__(self, model: Model, head: Head | None, reads: RowReads | None = None) -> None:
        super().__init__(model, model.module, reads)
        self.head = head
        self._starts = OwnStarts(model.renderer) if reads is None else reads.starts

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """A probe has no words of its own."""
        raise WayFailed(f"A probe answers with one of its labels; it cannot write ({len(requests)} asked).")

    @torch.no_grad()
    def features(self, requests: Sequence[Request]) -> tuple[np.ndarray[Any, Any], list[Reply]]:
        """Features `[B, F]` (zeros for rows in error), and replies that hold only counts."""
        feature_rows: dict[int, np.ndarray[Any, Any]] = {}

        def counted(row: PromptRow) -> Reply:
            return Reply("", *self._counts(row, row.number == self._first), 0, row.seconds)

        def work(rows: list[PromptRow]) -> list[Reply]:
            for batch in self._batches(rows, 0):
                states = halving(functools.partial(self._timed, work=self._states), batch)
                feature_rows.update((row.number, state.numpy()) for row, state in zip(batch, states, strict=True))
            return [counted(row) for row in rows]

        def recall(rows: list[PromptRow]) -> dict[int, Reply]:
            if self.reads is None:
                return {}
            keys = {row.number: self.reads.features(row.ids, row.start or 0) for row in rows}
            entries = self.reads.store.get(list(keys.values()))
            known = [row for row in rows if keys[row.number] in entries]
            for row in known:
                entry = entries[keys[row.number]]
                row.seconds, feature_rows[row.number] = entry.seconds, entry.array
            return {row.number: replace(counted(row), recalled=True) for row in known}

        replies = self._answer(requests, work, recall)
        empty = np.zeros(_PARTS * self.model.hidden, np.float32)
        return np.stack([feature_rows.get(i, empty) for i in range(len(requests))]), replies

    def _mark(self, rows: list[PromptRow]) -> None:
        for row in rows:
            row.start = self._starts(row.request.messages)
        self._common = min(packing.common([row.ids for row in rows]), *(row.start or 0 for row in rows))

    def _states(self, rows: list[PromptRow]) -> list[Tensor]:
        lengths, size = [len(row.ids) for row in rows], len(self.prefix.ids)
        layout = packing.pack_rows(lengths, size, self.model.device, prefix=self.prefix.layers)
        ids = torch.tensor([i for row in rows for i in row.ids], device=self.model.device)
        depths = forward.depths(self.module, ids, layout)
        return self.computed.note(rows, self.prefix.ids, depths)

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer each request with one of its labels, scored by the head."""
        if self.head is None:
            raise WayFailed("This probe has no head yet.")
        with throughput.fitting():
            features, counted = self.features(requests)
        return [
            reply if reply.finish == "error" else _pick(request, reply, dict(zip(self.head.labels, row, strict=True)))
            for request, reply, row in zip(requests, counted, self.head(features).tolist(), strict=True)
        ]


def _pick(request: Request, counted: Reply, known: dict[str, float]) -> Reply:
    bias = dict(request.decoding.bias)
    scores = {label: known.get(label, _FLOOR) + bias.get(label, 0.0) for label in request.labels}
    text = max(scores, key=lambda label: scores[label])  # the first of equals
    return replace(counted, text=text, scores=scores)


def train(model: Model, job: TrainJob, folder: Path, reads: RowReads | None = None) -> Iterator[Adapter]:
    """Fit a head; yields one `Adapter`, saved as `folder/<digest>/`.

    Args:
        model: the base.
        job: rows and labels.
        folder: of the training.
        reads: what is kept of rows that were read; None: nothing is.

    Raises:
        WayFailed: fewer than two labels among the rows.
        OptionError: an unknown option.
    """
    settings = options(ProbeOptions, job.options)
    place = folder / digest(["probe", KINDS["probe"].version, job])
    if not place.exists():
        _fit(model, job, settings, place, reads)
    yield checkpoint.read_adapter(place, job.weights)


def _fit(model: Model, job: TrainJob, settings: ProbeOptions, place: Path, reads: RowReads | None) -> None:
    start = time.perf_counter()
    if len({row.answer for row in job.rows}) < 2:
        raise WayFailed("A probe needs training rows of at least two labels.")
    requests = [Request(row.messages, _DECODING, (row.answer,)) for row in job.rows]
    features, sizes, read = _read_all(model, requests, place.parent, reads)
    began = time.perf_counter()
    fine = [i for i, size in enumerate(sizes) if size is not None]
    answers = [job.rows[i].answer for i in fine]
    if len(set(answers)) < 2:
        raise WayFailed("A probe needs training rows of at least two labels that fit the model.")
    head, loss = fit(features[fine], answers, settings.C, job.seed)
    facts = {
        "kind": "probe",
        "step": 1,
        "epoch": 1.0,
        "loss": loss,
        "seconds": time.perf_counter() - start,
        "tokens": sum(size for size in sizes if size is not None),
        "work": {"read": read, "fit": (float(len(fine)), time.perf_counter() - began)},
    }
    _save(place, head, facts, [requests[i] for i in fine[:_CHECKED]], head(features[fine[:_CHECKED]]))


def _read_all(
    model: Model, requests: Sequence[Request], folder: Path, reads: RowReads | None
) -> tuple[np.ndarray[Any, Any], list[int | None], tuple[float, float]]:
    """What a fit needs of some rows; once for all trainings on these rows.

    Returns:
        features `[B, F]`, the tokens read for each row (None: it does not fit), and the counted work with its seconds.
    """

    def make() -> dict[str, Tensor]:
        with throughput.fitting():
            features, replies = Prober(model, None, reads).features(requests)
        sizes = [-1 if reply.finish == "error" else reply.tokens_in for reply in replies]
        cost = token_cost(model.folder)
        units = sum(cost.read(reply.tokens_in, reply.tokens_cached) for reply in replies)
        work = torch.tensor([units, sum(reply.seconds for reply in replies)], dtype=torch.float64)
        return {"features": torch.from_numpy(features), "sizes": torch.tensor(sizes), "work": work}

    kind = str(next(model.module.parameters()).dtype)
    key = ["features", _VERSION, model.revision, kind, [request.messages for request in requests]]
    stored = cached_tensors(folder, key, make)
    numbers: list[int] = stored["sizes"].tolist()
    units, seconds = stored["work"].tolist()
    return stored["features"].numpy(), [None if n < 0 else n for n in numbers], (units, seconds)


def fit(features: np.ndarray[Any, Any], answers: Sequence[str], c: float | None, seed: int) -> tuple[Head, float]:
    """A head for features `[B, F]`, with its mean loss on these rows in nats."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    mean, scale = features.mean(0), features.std(0) + 1e-6
    inputs, labels = (features - mean) / scale, sorted(set(answers))
    wanted = np.array([labels.index(answer) for answer in answers])
    with threadpool_limits(1):  # products this small are ten times slower on two threads
        c = c if c is not None else _choose_c(inputs, wanted, seed)
        model = LogisticRegression(C=c, max_iter=500, tol=1e-3).fit(inputs, wanted)
    weight, bias = model.coef_, model.intercept_
    if len(labels) == 2:  # scikit-learn keeps one row for two labels
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    parts = [np.asarray(a, np.float32) for a in (mean, scale, weight, bias)]
    head = Head(tuple(labels), *parts)
    return head, float(-head(features)[np.arange(len(wanted)), wanted].mean())


def _choose_c(inputs: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any], seed: int) -> float:
    """The regularisation with the best held-out accuracy over three folds; the stronger of equals."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    if min(Counter(wanted.tolist()).values()) < 3:
        return 0.01
    folds = list(StratifiedKFold(3, shuffle=True, random_state=seed).split(inputs, wanted))

    def right_share(c: float) -> float:
        heads = [(LogisticRegression(C=c, max_iter=200, tol=1e-3).fit(inputs[a], wanted[a]), b) for a, b in folds]
        return float(np.mean([head.score(inputs[b], wanted[b]) for head, b in heads]))

    right = {c: right_share(c) for c in _GRID}
    return max(_GRID, key=lambda c: (right[c], -c))


def _save(
    place: Path, head: Head, facts: dict[str, Any], requests: Sequence[Request], scores: np.ndarray[Any, Any]
) -> None:
    from safetensors.numpy import save_file

    arrays = {"mean": head.mean, "scale": head.scale, "weight": head.weight, "bias": head.bias}
    rows = [{"messages": [[m.role, m.content, *([True] if m.earlier else [])] for m in r.messages]} for r in requests]
    description = {
        "labels": head.labels,
        "live": [row | {"scores": s} for row, s in zip(rows, scores.tolist(), strict=True)],
    }
    with checkpoint.written(place) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary / "head.safetensors")
        (temporary / "head.json").write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")
        checkpoint.write_facts(temporary, **facts)


def open_head(model: Model, folder: Path, reads: RowReads | None = None) -> Prober:
    """A session that answers with the head in `folder`; `reads`: what is kept of rows that were read.

    Raises:
        AdapterNotLive: it does not answer as when it was saved.
    """
    from safetensors.numpy import load_file

    description = json.loads((folder / "head.json").read_text(encoding="utf-8"))
    prober = Prober(model, Head(tuple(description["labels"]), **load_file(folder / "head.safetensors")))
    requests = [Request(tuple(Message(*m) for m in row["messages"]), _DECODING, ()) for row in description["live"]]
    assert prober.head is not None
    now = prober.head(prober.features(requests)[0])
    stored = np.array([row["scores"] for row in description["live"]])
    if not np.abs(now - stored).max() <= 0.05 * (1 + np.abs(stored).max()):
        raise AdapterNotLive(f"The probe in {folder} does not answer as when it was saved; was the base model changed?")
    return Prober(model, prober.head, reads)
