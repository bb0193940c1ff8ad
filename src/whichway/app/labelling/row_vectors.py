"""Rows as vectors: by a sentence encoder that is on this machine, else by their words and letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whichway.contracts import Embedder
    from whichway.nouns import Weights

DIMENSIONS = 128  # of word vectors, after reduction
LETTERS = 30_000  # letter sequences that are counted


@dataclass(frozen=True, slots=True)
class RowVectors:
    """Vectors of length 1 for some texts."""

    dense: Any  # (n, D) float32: an encoder's, or words reduced to `DIMENSIONS`
    words: Any  # (n, W) sparse: words, pairs of words and sequences of letters
    source: str  # the encoder's name; "words"

    @property
    def by_encoder(self) -> bool:
        """Whether an encoder made them."""
        return self.source != "words"


def row_vectors(
    texts: Sequence[str], encoder: str, cache: Path | None = None, tell: Callable[[int], None] | None = None
) -> RowVectors:
    """Vectors of texts.

    Args:
        texts: the rows.
        encoder: "default" is the encoder that models.yaml names, where it is on this machine; another name or folder;
            "words".
        cache: where vectors are looked for and kept, which runs share; None: in memory.
        tell: called with the number of texts that an encoder has read.

    Raises:
        ModelError: there is no such encoder.
        DiskError: the cache cannot be used.
    """
    from whichway.app.configure import backends, encoder_of
    from whichway.prompts.nearest import embedder_of, named

    words = word_vectors(texts)
    known = backends()
    weights = encoder_of(encoder, known)
    if weights is None:
        return RowVectors(reduced(words), words, "words")
    dense = _embedded(texts, embedder_of(known, weights), weights, cache, tell)
    return RowVectors(dense, words, named(weights))


def _embedded(
    texts: Sequence[str],
    backend: Embedder,
    encoder: Weights,
    place: Path | None,
    tell: Callable[[int], None] | None,
) -> Any:
    """(n, D) vectors by an encoder, out of the cache or made now and kept."""
    import numpy as np

    from whichway.contest.cache import Cache
    from whichway.contest.embeddings import CHUNK, embedding_key

    keys = [embedding_key(backend, encoder, text) for text in texts]
    wanted = dict(zip(keys, texts, strict=True))  # equal texts once
    cache = Cache(place)
    entries = {key: embedding for key, (embedding, _) in cache.vectors(list(wanted)).items()}
    missing = [key for key in wanted if key not in entries]
    for start in range(0, len(missing), CHUNK):
        part = missing[start : start + CHUNK]
        fresh = dict(zip(part, backend.embed(encoder, [wanted[key] for key in part]), strict=True))
        cache.keep_vectors(fresh.items(), "labelling")
        entries |= fresh
        if tell is not None:
            tell(len(entries))
    cache.close()
    return np.stack([entries[key].vector for key in keys])


def word_vectors(texts: Sequence[str]) -> Any:
    """TF-IDF (n, W), sparse: words and pairs of words beside sequences of three to five letters."""
    import numpy as np
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer

    ways: tuple[dict[str, Any], ...] = (
        {"ngram_range": (1, 2), "token_pattern": r"(?u)\S+"},
        {"analyzer": "char_wb", "ngram_range": (3, 5), "max_features": LETTERS},
    )
    parts = [TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **way).fit_transform(texts) for way in ways]
    return sparse.csr_matrix(sparse.hstack(parts) / 2**0.5)


def reduced(words: Any) -> Any:
    """(n, `DIMENSIONS` at most) the rows in the directions that vary most, of length 1."""
    import numpy as np
    from sklearn.decomposition import TruncatedSVD
    from threadpoolctl import threadpool_limits

    size = min(DIMENSIONS, min(words.shape) - 1)
    if size < 2:
        return np.asarray(words.todense(), dtype=np.float32)
    with threadpool_limits(1):
        dense = TruncatedSVD(size, n_iter=3, random_state=0).fit_transform(words)
    return (dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9)).astype(np.float32)
