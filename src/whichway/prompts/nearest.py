"""Shots chosen for each row: the rows of a pool that are most like it, by a sentence encoder or by their words.

Liu et al. 2022 (arXiv 2101.06804) choose by sentence embeddings, and by far the better they are; words need no second
model. The prompt says which: its `encoder` names the encoder by the digest of its files, so that the same prompt never
shows other shots. Nothing here computes a vector: `ShotRetriever` is handed a function that does. The shots differ from
row to row, so the prompt's prefix cannot be shared.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from whichway.contracts import Backend, Bench, Embedder
from whichway.errors import ModelError
from whichway.nouns import Prompt, Shot, Weights
from whichway.prompts.tfidf import Index

if TYPE_CHECKING:
    import numpy as np

WORDS = "words"  # where an encoder could be named: by the words that texts share
DEFAULT = "default"  # and: the encoder that models.yaml names
# Metadata of options that name an encoder: one that a way stands on, one that chooses shots. The plan fixes which.
MODEL = {"help": "sentence encoder: default (of models.yaml), another name, a folder or a hub name", "encoder": True}
RETRIEVER = {
    "help": "who says which rows are alike: default (the sentence encoder of models.yaml, or words where it is not on "
    "this machine), another encoder's name, folder or hub name, or words (those that rows share)",
    "encoder": True,
    "before": WORDS,  # what a run meant before there was a choice
}
MOST = 50_000  # vectors held in memory
DIGITS = 5  # of a cosine: what rounding in another batch can change must not change an order

Retrieve = Callable[[Prompt, str], tuple[Shot, ...]]
Embed = Callable[[Weights, Sequence[str]], "Sequence[np.ndarray[Any, Any]]"]


def by_words(prompt: Prompt, text: str) -> tuple[Shot, ...]:
    """The `prompt.nearest` shots of its pool that share most words with a row, the most similar last.

    Args:
        prompt: with a pool.
        text: the row's input; a shot of the same text is left out.

    Raises:
        ModelError: the prompt's shots are chosen by an encoder, which is not at hand here.
    """
    if not prompt.nearest or not prompt.pool:
        return ()
    if prompt.encoder is not None:
        raise ModelError(
            f"The shots of this prompt are chosen by the sentence encoder {prompt.encoder.base} (revision "
            f"{prompt.encoder.revision}), which is not used here."
        )
    best = _index(prompt.pool).nearest(text, prompt.nearest)
    return tuple(prompt.pool[place] for place in reversed(best))


@lru_cache(maxsize=16)
def _index(pool: tuple[Shot, ...]) -> Index:
    return Index([shot.text for shot in pool])


class ShotRetriever:
    """Chooses the shots of rows, by words or by vectors as the prompt says; vectors are computed once for each text.

    May be called from several threads.

    Args:
        embed: vectors (D,) of length 1 for texts, by an encoder; called with as many texts at once as are known.
    """

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._vectors: OrderedDict[tuple[str, str], np.ndarray[Any, Any]] = OrderedDict()  # (revision, text) -> vector
        self._pools: OrderedDict[tuple[str, tuple[Shot, ...]], np.ndarray[Any, Any]] = OrderedDict()
        self._lock = threading.RLock()

    def prepare(self, prompt: Prompt, texts: Iterable[str]) -> None:
        """Compute at once what these rows will need."""
        if prompt.encoder is None or not prompt.nearest or not prompt.pool:
            return
        with self._lock:
            self._pool(prompt.encoder, prompt.pool)
            self._read(prompt.encoder, tuple(dict.fromkeys(texts)))

    def __call__(self, prompt: Prompt, text: str) -> tuple[Shot, ...]:
        """The `prompt.nearest` shots of its pool that are most like a row, the most similar last, never its own text.

        Raises:
            ModelError: the prompt's encoder cannot be used.
        """
        if prompt.encoder is None or not prompt.nearest or not prompt.pool:
            return by_words(prompt, text)
        with self._lock:
            pool = self._pool(prompt.encoder, prompt.pool)
            self._read(prompt.encoder, (text,))
            likeness = (pool @ self._vectors[prompt.encoder.revision, text]).round(DIGITS).tolist()
        places = [place for place, shot in enumerate(prompt.pool) if shot.text != text]
        best = sorted(places, key=lambda place: (-likeness[place], place))[: prompt.nearest]
        return tuple(prompt.pool[place] for place in reversed(best))

    def _pool(self, encoder: Weights, pool: tuple[Shot, ...]) -> np.ndarray[Any, Any]:
        """Vectors (N, D) of a pool."""
        import numpy as np

        key = (encoder.revision, pool)
        if key not in self._pools:
            texts = [shot.text for shot in pool]
            self._read(encoder, tuple(dict.fromkeys(texts)))
            self._pools[key] = np.stack([self._vectors[encoder.revision, text] for text in texts])
            while len(self._pools) > 16:
                self._pools.popitem(last=False)
        self._pools.move_to_end(key)
        return self._pools[key]

    def _read(self, encoder: Weights, texts: Sequence[str]) -> None:
        """Have the vectors of these texts; the longest unused go where they are too many."""
        missing = []
        for text in texts:
            if (encoder.revision, text) in self._vectors:
                self._vectors.move_to_end((encoder.revision, text))
            else:
                missing.append(text)
        if missing:
            vectors = self._embed(encoder, missing)
            self._vectors.update({(encoder.revision, text): v for text, v in zip(missing, vectors, strict=True)})
        while len(self._vectors) > max(MOST, len(texts)):
            self._vectors.popitem(last=False)


def chosen_encoder(bench: Bench, word: str) -> Weights | None:
    """The encoder that a way's option names; None, with a line of progress, where word overlap is used instead."""
    weights = bench.encoder(word)
    if weights is None and word != WORDS:
        bench.say(f"{_missing(word)}: rows are alike by the words that they share")
    return weights


def not_here(word: str, way: str) -> str:
    """Why a way that needs an encoder is left out."""
    return f"{_missing(word)}: `whichway models` says how to fetch one, or name a folder: --set {way}.model=FOLDER"


def _missing(word: str) -> str:
    return f"the {word} sentence encoder is not on this machine"


def named(encoder: Weights) -> str:
    """An encoder in a few words: its name, or the end of its path."""
    return encoder.base.rstrip("/").rpartition("/")[2]


def retriever_of(backends: Mapping[str, Backend]) -> ShotRetriever:
    """A retriever whose vectors come from the backends, for work beside a contest."""

    def embed(weights: Weights, texts: Sequence[str]) -> list[np.ndarray[Any, Any]]:
        return [embedding.vector for embedding in embedder_of(backends, weights).embed(weights, texts)]

    return ShotRetriever(embed)


def embedder_of(backends: Mapping[str, Backend], weights: Weights) -> Embedder:
    """The backend of an encoder.

    Raises:
        ModelError: there is none of this name, or it makes no vectors.
    """
    backend: object = backends.get(weights.backend)
    if isinstance(backend, Embedder):
        return backend
    raise ModelError(f"The backend '{weights.backend}' of the encoder {weights.base} makes no vectors of texts.")
