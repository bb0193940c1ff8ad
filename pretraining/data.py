"""What a stage's steps see: the corpus encoded, packed and counted once, then drawn as a function of the step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import episodes
import subjects
from embed import cooccurrence, embeddings, vectors
from recipes import NOVELS, SHARES, SUBJECTS, Recipe
from shards import Overlap, Packed, buckets, encode_chat, encode_text, read_rows, row_text, upto

Pool = dict[int, Packed]  # by length of the sequences


def prepare(
    corpus: Path, evals: Path, work: Path, recipe: Recipe, tokenizer: Any
) -> tuple[tuple[Pool, Pool, Pool], torch.Tensor, torch.Tensor]:
    """Encode and pack once, count embeddings; later starts read them back.

    Returns (text, chat, own), embeddings (V, counted), how often each token was counted (V,).
    """
    path, own = work / "pools.npz", work / "own.npz"
    if not path.exists():
        _prepare(path, corpus, evals, recipe, tokenizer)
    if not own.exists():
        _save(own, {"own": _own(corpus, evals, recipe, tokenizer)}, {})
    with np.load(path) as arrays, np.load(own) as more:
        pools = _read(arrays, "text", recipe), _read(arrays, "chat", recipe), _read(more, "own", recipe)
        return pools, torch.from_numpy(arrays["embeddings"]), torch.from_numpy(arrays["seen"])


def _read(arrays: Any, name: str, recipe: Recipe) -> Pool:
    return {
        n: Packed(*(arrays[f"{name}/{n}/{part}"] for part in ("ids", "target", "document")))
        for n in recipe.lengths
        if f"{name}/{n}/ids" in arrays
    }


def _save(path: Path, pools: dict[str, Pool], arrays: dict[str, Any]) -> None:
    for name, pool in pools.items():
        for n, packed in pool.items():
            arrays |= {f"{name}/{n}/{part}": getattr(packed, part) for part in ("ids", "target", "document")}
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    temporary.rename(path)


def _own(corpus: Path, evals: Path, recipe: Recipe, tokenizer: Any) -> Pool:
    """Our own rows, made of the corpus' labelled texts; what overlaps with the evaluation sets is left out."""
    overlap = Overlap(evals)
    sources = episodes.pools(read_rows(corpus, "chat"), overlap)
    made = [
        *episodes.learning(sources, recipe.learning, recipe.seed),
        *episodes.nearest(sources, recipe.nearest, recipe.seed),
        *episodes.formats(sources, recipe.formats, recipe.seed),
        *_subjects(corpus, overlap, recipe),
    ]
    order = np.random.default_rng(recipe.seed).permutation(len(made))
    documents = list(encode_chat(tokenizer, [made[i] for i in order], recipe.context))
    return buckets(documents, recipe.lengths, tokenizer.pad_token_id)


def _subjects(corpus: Path, overlap: Overlap, recipe: Recipe) -> Iterator[dict[str, Any]]:
    if recipe.subjects:
        rows = (row for row in read_rows(corpus, "text") if row["source"] not in NOVELS)
        found = subjects.sections(rows, overlap)
        yield from subjects.tasks(found, SUBJECTS, recipe.subjects, recipe.seed)


def _prepare(path: Path, corpus: Path, evals: Path, recipe: Recipe, tokenizer: Any) -> None:
    overlap = Overlap(evals)
    pad = tokenizer.pad_token_id
    chat = list(
        upto(encode_chat(tokenizer, _rows(corpus, "chat", recipe, overlap), recipe.context), recipe.chat_tokens)
    )
    order = np.random.default_rng(recipe.seed).permutation(len(chat))
    plain = list(upto(encode_text(tokenizer, _rows(corpus, "text", recipe, overlap), recipe.text_size), recipe.counted))
    text = list(upto(plain, recipe.text_tokens))
    counted = [doc.ids for doc in (*chat, *plain)]
    facts = {"documents": overlap.seen, "dropped_for_overlap": overlap.hit, "grams": len(overlap.grams)}
    facts |= {"chat_tokens": sum(len(d.ids) for d in chat), "counted_tokens": sum(map(len, counted))}
    (path.parent / "corpus.json").write_text(json.dumps(facts))
    arrays = _counted([doc.ids for doc in text] if recipe.renewed else counted, len(tokenizer), recipe)
    pools = {"text": buckets(text, recipe.lengths, pad), "chat": buckets([chat[i] for i in order], recipe.lengths, pad)}
    _save(path, pools, arrays)


def _counted(documents: Sequence[np.ndarray], vocab: int, recipe: Recipe) -> dict[str, np.ndarray]:
    """Embeddings counted on these documents' tokens, and how often each token occurs in them."""
    ids = np.concatenate(documents)
    seen = np.bincount(ids, minlength=vocab)
    counts = cooccurrence(ids, vocab, recipe.window, even=recipe.renewed > 0)
    if recipe.renewed:
        found = vectors(counts, recipe.renewed, recipe.seed)
    else:
        found = embeddings(counts, recipe.hidden, recipe.shift, recipe.seed)
    return {"embeddings": found.numpy(), "seen": seen}


def _rows(corpus: Path, name: str, recipe: Recipe, overlap: Overlap) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng((recipe.seed, len(name)))
    for row in read_rows(corpus, name):
        if name == "text" and recipe.text_sources and row["source"] not in recipe.text_sources:
            continue
        if rng.random() < SHARES.get(row.get("task", ""), 1.0) and not overlap(row_text(row)):
            yield row


def batches(pool: Pool, recipe: Recipe, part: int) -> list[tuple[int, np.ndarray]]:
    """All steps' worth of a pool in a drawn order: the length of the sequences, and which of them."""
    rng = np.random.default_rng((recipe.seed, part))
    found = []
    for length, packed in pool.items():
        size = recipe.batch // length
        order = rng.permutation(len(packed.ids))
        found += [(length, order[i : i + size]) for i in range(0, len(order) - size + 1, size)]
    return [found[i] for i in rng.permutation(len(found))]


class Data:
    """What each step sees, a pure function of the step: the order survives a restart."""

    def __init__(self, recipe: Recipe, pools: tuple[Pool, Pool, Pool]) -> None:
        """Draw the order of each pool: text, chat, own."""
        self.recipe, self.pools = recipe, pools
        self.order = tuple(batches(pool, recipe, part) for part, pool in enumerate(self.pools))

    def at(self, step: int) -> Packed:
        """The sequences of one step."""
        rng = np.random.default_rng((self.recipe.seed, step))
        text = 0.0 if self.recipe.decaying(step) else self.recipe.text_share
        part = int(rng.choice(3, p=[text, 1 - text - self.recipe.own_share, self.recipe.own_share]))
        length, rows = self.order[part][step % len(self.order[part])]
        packed = self.pools[part][length]
        return Packed(packed.ids[rows], packed.target[rows], packed.document[rows])


def tensors(packed: Packed, recipe: Recipe, step: int) -> tuple[torch.Tensor, ...]:
    """Model inputs of one step.

    Returns ids (B, T), additive block-diagonal causal mask (B, 1, T, T), positions (B, T), the places trained on (K,)
    in the flattened batch, their next tokens (K,) and weights (K,). K is fixed for each length so that the compiled
    graph is; answers come first, other tokens are drawn for the places that are left.
    """
    ids = torch.from_numpy(packed.ids.astype(np.int64))
    target, document = torch.from_numpy(packed.target), torch.from_numpy(packed.document.astype(np.int64))
    batch, length = ids.shape
    same = document[:, :, None] == document[:, None, :]
    seen = (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
    mask = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill_(~seen, -1e9)
    first = torch.zeros_like(document, dtype=torch.bool)
    first[:, 0] = True
    first[:, 1:] = document[:, 1:] != document[:, :-1]
    index = torch.arange(length).expand_as(ids)
    positions = index - torch.where(first, index, 0).cummax(dim=1).values
    usable = ((document > 0) & ~first)[:, 1:]
    rng = np.random.default_rng((recipe.seed, step, 1))
    urgency = torch.from_numpy(rng.random((batch, length - 1))) + target[:, 1:] + 2.0 * usable
    room = int(batch * length * recipe.head_share)
    chosen = urgency.flatten().topk(room).indices.sort().values
    rows, columns = chosen // (length - 1), chosen % (length - 1)
    places, labels = rows * length + columns, ids[rows, columns + 1]
    answer = (recipe.answer_tokens / run_lengths(target)).clamp(recipe.prompt_weight, 1.0)
    weights = torch.where(target, answer, recipe.prompt_weight)[rows, columns + 1] * usable[rows, columns]
    return ids, mask, positions, places, labels, weights


def run_lengths(target: torch.Tensor) -> torch.Tensor:
    """For each token of an answer how many tokens that answer has, 1 elsewhere; (B, T)."""
    change = torch.ones_like(target)
    change[:, 1:] = target[:, 1:] != target[:, :-1]
    run = change.flatten().cumsum(0) - 1  # each row begins a run
    lengths = torch.bincount(run)[run].reshape(target.shape)
    return torch.where(target, lengths, 1)
