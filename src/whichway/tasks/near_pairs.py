"""All pairs of texts whose sets of character grams are near, exactly, in time that grows with the number of texts.

Two sets of up to r grams with Jaccard similarity J differ in at most k = floor(2r(1-J)/(1+J)) grams. Grams are dealt
by their hash into groups, so many that one group has at most `WRONG` differences, and each group into `PARTS` parts:
then `PARTS - WRONG` parts of that group are equal in both sets, and so is a signature made of these (PartEnum; Arasu,
Ganti & Kaushik 2006, "Efficient exact set-similarity joins"). Texts are compared only where a signature agrees, first
by a bitmap of parities, of which each difference turns at most one bit, at last gram by gram. Two grams of one text
with one CRC-32 (one text in 100,000) count as one here; one difference more is allowed for them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

WRONG, PARTS = 2, 4
CELLS = 1 << 18  # grams that are held at once, more only for one long text
PAIRS = 1_000_000  # pairs whose bitmaps are compared at once
CROWD = 1000  # texts with one signature, above which each is compared with neighbours only: they are one template
NEIGHBOURS = 16
SLICE = 20_000  # pairs that are given before those that need no look are sorted out anew
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
_WORDS = 4  # of 64 bits, in a bitmap
Array = np.ndarray[Any, Any]


class Families:
    """Texts that are near, joined into families; a text with `enough` near ones is full.

    Pairs of full texts of one family need no look: who is in the family is known. A text that was compared with
    `misses` others which were just not near is tired, and two tired ones are not compared. So the rows of one template,
    all of them near to each other or just not, take time in proportion to their number.

    Args:
        count: of texts.
        enough: near ones of a text.
        misses: others that were just not near.
    """

    def __init__(self, count: int, enough: int, misses: int) -> None:
        self.enough, self.misses = enough, misses
        self.family = np.arange(count)
        self.full = np.zeros(count, dtype=bool)
        self.tired = np.zeros(count, dtype=bool)
        self._near = [0] * count
        self._missed = [0] * count
        self._members: dict[int, list[int]] = {}

    def join(self, first: int, second: int) -> None:
        """Two texts are near."""
        for text in (first, second):
            self._near[text] += 1
            if self._near[text] == self.enough:
                self.full[text] = True
        one, other = int(self.family[first]), int(self.family[second])
        if one == other:
            return
        small, large = sorted((one, other), key=lambda family: len(self.members(family)))
        moved = self.members(small)
        self.family[moved] = large
        self._members.setdefault(large, [large]).extend(moved)
        self._members.pop(small, None)

    def miss(self, first: int, second: int) -> None:
        """Two texts that had to be compared are not near."""
        for text in (first, second):
            self._missed[text] += 1
            if self._missed[text] == self.misses:
                self.tired[text] = True

    def members(self, family: int) -> list[int]:
        """The texts of a family, by its number."""
        return self._members.get(family, [family])

    def open(self, first: Array, second: Array) -> Array:
        """Which pairs need a look."""
        done = self.full[first] & self.full[second] & (self.family[first] == self.family[second])
        needed: Array = ~(done | (self.tired[first] & self.tired[second]))
        return needed

    def crowded(self) -> list[list[int]]:
        """The families in which a text is full."""
        return [self.members(family) for family in np.unique(self.family[self.full]).tolist()]


def candidates(
    texts: Sequence[str], similarity: float, gram: int, most: int, families: Families
) -> Iterator[tuple[int, int]]:
    """Pairs of positions, the smaller first, that can be near; each pair once.

    No near pair is left out, but among full texts of one family, among tired ones (see `Families`), and among more than
    `CROWD` texts with one signature.

    Args:
        texts: padded, so that every window of `gram` characters is a gram.
        similarity: least Jaccard similarity of near sets.
        gram: characters in a gram.
        most: grams of a set; of more, those with the smallest CRC-32 count.
        families: told of the near ones by the caller, while pairs are given.
    """
    sets = _Sets(texts, similarity, gram, most)
    seen: set[int] = set()
    for first, second in sets.agreeing(families):
        codes = np.unique(first * len(texts) + second)
        for start in range(0, len(codes), SLICE):
            some = codes[start : start + SLICE]
            for code in some[families.open(some // len(texts), some % len(texts))].tolist():
                if code not in seen:
                    seen.add(code)
                    yield divmod(code, len(texts))


class _Sets:
    """The signatures of texts' gram sets, by levels of size."""

    def __init__(self, texts: Sequence[str], similarity: float, gram: int, most: int) -> None:
        self.texts, self.gram, self.most = texts, gram, most
        self.share = (1 - similarity) / (1 + similarity)
        self.levels = _levels(similarity, most)
        self.level_of = np.zeros(most + 1, dtype=np.int64)
        for n, (low, high) in enumerate(self.levels):
            self.level_of[low : high + 1] = n
        self.sizes = np.zeros(len(texts), dtype=np.int64)
        self.bits = np.zeros((len(texts), _WORDS), dtype=np.uint64)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # texts of one size fill chunks of their own
        self.sums: dict[int, list[tuple[Array, Array]]] = {}  # level -> [positions, sums of hashes by part]
        with ThreadPoolExecutor(2) as pool:  # NumPy computes without the interpreter's lock
            for chunk_sums in pool.map(self._read, _chunks(order, [len(texts[i]) for i in order])):
                for level, places, sums in chunk_sums:
                    self.sums.setdefault(level, []).append((places, sums))

    def agreeing(self, families: Families) -> Iterator[tuple[Array, Array]]:
        """Pairs that agree in a signature, and whose bitmaps do not tell them apart."""
        for level in sorted(self.sums):
            where = np.concatenate([places for places, _ in self.sums[level]])
            sums = np.concatenate([part_sums.T for _, part_sums in self.sums.pop(level)], axis=1)  # [parts, texts]
            if len(where) < 2:
                continue
            for ranked, order in self._signatures(level, sums):
                texts = where[order]
                for first, second in _equal(ranked, texts, ~(families.full | families.tired)[texts]):
                    needed = families.open(first, second)
                    yield self._alike(first[needed], second[needed])

    def _differences(self, level: int) -> int:
        return math.floor(2 * self.levels[level][1] * self.share + 1e-9) + 1

    def _groups(self, level: int) -> int:
        """So many that one of them has at most `WRONG` differences."""
        return self._differences(level) // (WRONG + 1) + 1

    def _signatures(self, level: int, sums: Array) -> Iterator[tuple[Array, Array]]:
        """Each signature of every text, sorted, and the texts in that order."""

        def ranked(parts: tuple[int, ...]) -> tuple[Array, Array]:
            hashes = np.zeros(sums.shape[1], dtype=np.uint32)
            for n in parts:
                hashes = (hashes + sums[n]) * np.uint32(0x9E3779B1)
                hashes ^= hashes >> np.uint32(15)
            keys = (hashes.astype(np.uint64) << np.uint64(32)) | np.arange(len(hashes), dtype=np.uint64)
            keys.sort()  # faster than argsort
            return (keys >> np.uint64(32)).astype(np.uint32), (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)

        chosen = [
            tuple(group * PARTS + n for n in some)
            for group in range(self._groups(level))
            for some in itertools.combinations(range(PARTS), PARTS - WRONG)
        ]
        with ThreadPoolExecutor(2) as pool:
            for start in range(0, len(chosen), 8):  # some at a time, as each is as long as the data
                yield from pool.map(ranked, chosen[start : start + 8])

    def _alike(self, first: Array, second: Array) -> tuple[Array, Array]:
        a, b = self.sizes[first], self.sizes[second]
        small, large = np.minimum(a, b), np.maximum(a, b)
        fits = (small + 1) * (1 + self.share) >= large * (1 - self.share)  # sizes alone
        first, second = first[fits], second[fits]
        turned = np.bitwise_count(self.bits[first] ^ self.bits[second]).sum(axis=1, dtype=np.int64)
        room = np.floor((self.sizes[first] + self.sizes[second]) * self.share + 1e-9) + 1
        near = turned <= room
        first, second = first[near], second[near]
        return np.minimum(first, second), np.maximum(first, second)

    def _read(self, places: Array) -> list[tuple[int, Array, Array]]:
        """Take up the sets of some texts; gives their sums of hashes by level."""
        sums = self._grams([self.texts[i] for i in places.tolist()])  # [texts, windows]
        sums.sort(axis=1)
        distinct = np.ones(sums.shape, dtype=bool)
        np.not_equal(sums[:, 1:], sums[:, :-1], out=distinct[:, 1:])
        if sums.shape[1] > self.most:
            distinct &= np.cumsum(distinct, axis=1, dtype=np.int32) <= self.most
        owner = np.repeat(np.arange(len(places)), np.count_nonzero(distinct, axis=1))
        mixed = sums[distinct].astype(np.uint64)
        mixed *= _MIX[0]
        mixed ^= mixed >> np.uint64(31)
        mixed *= _MIX[1]
        mixed ^= mixed >> np.uint64(29)
        self.sizes[places] = np.bincount(owner, minlength=len(places))
        self._mark(places, owner, mixed)
        level = self.level_of[self.sizes[places]]
        return [
            (joined, places[level == n], self._sum(joined, len(places), owner, mixed)[level == n])
            for n in np.unique(level).tolist()
            for joined in (n, n + 1)  # a near set may be of the next size
            if joined < len(self.levels)
        ]

    def _mark(self, places: Array, owner: Array, mixed: Array) -> None:
        bit = (mixed & np.uint64(64 * _WORDS - 1)).astype(np.int64)
        odd = np.bincount(owner * 64 * _WORDS + bit, minlength=len(places) * 64 * _WORDS) & 1
        packed = np.packbits(odd.astype(np.uint8).reshape(len(places), -1), axis=1)
        self.bits[places] = packed.view(np.uint64)

    def _sum(self, level: int, texts: int, owner: Array, mixed: Array) -> Array:
        count = self._groups(level) * PARTS
        part = mixed >> np.uint64(8)
        part &= np.uint64(0xFFFFFFFF)
        part *= np.uint64(count)
        part >>= np.uint64(32)
        place = part.astype(np.int64)
        place += owner * count
        weight = (mixed >> np.uint64(33)).astype(np.float64)  # sums stay exact below 2**53
        sums = np.bincount(place, weights=weight, minlength=texts * count)
        whole = sums.astype(np.uint64) * _MIX[0]
        return (whole >> np.uint64(32)).astype(np.uint32).reshape(texts, count)

    def _grams(self, texts: Sequence[str]) -> Array:
        """The CRC-32 in UTF-8 of every gram, one row for each text; its first gram again where it has fewer."""
        lengths = np.array([len(text) for text in texts])
        wide = int(lengths.max())
        flat = "".join([text.ljust(wide, "\0") for text in texts])
        windows = wide - self.gram + 1
        if flat.isascii():
            codes_of_grams = _crc_ascii(np.frombuffer(flat.encode(), dtype=np.uint8), self.gram)
            codes_of_grams = np.append(codes_of_grams, np.zeros(self.gram - 1, dtype=np.uint32)).reshape(
                len(texts), wide
            )[:, :windows]
        else:
            codes = np.frombuffer(flat.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
            starts = np.arange(len(texts))[:, None] * wide + np.arange(windows)
            codes_of_grams = _crc(codes, starts.ravel(), self.gram).reshape(starts.shape)
        least = int(lengths.min()) - self.gram + 1
        beyond = np.arange(least, windows) >= (lengths - self.gram + 1)[:, None]
        codes_of_grams[:, least:] = np.where(beyond, codes_of_grams[:, :1], codes_of_grams[:, least:])
        return codes_of_grams


def _chunks(order: Sequence[int], lengths: Sequence[int]) -> Iterator[Array]:
    """Texts that are read at once, those of one length together: few enough that their windows fill `CELLS`."""
    start = 0
    for end, length in enumerate(lengths):
        if end > start and (end + 1 - start) * length > CELLS:
            yield np.array(order[start:end])
            start = end
    if start < len(order):
        yield np.array(order[start:])


def _levels(similarity: float, most: int) -> list[tuple[int, int]]:
    """Ranges of sizes; near sets lie in one or in neighbouring ones."""
    levels, low = [(0, 0)], 1
    while low <= most:
        high = min(most, math.floor(low / similarity + 1e-9))
        levels.append((low, high))
        low = high + 1
    return levels


def _table() -> Array:
    rows = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        rows = np.where(rows & 1, (rows >> 1) ^ np.uint32(0xEDB88320), rows >> 1)
    return rows


_CRC = _table()


@functools.cache
def _position_tables(gram: int) -> tuple[Array, ...]:
    """What the bytes of an ASCII gram, two and two, and the last one alone where they are odd, add to its CRC-32.

    A CRC is linear: it is the exclusive or of what each byte gives at its place, and of what zeros give.
    """
    singles = [_CRC.copy()]  # the last byte
    for _ in range(gram - 1):
        singles.append(_CRC[singles[-1] & 0xFF] ^ (singles[-1] >> 8))
    singles.reverse()
    low, high = np.arange(1 << 16) & 0xFF, np.arange(1 << 16) >> 8
    pairs = [singles[n][low] ^ singles[n + 1][high] for n in range(0, gram - 1, 2)]
    return (*pairs, *([singles[-1]] if gram % 2 else []))


def _crc_ascii(raw: Array, gram: int) -> Array:
    """CRC-32 of every window of an ASCII text."""
    count = len(raw) - gram + 1
    pairs = raw[:-1].astype(np.uint16) | (raw[1:].astype(np.uint16) << 8)
    state = np.full(count, _crc(np.zeros(gram, dtype=np.uint32), np.zeros(1, dtype=np.int64), gram)[0], dtype=np.uint32)
    for n, table in enumerate(_position_tables(gram)):
        state ^= np.take(table, (pairs if len(table) > 256 else raw)[2 * n : 2 * n + count], mode="wrap")
    return state


def _crc(codes: Array, starts: Array, gram: int) -> Array:
    """CRC-32 of the UTF-8 bytes of each gram."""
    state = np.full(len(starts), 0xFFFFFFFF, dtype=np.uint32)

    def update(byte: Array, where: Callable[[Array], Array] | None = None, code: Array | None = None) -> None:
        nonlocal state
        after = _CRC[(state ^ byte) & 0xFF] ^ (state >> 8)
        state = after if where is None or code is None else np.where(where(code), after, state)

    for n in range(gram):
        code = codes[starts + n]
        size = 1 + (code >= 0x80).astype(np.uint32) + (code >= 0x800) + (code >= 0x10000)
        lead = np.array([0, 0, 0xC0, 0xE0, 0xF0], dtype=np.uint32)[size]
        update(lead | (code >> (6 * (size - 1))))
        for more in (2, 3, 4):
            shift = 6 * np.maximum(size.astype(np.int64) - more, 0).astype(np.uint32)
            update(0x80 | ((code >> shift) & 0x3F), lambda _c, m=more, s=size: s >= m, code)  # type: ignore[misc]
    return state ^ np.uint32(0xFFFFFFFF)


def _equal(ranked: Array, where: Array, open_: Array) -> Iterator[tuple[Array, Array]]:
    """Pairs of positions `where` sorted signatures are equal, some at a time.

    Args:
        ranked: signatures, sorted.
        where: the text of each.
        open_: whether that text is not full; of full texts alone one with its neighbours is enough to join families.
    """
    edges = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1], [True]]))
    sizes = np.diff(edges)
    several = np.flatnonzero(sizes > 1)
    some_open = np.add.reduceat(open_, edges[:-1])[several] > 0
    yield from _paired(edges[several], sizes[several], where, some_open)


def _paired(starts: Array, sizes: Array, where: Array, some_open: Array) -> Iterator[tuple[Array, Array]]:
    """Pairs within runs of equal signatures; of runs of full texts, those of neighbours."""
    firsts: list[Array] = []
    seconds: list[Array] = []
    held = 0
    for size, all_pairs in np.unique(np.stack([sizes, some_open & (sizes <= CROWD)]), axis=1).T.tolist():
        begin = starts[(sizes == size) & ((some_open & (sizes <= CROWD)) == bool(all_pairs))]
        left, right = _pairs(size) if all_pairs else _neighbours(size)
        step = max(1, PAIRS // len(left))
        for some in range(0, len(begin), step):
            base = begin[some : some + step, None]
            firsts.append(where[(base + left).ravel()])
            seconds.append(where[(base + right).ravel()])
            held += len(firsts[-1])
            if held >= PAIRS:
                yield np.concatenate(firsts), np.concatenate(seconds)
                firsts, seconds, held = [], [], 0
    if firsts:
        yield np.concatenate(firsts), np.concatenate(seconds)


def _pairs(size: int) -> tuple[Array, Array]:
    left, right = np.triu_indices(size, 1)
    return left, right


def _neighbours(size: int) -> tuple[Array, Array]:
    left = np.repeat(np.arange(size), NEIGHBOURS)
    right = left + np.tile(np.arange(1, NEIGHBOURS + 1), size)
    inside = right < size
    return left[inside], right[inside]
