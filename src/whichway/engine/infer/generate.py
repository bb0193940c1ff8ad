"""Writing answers: a batch of rows that refills itself, so that slow rows do not drag empty places along.

Every row holds a place in one cache of keys and values. When a row ends, the last one moves into its place and waiting
rows are read into the free places, a few at once. Rows are fed in order of length, so the cache is no wider than it
must be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from whichway.engine.model import forward, packing
from whichway.engine.model.prefix_attention import KeyValue
from whichway.nouns import Request, digest

_TOKENS = {"cpu": 1024, "cuda": 32768}  # read in one pass
_BLOCK = 128  # tokens of the vocabulary that are compared together
_REFILL = 4  # a place in so many must be free before rows are read into them


class Sampler:
    """Chooses a row's next token; its random numbers depend on the request alone, not on its batch."""

    def __init__(self, request: Request, ids: list[int]) -> None:
        self.temperature = request.decoding.temperature
        self.generator: torch.Generator | None = None
        if self.temperature > 0:
            seed = int(digest([ids, request.decoding, request.repeat], 15), 16)
            self.generator = torch.Generator().manual_seed(seed)

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is taken."""
        return self.generator is None

    def __call__(self, logits: Tensor) -> int:
        """A token drawn from logits `[V]`."""
        chances = (logits.float().cpu() / self.temperature).softmax(-1)
        return int(torch.multinomial(chances, 1, generator=self.generator))


@dataclass(slots=True, eq=False)
class GeneratedRow:
    """A row that is being answered."""

    ids: list[int]  # its prompt after the shared prefix
    room: int  # tokens it may get
    sample: Sampler
    written: list[int] = field(default_factory=list)
    seconds: float = 0.0


class ContinuousBatch:
    """Rows in their places, with their keys and values; `run` writes all of them to their ends."""

    def __init__(
        self,
        module: Any,
        device: torch.device,
        prefix: packing.PrefixCache,
        places: int,
        over: Callable[[list[int]], bool],
    ) -> None:
        """`places`: rows at once; `over`: whether what is written is a whole answer."""
        self.module, self.device, self.prefix, self.places, self.over = module, device, prefix, places, over
        self.rows: list[GeneratedRow] = []
        self.cache: list[KeyValue] = []  # per layer `[N, places, C, D]`

    def run(self, waiting: Sequence[GeneratedRow]) -> None:
        """Write until every row is over."""
        queue = sorted(waiting, key=lambda row: len(row.ids), reverse=True)
        self.width = max(len(row.ids) + row.room for row in queue)
        self.places = min(self.places, len(queue))
        while queue or self.rows:
            free = self.places - len(self.rows)
            if queue and (free * _REFILL >= self.places or not self.rows):
                self._fill(queue, min(free, len(queue)))
            if self.rows:
                self._timed(self.rows, self._step)

    def _fill(self, queue: list[GeneratedRow], count: int) -> None:
        """Read the next `count` rows, as many at once as a pass takes."""
        while count > 0:
            new = [queue.pop()]
            room = _TOKENS[self.device.type] - len(new[0].ids)
            while len(new) < count and len(queue[-1].ids) <= room:
                room -= len(queue[-1].ids)
                new.append(queue.pop())
            count -= len(new)
            self._timed(new, self._read)

    def _timed(self, rows: Sequence[GeneratedRow], work: Callable[[Sequence[GeneratedRow]], None]) -> None:
        """Charge each row its share of the time: by tokens when read, equally when written."""
        rows, start = list(rows), time.perf_counter()
        sizes = [len(row.ids) if not row.written else 1 for row in rows]
        work(rows)
        rate = (time.perf_counter() - start) / sum(sizes)
        for row, size in zip(rows, sizes, strict=True):
            row.seconds += rate * size

    def _read(self, rows: Sequence[GeneratedRow]) -> None:
        """Read prompts into free places, and write each row's first token."""
        lengths = [len(row.ids) for row in rows]
        layout = packing.pack_rows(
            lengths, len(self.prefix.ids), self.device, prefix=self.prefix.layers, keep=True,
            even=forward.even(self.module),
        )  # fmt: skip
        ids = torch.tensor([i for row in rows for i in row.ids], device=self.device)
        logits = forward.logits(self.module, ids, layout, torch.tensor(lengths, device=self.device).cumsum(0) - 1)
        self._store(layout, len(rows))
        self.rows += rows
        self._add(logits, rows)

    def _store(self, layout: packing.PackedRows, count: int) -> None:
        """Put the keys and values of `count` rows after those of the rows already here."""
        key_values, at = layout.key_values or {}, len(self.rows)
        if not self.cache:
            heads, _, depth = key_values[0][0].shape
            shape = (heads, self.places, self.width, depth)
            self.cache = [
                (key_values[n][0].new_zeros(shape), key_values[n][1].new_zeros(shape)) for n in sorted(key_values)
            ]
        for n, old in enumerate(self.cache):
            for into, new in zip(old, key_values.pop(n), strict=True):
                rows = layout.on(new.device).rows(new)  # [N, count, S, D]
                into[:, at : at + count, : rows.shape[2]] = rows

    def _step(self, rows: Sequence[GeneratedRow]) -> None:
        """Write one more token of every row."""
        lengths = torch.tensor([len(row.ids) + len(row.written) - 1 for row in rows], device=self.device)
        cache = [(k[:, : len(rows)], v[:, : len(rows)]) for k, v in self.cache]
        step = packing.DecodeStep(cache, lengths, len(self.prefix.ids), self.prefix.layers)
        ids = torch.tensor([row.written[-1] for row in rows], device=self.device)
        self._add(forward.logits(self.module, ids, step, torch.arange(len(rows), device=self.device)), rows)

    def _add(self, logits: Tensor, rows: Sequence[GeneratedRow]) -> None:
        """Take up each row's next token; rows that are over give up their places."""
        greedy: list[int] = likeliest(logits).tolist()
        for row, here, token in zip(rows, logits, greedy, strict=True):
            row.written.append(token if row.sample.plain else row.sample(here))
        done = {id(row) for row in rows if self._ended(row)}
        for place in reversed(range(len(self.rows))):  # from the end, so that no row moves that is over, too
            if id(self.rows[place]) in done:
                self._leave(place)

    def _ended(self, row: GeneratedRow) -> bool:
        """Whether a row needs no more tokens."""
        return len(row.written) >= row.room or self.over(row.written)

    def _leave(self, place: int) -> None:
        """The last row moves into this place."""
        last = self.rows.pop()
        if place == len(self.rows):
            return
        self.rows[place] = last
        for pair in self.cache:
            for t in pair:
                t[:, place] = t[:, len(self.rows)]


def likeliest(logits: Tensor) -> Tensor:
    """Index of the greatest of `[B, V]` in each row, the first of equals; bfloat16 is slow to be asked where it is.

    So the greatest of each block is found first, then the block, then the place in it.
    """
    rows, size = logits.shape
    if size % _BLOCK or logits.dtype != torch.bfloat16:
        return logits.max(-1).indices
    blocks = logits.view(rows, -1, _BLOCK)
    block = blocks.amax(-1).max(-1).indices
    place = blocks[torch.arange(rows, device=logits.device), block].max(-1).indices
    return block * _BLOCK + place
