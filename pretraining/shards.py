"""Read the corpus, drop what overlaps with the evaluation sets, encode it, pack it so that no document sees another."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

GRAM = 13  # words; a document that shares so many in a row with an evaluation set is left out
WORD = re.compile(r"[a-z0-9]+")


def read_shard(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of one `.jsonl.zst` shard."""
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8"):
            yield json.loads(line)


def read_rows(corpus: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of all shards of a kind, "chat" or "text", in their order."""
    for path in sorted(corpus.glob(f"{name}-*.jsonl.zst")):
        yield from read_shard(path)


def row_text(row: dict[str, Any]) -> str:
    """All of a row's words: a document's text, or a chat's messages one after the other."""
    return row["text"] if "text" in row else "\n".join(m["content"] for m in row["messages"])


class Overlap:
    """Finds sequences of `GRAM` words that occur in the evaluation sets; counts what it found."""

    def __init__(self, evals: Path) -> None:
        """`evals`: a folder of JSON lines with `input` and `target`."""
        self.grams: set[tuple[str, ...]] = set()
        for path in sorted(evals.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                self.grams.update(_grams(json.loads(line)["input"]))
        self._first = {gram[:2] for gram in self.grams}
        self.seen = self.hit = 0

    def __call__(self, text: str) -> bool:
        """Whether the text shares a sequence with the evaluation sets."""
        self.seen += 1
        words = WORD.findall(text.lower())
        pairs = pairwise(words)
        starts = [i for i, pair in enumerate(pairs) if pair in self._first]
        found = any(tuple(words[i : i + GRAM]) in self.grams for i in starts)
        self.hit += found
        return found


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    words = WORD.findall(text.lower())
    for i in range(len(words) - GRAM + 1):
        yield tuple(words[i : i + GRAM])


@dataclass(frozen=True)
class Document:
    """Token ids and, for each, whether it is a target of full weight (an assistant's token)."""

    ids: np.ndarray  # (T,) uint16
    target: np.ndarray  # (T,) bool


def upto(documents: Iterable[Document], tokens: float) -> Iterator[Document]:
    """The first documents that have so many tokens together; the last one may go over."""
    taken = 0
    for doc in documents:
        yield doc
        taken += len(doc.ids)
        if taken >= tokens:
            return


def encode_text(tokenizer: Any, rows: Iterable[dict[str, Any]], size: int) -> Iterator[Document]:
    """Plain documents cut into pieces of at most `size` tokens; no token is an answer."""
    bos = tokenizer.bos_token_id
    for chunk in _chunks(rows, 200):
        texts = [" " + row["text"] for row in chunk]
        for encoding in tokenizer.backend_tokenizer.encode_batch(texts):
            ids = np.asarray([bos, *encoding.ids], dtype=np.uint16)
            for start in range(0, len(ids), size):
                piece = ids[start : start + size]
                yield Document(piece, np.zeros(len(piece), dtype=bool))


def encode_chat(tokenizer: Any, rows: Iterable[dict[str, Any]], context: int) -> Iterator[Document]:
    """Chat rows under the chat template; the assistant's tokens and its turn end are the targets."""
    special = {role: tokenizer.convert_tokens_to_ids(f"<|{role}|>") for role in ("system", "user", "assistant")}
    end, bos = tokenizer.eos_token_id, tokenizer.bos_token_id
    for chunk in _chunks(rows, 2000):
        messages = [m for row in chunk for m in row["messages"]]
        bodies = iter(tokenizer.backend_tokenizer.encode_batch([" " + m["content"].strip() for m in messages]))
        for row in chunk:
            ids, target = [bos], [False]
            for message in row["messages"]:
                body = next(bodies).ids
                ids += [special[message["role"]], *body, end]
                target += [False] + [message["role"] == "assistant"] * (len(body) + 1)
            if len(ids) <= context:
                yield Document(np.asarray(ids, dtype=np.uint16), np.asarray(target, dtype=bool))


def _chunks(rows: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk


@dataclass(frozen=True)
class Packed:
    """N sequences of T tokens: ids, targets, and the number of the document that each token belongs to (0: padding)."""

    ids: np.ndarray  # (N, T) uint16
    target: np.ndarray  # (N, T) bool
    document: np.ndarray  # (N, T) uint16


class Shelf:
    """Documents by their length, to take the longest that fits into what is left of a sequence."""

    def __init__(self, documents: Iterable[Document]) -> None:
        """Earlier documents are taken first."""
        self.by_length: dict[int, list[Document]] = {}
        for doc in documents:
            self.by_length.setdefault(len(doc.ids), []).append(doc)
        for docs in self.by_length.values():
            docs.reverse()

    def take(self, room: int) -> Document | None:
        """The longest one of at most `room` tokens."""
        for length in range(room, 0, -1):
            if docs := self.by_length.get(length):
                return docs.pop()
        return None

    def openers(self, room: int) -> Iterator[Document]:
        """One after the other until nothing fits; what is taken in between is gone."""
        while found := self.take(room):
            yield found

    def rest(self) -> list[Document]:
        """What was not taken."""
        return [doc for docs in self.by_length.values() for doc in docs]


def pack(documents: Iterable[Document], length: int, pad: int, shelf: Shelf) -> Packed:
    """Sequences of `length`, each opened by one of `documents` and filled from the shelf."""
    shelves = []
    for doc in documents:
        together = [doc]
        room = length - len(doc.ids)
        while found := shelf.take(room):
            together.append(found)
            room -= len(found.ids)
        shelves.append(together)
    ids = np.full((len(shelves), length), pad, dtype=np.uint16)
    target = np.zeros((len(shelves), length), dtype=bool)
    document = np.zeros((len(shelves), length), dtype=np.uint16)
    for n, docs in enumerate(shelves):
        at = 0
        for k, doc in enumerate(docs, start=1):
            size = len(doc.ids)
            ids[n, at : at + size], target[n, at : at + size], document[n, at : at + size] = doc.ids, doc.target, k
            at += size
    return Packed(ids, target, document)


def buckets(documents: Iterable[Document], lengths: tuple[int, ...], pad: int) -> dict[int, Packed]:
    """Documents by the shortest sequence that holds them, shorter ones in the gaps of the longer sequences.

    Attention costs by the sequence's length, not the context's.
    """
    left = list(documents)
    packed = {}
    for shorter, length in reversed(list(zip((0, *lengths), lengths, strict=False))):
        own: Iterable[Document] = [doc for doc in left if len(doc.ids) > shorter]
        shelf = Shelf(doc for doc in left if len(doc.ids) <= shorter)
        if not shorter:  # the shortest fill each other's gaps
            shelf = Shelf(own)
            own = shelf.openers(length)
        packed[length] = pack(own, length, pad, shelf)
        left = shelf.rest()
    return {length: pool for length, pool in packed.items() if len(pool.ids)}
