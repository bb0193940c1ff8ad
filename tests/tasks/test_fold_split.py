"""Folds by content: stable when rows are added, whole groups and near-duplicates in one, labels spread over all."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from whichway.errors import DataError
from whichway.nouns import Example, MetricSpec, Task
from whichway.tasks.folds import all_rows, assign, cut, practice

WORDS = [a + b for a in ("ar", "bel", "cor", "dan", "el", "fur", "gon") for b in ("ta", "mis", "lo", "ver", "ka")]


def rows(count: int, seed: int = 0, group: int = 0) -> list[Example]:
    rng = random.Random(seed)
    return [
        Example({"text": " ".join(rng.sample(WORDS, 8))}, ("a", "b", "c")[k % 3], str(k // group) if group else None)
        for k in range(count)
    ]


def task_of(examples: list[Example]) -> Task:
    third = len(examples) // 3
    parts = examples[: 2 * third], examples[2 * third : 2 * third + third // 2], examples[2 * third + third // 2 :]
    return Task("t", "?", *map(tuple, parts), MetricSpec("accuracy"), ("a", "b", "c"), foldable=True)


def test_new_rows_move_no_row():
    first, more = rows(200), rows(100, seed=1)
    before, after = assign(first, 5), assign([*first, *more], 5)
    assert after[:200] == before
    shuffled = random.Random(3).sample(first, 200)
    assert dict(zip((e.id for e in shuffled), assign(shuffled, 5), strict=True)) == dict(
        zip((e.id for e in first), before, strict=True)
    )


def test_labels_and_rows_are_spread_over_the_folds():
    found = assign(rows(900), 5)
    assert all(130 < count < 230 for count in Counter(found).values())
    by_label = defaultdict(Counter)
    for k, fold in enumerate(found):
        by_label[k % 3][fold] += 1
    assert all(35 < count < 90 for counts in by_label.values() for count in counts.values())


def test_groups_and_near_copies_stay_in_one_fold():
    grouped = rows(200, group=8)
    folds = assign(grouped, 5)
    places = defaultdict(set)
    for example, fold in zip(grouped, folds, strict=True):
        places[example.group].add(fold)
    assert all(len(found) == 1 for found in places.values())
    base = rows(60)
    copies = [replace(e, input={"text": e.input["text"] + "!"}, target="b") for e in base]
    found = assign([*base, *copies], 5)
    assert found[:60] == found[60:]


def test_in_each_fold_the_next_one_is_dev_and_nothing_is_seen_twice():
    task = cut(task_of(rows(150)), 5)
    assert len(all_rows(task)) == 150
    for k in range(5):
        seen = practice(task, k)
        assert seen.dev == task.folds[(k + 1) % 5]
        assert len(seen.train) + len(seen.dev) + len(task.folds[k]) == 150
        assert not {e.id for e in seen.train} & {e.id for e in (*seen.dev, *task.folds[k])}
    assert not hasattr(practice(task, 0), "test")


def test_too_few_rows_or_groups_are_refused():
    with pytest.raises(DataError, match="fewer folds"):
        cut(task_of(rows(30)), 10)
    with pytest.raises(DataError, match="rows of one group are never divided"):
        cut(task_of(rows(120, group=40)), 5)
