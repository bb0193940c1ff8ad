"""Keys of many millions of answers and records in little memory: numbered once, and sets of the numbers.

A set of strings takes about 130 bytes for each key. Here a key is known by a digest of 16 bytes, which stands in a
table that doubles as it fills: about 30 bytes for each. A set of numbered keys takes a bit for each number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

FIRST = 1 << 10  # slots of a table at its start
FULL = 0.6  # share of the slots that are taken before there are twice as many
BLOCK = 1 << 17  # keys that are moved at a time


class KeyIndex:
    """Numbers keys 0, 1, 2, ... in the order in which they come; the same key has the same number."""

    def __init__(self) -> None:
        self._digests = np.empty((FIRST, 2), dtype=np.uint64)  # by number
        self._slots = np.full(FIRST, -1, dtype=np.int32)  # where a digest says that its number is, or after it
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, keys: Collection[str]) -> IntArray:
        """The number of each key; −1 for one that was not added."""
        return self._find(_digests(keys))

    def add(self, keys: Collection[str]) -> IntArray:
        """The number of each key; new ones are given the next numbers, equal ones one."""
        digests = _digests(keys)
        numbers = self._find(digests)
        if (numbers >= 0).all():
            return numbers
        known = zip(keys, numbers.tolist(), strict=True)
        fresh = {key: place for place, (key, number) in enumerate(known) if number < 0}
        places = np.fromiter(fresh.values(), dtype=np.int64, count=len(fresh))  # of equal ones, the last
        self._append(digests[places])
        return self._find(digests)

    def _find(self, digests: NDArray[np.uint64]) -> IntArray:
        numbers = np.full(len(digests), -1, dtype=np.int64)
        slots, last = self._first_slots(digests), len(self._slots) - 1
        left = np.arange(len(digests))
        while len(left):
            held = self._slots[slots[left]]
            same = (held >= 0) & (self._digests[held] == digests[left]).all(axis=1)
            numbers[left[same]] = held[same]
            left = left[(held >= 0) & ~same]
            slots[left] = (slots[left] + 1) & last
        return numbers

    def _append(self, digests: NDArray[np.uint64]) -> None:
        """Number digests that are not here yet."""
        count = self._count + len(digests)
        if count > len(self._digests):
            grown = np.empty((max(count, 2 * len(self._digests)), 2), dtype=np.uint64)
            grown[: self._count] = self._digests[: self._count]
            self._digests = grown
        self._digests[self._count : count] = digests
        before, self._count = self._count, count
        if count > FULL * len(self._slots):
            size = len(self._slots)
            while count > FULL * size:
                size *= 2
            self._slots, before = np.full(size, -1, dtype=np.int32), 0
        for start in range(before, count, BLOCK):
            self._place(start, min(count, start + BLOCK))

    def _place(self, start: int, end: int) -> None:
        """Give the digests of some numbers their slots."""
        numbers = np.arange(start, end, dtype=np.int32)
        slots, last = self._first_slots(self._digests[start:end]), len(self._slots) - 1
        left = np.arange(len(numbers))
        while len(left):
            free = left[self._slots[slots[left]] < 0]
            self._slots[slots[free]] = numbers[free]  # of several at one slot the last stays
            left = left[self._slots[slots[left]] != numbers[left]]
            slots[left] = (slots[left] + 1) & last

    def _first_slots(self, digests: NDArray[np.uint64]) -> IntArray:
        return (digests[:, 0] & np.uint64(len(self._slots) - 1)).astype(np.int64)


class KeySet:
    """Some of the keys of an index.

    Args:
        index: that numbers them.
    """

    def __init__(self, index: KeyIndex) -> None:
        self._index = index
        self._bits = np.zeros(FIRST, dtype=np.uint8)

    def __contains__(self, key: str) -> bool:
        return bool(self.has(self._index.find([key]))[0])

    def has(self, numbers: IntArray) -> BoolArray:
        """Whether each number is in the set; −1 is in none."""
        byte = numbers >> 3
        known = (numbers >= 0) & (byte < len(self._bits))
        bits = self._bits[np.where(known, byte, 0)] >> (numbers & 7).astype(np.uint8)
        return np.asarray(known & ((bits & 1) > 0), dtype=np.bool_)

    def missing(self, keys: Collection[str]) -> list[str]:
        """The keys that are not in the set, in their order."""
        here = self.has(self._index.find(keys))
        return [key for key, known in zip(keys, here.tolist(), strict=True) if not known]

    def add(self, numbers: IntArray) -> None:
        """Put numbers of the index into the set."""
        if len(numbers):
            self._reach(int(numbers.max()) // 8 + 1)
            np.bitwise_or.at(self._bits, numbers >> 3, np.uint8(1) << (numbers & 7).astype(np.uint8))

    def update(self, keys: Iterable[str]) -> None:
        """Put keys into the set."""
        part: Sequence[str] = tuple(keys)
        self.add(self._index.add(part))

    def take_over(self, other: KeySet) -> None:
        """Put all of another set of the same index into this one."""
        self._reach(len(other._bits))
        self._bits[: len(other._bits)] |= other._bits

    def _reach(self, size: int) -> None:
        if size > len(self._bits):
            grown = np.zeros(max(size, 2 * len(self._bits)), dtype=np.uint8)
            grown[: len(self._bits)] = self._bits
            self._bits = grown


def _digests(keys: Collection[str]) -> NDArray[np.uint64]:
    """(n, 2) what each key is known by."""
    whole = b"".join([hashlib.blake2b(key.encode(), digest_size=16).digest() for key in keys])
    return np.frombuffer(whole, dtype=np.uint64).reshape(-1, 2) if whole else np.empty((0, 2), dtype=np.uint64)
