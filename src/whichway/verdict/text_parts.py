"""Parts of the test rows by their texts: forms, words, and clusters of like rows. Candidates for error groups.

Clusters come from vectors: those of a sentence encoder where they are at hand, else TF-IDF reduced to a few dimensions
(latent semantic analysis; Deerwester et al. 1990). k-means is run at several numbers of clusters, as the size of what
fails together is not known. Everything is deterministic.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from whichway.verdict.error_groups import LARGEST, Mask, Part
from whichway.verdict.stats import FloatArray, IntArray

RAREST = 6  # rows that have a word
WORDS = 1500  # the most frequent ones are looked at
DIMENSIONS = 40
SIZES = (40, 80, 160)  # mean rows of a cluster
LEAST_ROWS = 60  # fewer have no clusters
STEPS = 25
NAMED = 4  # words that name a cluster

FORMS: Mapping[str, Callable[[str], bool]] = {
    "asks a question": lambda text: "?" in text,
    "has digits": lambda text: any(c.isdigit() for c in text),
    "has several sentences": lambda text: len(re.findall(r"[.!?](?:\s|$)", text.strip())) > 1,
    "has several lines": lambda text: "\n" in text.strip(),
    "has quotes": lambda text: any(c in text for c in "\"“”„«»"),
    "has brackets or code": lambda text: any(c in text for c in "{}[]<>`"),
    "has a link or an address": lambda text: re.search(r"https?://|www\.|\S@\S", text) is not None,
    "is in capitals": lambda text: len(text) > 3 and text.isupper(),
    "has no capitals": lambda text: text.islower(),
    "has letters beyond ASCII": lambda text: any(c.isalpha() and not c.isascii() for c in text),
    "has a negation": lambda text: re.search(r"\b(?:not|no|never|nor|without|\w+n['’]t)\b", text, re.I) is not None,
}


def text_parts(texts: Sequence[str], codes: Sequence[IntArray] | None = None) -> Iterator[Part]:
    """Candidates by the form of the text, by words, and by clusters.

    Args:
        texts: of each row.
        codes: clusters of the rows by a sentence encoder, of several sizes (see `clusterings`); None: by words.
    """
    for name, has in FORMS.items():
        rows = np.array([has(text) for text in texts], dtype=bool)
        if RAREST <= rows.sum() <= LARGEST * len(texts):
            yield Part("form", "", name, rows)
    words = [tokens(text) for text in texts]
    yield from _by_word(words)
    if len(texts) >= LEAST_ROWS:
        yield from _by_cluster(words, codes)


def tokens(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)?", text.lower())


def _by_word(words: Sequence[Sequence[str]]) -> Iterator[Part]:
    frequent = _frequent(words, RAREST, LARGEST)
    places: dict[str, list[int]] = {word: [] for word in frequent[:WORDS]}
    for row, those in enumerate(words):
        for word in set(those) & places.keys():
            places[word].append(row)
    for word, rows in places.items():
        mask = np.zeros(len(words), dtype=bool)
        mask[rows] = True
        yield Part("word", "", word, mask)


def _frequent(words: Sequence[Sequence[str]], least: int, share: float) -> list[str]:
    """Words in at least so many rows and at most this share of them, the most frequent first."""
    counts = Counter(word for those in words for word in set(those))
    within = [word for word, count in counts.items() if least <= count <= share * len(words)]
    return sorted(within, key=lambda word: (-counts[word], word))


def clusterings(vectors: FloatArray) -> list[IntArray]:
    """Clusters of rows by their vectors (n, d), for each of `SIZES`: (n,) codes; by direction alone."""
    points = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    counts = [round(len(points) / size) for size in SIZES]
    return [k_means(points, count) for count in counts if count > 1]


def _by_cluster(words: Sequence[Sequence[str]], codes: Sequence[IntArray] | None) -> Iterator[Part]:
    matrix, vocabulary = _tf_idf(words)
    if codes is None:
        codes = clusterings(_reduced(matrix)) if min(matrix.shape) > DIMENSIONS else []
    seen = set()
    for each in codes:
        for code in range(int(each.max(initial=-1)) + 1):
            rows = each == code
            if RAREST <= rows.sum() <= LARGEST * len(words) and rows.tobytes() not in seen:
                seen.add(rows.tobytes())
                yield Part("cluster", "", ", ".join(_names(matrix, vocabulary, rows)), rows)


def _tf_idf(words: Sequence[Sequence[str]]) -> tuple[sparse.csr_array, list[str]]:
    """(n, words) rows of length 1, and the words."""
    vocabulary = _frequent(words, 2, 0.7)
    place = {word: k for k, word in enumerate(vocabulary)}
    rows, columns, counts = [], [], []
    for row, those in enumerate(words):
        for word, count in Counter(w for w in those if w in place).items():
            rows.append(row)
            columns.append(place[word])
            counts.append(1 + np.log(count))
    matrix = sparse.csr_array((counts, (rows, columns)), shape=(len(words), len(vocabulary)), dtype=float)
    frequency = np.bincount(columns, minlength=len(vocabulary)) if columns else np.zeros(len(vocabulary))
    matrix = sparse.csr_array(matrix * (np.log((1 + len(words)) / (1 + frequency)) + 1))
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sparse.csr_array(sparse.diags_array(1 / np.maximum(norms, 1e-9)) @ matrix), vocabulary


def _reduced(matrix: sparse.csr_array) -> FloatArray:
    """(n, DIMENSIONS) the rows in the directions that vary most."""
    left, values, _ = svds(matrix, k=DIMENSIONS, v0=np.ones(min(matrix.shape)))
    return np.asarray(left * values)


def k_means(points: FloatArray, count: int) -> IntArray:
    """(n,) cluster of each point; the first centres are far from each other, so that nothing is drawn."""
    centres = [points.mean(axis=0)]
    far = ((points - centres[0]) ** 2).sum(axis=1)
    for _ in range(count):
        centres.append(points[int(far.argmax())])
        far = np.minimum(far, ((points - centres[-1]) ** 2).sum(axis=1))
    middle = np.stack(centres[1:])
    codes = np.zeros(len(points), dtype=np.int64)
    for step in range(STEPS):
        distances = (middle**2).sum(axis=1) - 2 * points @ middle.T
        new = distances.argmin(axis=1)
        if step and (new == codes).all():
            break
        codes = new
        for code in np.unique(codes):
            middle[code] = points[codes == code].mean(axis=0)
    return codes


def _names(matrix: sparse.csr_array, vocabulary: Sequence[str], rows: Mask) -> list[str]:
    """The words that tell a cluster from the other rows."""
    inside = np.asarray(matrix[np.flatnonzero(rows)].mean(axis=0)).ravel()
    outside = np.asarray(matrix[np.flatnonzero(~rows)].mean(axis=0)).ravel()
    order = np.argsort(-(inside - outside), kind="stable")
    return [vocabulary[k] for k in order[:NAMED]]
