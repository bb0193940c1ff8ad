"""Read the corpus and pack it into fixed-length sequences in which no document sees another."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard


def read_shard(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of one `.jsonl.zst` shard."""
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8"):
            yield json.loads(line)


@dataclass(frozen=True)
class Document:
    """Token ids and, for each, whether it is a target of full weight (an assistant's token, or plain text)."""

    ids: np.ndarray  # (T,) uint16
    target: np.ndarray  # (T,) bool


def encode_text(tokenizer: Any, rows: Iterable[dict[str, Any]], context: int) -> Iterator[Document]:
    """Plain documents cut into pieces of at most `context` tokens; every token is a target."""
    bos = tokenizer.bos_token_id
    for row in rows:
        ids = np.asarray([bos, *tokenizer.backend_tokenizer.encode(" " + row["text"]).ids], dtype=np.uint16)
        for start in range(0, len(ids), context):
            piece = ids[start : start + context]
            yield Document(piece, np.ones(len(piece), dtype=bool))


def encode_chat(tokenizer: Any, rows: Iterable[dict[str, Any]], context: int, skip: set[str]) -> Iterator[Document]:
    """Chat rows under the chat template; the assistant's tokens and its turn end are the targets."""
    special = {role: tokenizer.convert_tokens_to_ids(f"<|{role}|>") for role in ("system", "user", "assistant")}
    end, bos = tokenizer.eos_token_id, tokenizer.bos_token_id
    encode = tokenizer.backend_tokenizer.encode
    for row in rows:
        if row["task"] in skip:
            continue
        ids, target = [bos], [False]
        for message in row["messages"]:
            body = encode(" " + message["content"].strip()).ids
            ids += [special[message["role"]], *body, end]
            target += [False] + [message["role"] == "assistant"] * (len(body) + 1)
        if len(ids) <= context:
            yield Document(np.asarray(ids, dtype=np.uint16), np.asarray(target, dtype=bool))


@dataclass(frozen=True)
class Packed:
    """N sequences of T tokens: ids, targets, and the number of the document that each token belongs to (0: padding)."""

    ids: np.ndarray  # (N, T) uint16
    target: np.ndarray  # (N, T) bool
    document: np.ndarray  # (N, T) uint16


def pack(documents: Iterable[Document], context: int, pad: int, open_bins: int = 64) -> Packed:
    """Best fit into `open_bins` open sequences: little padding, and the order stays close to the input's."""
    bins: list[list[Document]] = []
    room: list[int] = []
    done: list[list[Document]] = []
    for doc in documents:
        fits = [i for i, left in enumerate(room) if left >= len(doc.ids)]
        if fits:
            best = min(fits, key=lambda i: room[i])
        else:
            if len(bins) >= open_bins:
                fullest = min(range(len(bins)), key=lambda i: room[i])
                done.append(bins.pop(fullest))
                room.pop(fullest)
            bins.append([])
            room.append(context)
            best = len(bins) - 1
        bins[best].append(doc)
        room[best] -= len(doc.ids)
    done += bins
    ids = np.full((len(done), context), pad, dtype=np.uint16)
    target = np.zeros((len(done), context), dtype=bool)
    document = np.zeros((len(done), context), dtype=np.uint16)
    for n, docs in enumerate(done):
        at = 0
        for k, doc in enumerate(docs, start=1):
            size = len(doc.ids)
            ids[n, at : at + size], target[n, at : at + size], document[n, at : at + size] = doc.ids, doc.target, k
            at += size
    return Packed(ids, target, document)
