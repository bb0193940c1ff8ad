"""Numbered keys: the same as a dictionary and sets of strings, in little memory."""

from __future__ import annotations

import random

import numpy as np
import pytest

from whichway.nouns import digest
from whichway.runs import key_index
from whichway.runs.key_index import KeyIndex, KeySet


def bytes_of(*arrays: np.ndarray) -> int:
    return sum(array.nbytes for array in arrays)


@pytest.mark.parametrize("crowded", [False, True])
def test_keys_have_the_numbers_of_a_dictionary(crowded: bool, monkeypatch: pytest.MonkeyPatch):
    if crowded:  # all begin at one of three slots
        own = key_index._digests

        def alike(keys):
            digests = own(keys).copy()
            digests[:, 0] %= 3
            return digests

        monkeypatch.setattr(key_index, "_digests", alike)
    rng, index, wanted = random.Random(3), KeyIndex(), {}
    for _ in range(60):
        keys = [f"key {rng.randrange(900)}" for _ in range(rng.randrange(80))]
        assert index.find(keys).tolist() == [wanted.get(key, -1) for key in keys]
        for key in keys:
            wanted.setdefault(key, len(wanted))
        assert index.add(keys).tolist() == [wanted[key] for key in keys]
        assert len(index) == len(wanted)
    assert index.find(wanted).tolist() == list(range(len(wanted)))
    assert index.find([]).tolist() == index.add([]).tolist() == []


def test_sets_of_keys_are_sets():
    rng, index = random.Random(4), KeyIndex()
    mine, other = KeySet(index), KeySet(index)
    wanted, others = set(), set()
    for _ in range(40):
        keys = [f"é/{rng.randrange(30_000)}/failed" for _ in range(300)]
        assert mine.missing(keys) == [key for key in keys if key not in wanted]
        mine.update(keys[:150])
        wanted |= set(keys[:150])
        other.add(index.add(keys[100:]))
        others |= set(keys[100:])
    assert all((f"é/{k}/failed" in mine) == (f"é/{k}/failed" in wanted) for k in range(0, 30_000, 97))
    mine.take_over(other)
    assert mine.missing(sorted(wanted | others)) == []
    assert other.missing(sorted(wanted)) == sorted(wanted - others)
    assert "never seen" not in mine


def test_a_key_takes_a_few_bytes(monkeypatch: pytest.MonkeyPatch):
    index = KeyIndex()
    monkeypatch.setattr(key_index, "BLOCK", 1000)  # a table that grows is filled part by part
    keys = [digest(k, 32) for k in range(50_000)]
    for start in range(0, len(keys), 64):
        index.add(keys[start : start + 64])
    assert index.find(keys).tolist() == list(range(len(keys)))
    sets = [KeySet(index) for _ in range(40)]
    for one in sets:
        one.update(keys)
    held = bytes_of(index._digests, index._slots, *(one._bits for one in sets))
    assert held / len(keys) < 16 * 2 + 4 / key_index.FULL * 2 + 40 * 2 / 8
