"""Door to sentence encoders on this machine: mean-pooled states of any transformers model, and a logistic head on them.

The text of the last message is the row, as for the classical baselines. Weights from safetensors only, no remote code.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.contracts import Embedding, Session
from whichway.errors import ModelError, OptionError, WayFailed
from whichway.nouns import Adapter, Reply, Request, TrainJob, Weights, digest

if TYPE_CHECKING:
    from whichway.engine.train.probe import Head

_BATCH = 32  # rows read together
_LONGEST = 512  # tokens of a row that are read, where the encoder does not say


def backend() -> EncoderBackend:
    """The backend of this file."""
    return EncoderBackend()


class EncoderBackend:
    """Sentence encoders behind the contract of a model."""

    name = "encoder"

    def __init__(self) -> None:
        self._last: tuple[str, Encoder] | None = None

    @property
    def version(self) -> str:
        """Ours and the libraries'."""
        from importlib.metadata import version

        return f"encoder 1, torch {version('torch')}, transformers {version('transformers')}"

    def weights(self, base: str) -> Weights:
        """A folder or a hub name, with the digest of its files.

        Raises:
            ModelError: there is no such model, or it has no weights in safetensors.
        """
        return Weights(self.name, base, _revision(_folder(base)))

    def trains(self) -> frozenset[str]:
        """A head."""
        return frozenset({"encoder"})

    def open(self, weights: Weights, adapter: Path | None) -> AbstractContextManager[Session]:
        """Load the encoder and a fitted head.

        Raises:
            ModelError: no head was fitted.
        """
        if adapter is None:
            raise ModelError(f"the encoder '{weights.base}' answers only after a head was fitted to it")
        return nullcontext(Headed(self._encoder(weights), adapter))

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        """Fit a head; one checkpoint.

        Raises:
            WayFailed: fewer than two labels among the rows.
            OptionError: any option; how strongly to regularise is chosen by cross-validation.
        """
        from whichway.engine.train import probe

        if job.options:
            raise OptionError(f"training '{job.kind}' takes no options, got {', '.join(sorted(job.options))}")
        start = time.perf_counter()
        answers = [row.answer for row in job.rows]
        if len(set(answers)) < 2:
            raise WayFailed("An encoder's head needs training rows of at least two labels.")
        states, tokens = self._encoder(job.weights)([row.messages[-1].content for row in job.rows])
        head, loss = probe.fit(states, answers, None, job.seed)
        name = digest(["encoder", self.version, job.id])
        size = _save(head, folder / name)
        weights = Weights(self.name, job.weights.base, job.weights.revision, name, job.kind)
        yield Adapter(weights, 1, 1.0, loss, time.perf_counter() - start, sum(tokens), size)

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
        return self._unchanged(weights)

    def _unchanged(self, weights: Weights) -> Path:
        folder = _folder(weights.base)
        if weights.revision and weights.revision != _revision(folder):
            raise ModelError(f"Encoder {weights.base} has changed since this run began: its files are not the same.")
        return folder

    def _encoder(self, weights: Weights) -> Encoder:
        folder = self._unchanged(weights)
        mark = _revision(folder)
        if self._last is None or self._last[0] != mark:
            self._last = (mark, Encoder(folder))
        return self._last[1]


def _folder(base: str) -> Path:
    from whichway.engine.model import load

    return load.find(base)


def _revision(folder: Path) -> str:
    from whichway.engine.model import load

    for name in ("config.json", "tokenizer_config.json"):
        if not (folder / name).exists():
            raise ModelError(f"{folder} is no sentence encoder: it has no {name}.")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{folder} has no weights in safetensors; convert it with save_pretrained where you trust it.")
    return load.files_digest(folder)


class Encoder:
    """Texts to vectors: the mean of the last layer's states over a text's own tokens."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        from whichway.engine.model import load

        said: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            with load.quiet():
                self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, **said)
                self.model: Any = AutoModel.from_pretrained(folder, use_safetensors=True, **said).float().eval()
        except Exception as error:  # whatever a foreign folder makes the libraries say
            raise ModelError(f"The encoder in {folder} cannot be read: {load.first_line(error)}") from error
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        most = getattr(self.model.config, "max_position_embeddings", None) or _LONGEST
        self.longest = int(min(most, _LONGEST))

    def __call__(self, texts: Sequence[str]) -> tuple[Any, list[int]]:
        """Vectors `[B, hidden]` in float32, and the tokens read of each text."""
        import numpy as np
        import torch

        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: dict[int, Any] = {}
        sizes = [0] * len(texts)
        with torch.no_grad():
            for start in range(0, len(order), _BATCH):
                places = order[start : start + _BATCH]
                fed = self.tokenizer(
                    [texts[i] for i in places], padding=True, truncation=True, max_length=self.longest,
                    padding_side="right", return_tensors="pt",
                )  # fmt: skip
                states = self.model(input_ids=fed["input_ids"], attention_mask=fed["attention_mask"]).last_hidden_state
                mask = fed["attention_mask"].unsqueeze(-1).to(states.dtype)
                mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
                for i, vector, size in zip(places, mean, fed["attention_mask"].sum(1).tolist(), strict=True):
                    found[i], sizes[i] = vector.numpy(), int(size)
        return np.stack([found[i] for i in range(len(texts))]), sizes


def _save(head: Head, goal: Path) -> int:
    """Write a head, whole or not at all; its bytes."""
    import numpy as np
    from safetensors.numpy import save_file

    temporary = goal.with_name(goal.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    arrays = {"mean": head.mean, "scale": head.scale, "weight": head.weight, "bias": head.bias}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary / "head.safetensors")
    (temporary / "head.json").write_text(json.dumps({"labels": head.labels}, ensure_ascii=False), encoding="utf-8")
    if not goal.exists():
        os.replace(temporary, goal)
    return sum(file.stat().st_size for file in goal.iterdir())


class Headed:
    """An encoder with a head: answers with labels; it cannot write."""

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        from safetensors.numpy import load_file

        from whichway.engine.train.probe import Head

        labels = json.loads((folder / "head.json").read_text(encoding="utf-8"))["labels"]
        self.encoder, self.head = encoder, Head(tuple(labels), **load_file(folder / "head.safetensors"))

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """The label with the highest probability."""
        start = time.perf_counter()
        states, sizes = self.encoder([r.messages[-1].content for r in requests])
        scores = self.head(states)
        seconds = (time.perf_counter() - start) / max(1, len(requests))
        names = self.head.labels
        return [
            Reply(names[int(row.argmax())], size, 0, 0, seconds, dict(zip(names, map(float, row), strict=True)))
            for row, size in zip(scores, sizes, strict=True)
        ]

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """A head has no words of its own."""
        raise WayFailed(f"An encoder's head answers with one of its labels; it cannot write ({len(requests)} asked).")
