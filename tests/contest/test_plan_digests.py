"""The digests of a plan's splits are those of the ids in lists, whatever is done to spare memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contest_kit import small_task

from whichway.contest.plan import _splits
from whichway.nouns import digest
from whichway.tasks.folds import cut, practice


@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize("count", [3, 5])
def test_of_folds(count: int, extra: int):
    task = cut(small_task(91, 30, 30), count)
    task = replace(task, extra_train=small_task(200, 10, 10).train[-extra:] if extra else ())
    seen = [practice(task, k) for k in range(count)]
    train = [[e.id for e in one.train] for one in seen]
    dev = [[e.id for e in one.dev] for one in seen]
    test = [[e.id for e in fold] for fold in task.folds]
    digests, rows = _splits(task)
    assert digests == {"train": digest(train), "dev": digest(dev), "test": digest(test)}
    means = {"train": round(sum(map(len, train)) / count), "dev": round(sum(map(len, dev)) / count)}
    assert rows == {**means, "test": sum(map(len, test))}
