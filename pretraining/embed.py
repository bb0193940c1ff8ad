"""Embeddings to start from: a factorised co-occurrence matrix of the corpus's own tokens.

A language model spends its first hundred million tokens on what words are like. The shifted positive pointwise mutual
information of tokens within a window holds much of that (Levy & Goldberg 2014; Levy, Goldberg & Dagan 2015, whose
exponent 0.75 on contexts and U·sqrt(S) are used), and counting and one truncated SVD take a minute on two cores.
"""

from __future__ import annotations

import numpy as np
import torch

FREQUENT, SURE, RARE, COMMON = 2000, 500, 100, 300  # occurrences; COMMON: tokens


def cooccurrence(ids: np.ndarray, vocab: int, window: int, chunk: int = 4_000_000, even: bool = False) -> np.ndarray:
    """Weighted counts (V, V) float32 of tokens within `window` of each other, 1/distance each; symmetric.

    Args:
        ids: (T,) token ids of the whole corpus in its order.
        vocab: V.
        window: tokens to each side.
        chunk: tokens counted at once.
        even: count all distances alike, which says more of a text's subject and less of its grammar.
    """
    counts = np.zeros(vocab * vocab, dtype=np.float32)
    for start in range(0, len(ids), chunk):
        piece = ids[start : start + chunk].astype(np.int64)
        for distance in range(1, window + 1):
            pairs = piece[:-distance] * vocab + piece[distance:]
            pairs.sort()
            edges = np.flatnonzero(np.diff(pairs, prepend=-1))
            counts[pairs[edges]] += np.diff(edges, append=len(pairs)).astype(np.float32) / (1 if even else distance)
    square = counts.reshape(vocab, vocab)
    return square + square.T


def _pmi(counts: np.ndarray, shift: float) -> torch.Tensor:
    """Positive pointwise mutual information (V, V) less `shift`; contexts count by the power 0.75."""
    c = torch.from_numpy(counts)
    word = c.sum(1)
    context = word**0.75
    expected = word[:, None] * (context / context.sum())[None, :]
    pmi = torch.log(c.clamp_min(1e-12) / expected.clamp_min(1e-12)) - shift
    return torch.where((c > 0) & (pmi > 0), pmi, 0.0)


def embeddings(counts: np.ndarray, hidden: int, shift: float, seed: int) -> torch.Tensor:
    """Rows (V, hidden) float32 of unit length on average; tokens never seen get small random ones."""
    torch.manual_seed(seed)
    pmi = _pmi(counts, shift)
    pmi = (pmi + pmi.T) / 2
    word = torch.from_numpy(counts).sum(1)
    u, s, _ = torch.svd_lowrank(pmi, q=hidden + 16, niter=4)
    rows = (u * s.sqrt())[:, :hidden]
    seen = word > word.sum() * 1e-9
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-6)
    mean = rows[seen].mean(0)
    rows = rows - 0.9 * mean  # the common direction says nothing about a word; a little of it stays as a constant input
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-6)
    # Dense random directions: no coordinate is special, as the norms that follow assume.
    turn = torch.linalg.qr(torch.randn(hidden, hidden)).Q
    rows = rows @ turn
    small = torch.randn(len(rows), hidden) / hidden**0.5
    return torch.where(seen[:, None], rows, 0.3 * small)


def vectors(counts: np.ndarray, width: int, seed: int) -> torch.Tensor:
    """Rows (V, width) float32 of unit length, 0 for tokens never seen: positive PMI, factorised."""
    torch.manual_seed(seed)
    u, s, _ = torch.svd_lowrank(_pmi(counts, 0.0), q=width + 16, niter=4)
    rows = (u * s.sqrt())[:, :width]
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-6)


def renewed(table: torch.Tensor, counted: torch.Tensor, seen: torch.Tensor, share: float = 0.5) -> torch.Tensor:
    """A finished model's embeddings (V, d), moved towards what was counted on other text.

    A ridge regression over frequent tokens says where in the model's own space the counted vectors (V, width) lie;
    each token is moved there by `share` of its length, which it keeps. Rare tokens are moved less, as their counts say
    little, and the 300 most frequent not at all: they are no words of a subject, and the model knows them.
    """
    often = seen > FREQUENT
    assert often.any()  # too little text to know where the counted vectors lie
    x, y = counted[often].double(), table[often].double()
    ridge = torch.eye(x.shape[1], dtype=x.dtype)
    told = counted.double() @ torch.linalg.solve(x.T @ x + ridge, x.T @ y)
    told = told - told[often].mean(0)
    told = told / told.norm(dim=1, keepdim=True).clamp_min(1e-9)
    trust = (seen / SURE).clamp(max=1).double()
    trust[seen < RARE] = 0
    trust[seen.argsort(descending=True)[:COMMON]] = 0
    length = table.norm(dim=1, keepdim=True).double()
    moved = table + share * trust[:, None] * length * told
    return (moved * (length / moved.norm(dim=1, keepdim=True).clamp_min(1e-9))).to(table.dtype)
