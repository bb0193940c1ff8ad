"""Folds by content hash: every row is test once, dev once, and trained on otherwise.

A row's fold is a function of its own point (see `split.py`): of its group, of the earliest row that it is nearly a copy
of, else of its content. So groups and near-duplicates stay in one fold, every label is spread over the folds in equal
shares in expectation, and new rows never move old ones.

Fold k's finalists answer fold k. Fold k+1 is their dev split and the rest is trained on: with five folds three fifths
train and a fifth is dev, as in a single split, and the dev rows of the folds are all different rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from whichway.errors import DataError
from whichway.nouns import Example, Task, TrainDevView
from whichway.tasks.split import TEMPLATE_ROWS, TEMPLATE_SHARE, links_of, points_of, set_aside

LEAST = 4  # rows of a fold: as a test split needs


def assign(examples: Sequence[Example], count: int) -> list[int | None]:
    """The fold of each example, 0..count−1; None for rows that are near to rows of two folds and would leak.

    Args:
        examples: in file order, without exact duplicates.
        count: K.
    """
    which, links = links_of(examples)
    own = points_of(examples, which, [[i] for i in range(len(links))])
    points = points_of(examples, which, links)
    parts = set_aside([int(p * count) for p in points], which, links)
    largest = max(Counter(p for p, q in zip(points, own, strict=True) if p != q).values(), default=0)
    if max(largest, parts.count(None)) > max(TEMPLATE_ROWS, TEMPLATE_SHARE * len(examples)):
        return [int(p * count) for p in own]  # written from a template: nearness means nothing
    return parts


def cut(task: Task, count: int) -> Task:
    """The task with its rows in folds as well.

    Args:
        task: split once.
        count: K, 3 or more.

    Raises:
        DataError: a fold would have too few rows, or what is trained on without it one label.
    """
    rows = free_rows(task)
    of = assign(rows, count)
    folds = tuple(tuple(e for e, k in zip(rows, of, strict=True) if k == fold) for fold in range(count))
    small = min(folds, key=len)
    if len(small) < LEAST:
        raise DataError(
            f"folds: {count} folds of {len(rows)} rows would leave one with {len(small)}. Give fewer folds (3 at "
            "least), or 1 for a single split; rows of one group are never divided."
        )
    folded = replace(task, folds=folds)
    if task.labels and any(len({e.target for e in practice(folded, k).train}) < 2 for k in range(count)):
        raise DataError(f"folds: in {count} folds some would train on one label only. Give 1 for a single split.")
    return folded


def free_rows(task: Task) -> tuple[Example, ...]:
    """The rows of a task in three splits that folds may test: not those that are there to be trained on only."""
    trained_only = set(map(id, task.extra_train))
    return tuple(e for e in (*task.train, *task.dev, *task.test) if id(e) not in trained_only)


def dev_fold(fold: int, count: int) -> int:
    """The fold of `count` that is dev where `fold` is test: the next one."""
    return (fold + 1) % count


def practice(task: Task, fold: int) -> TrainDevView:
    """What a way sees in a fold: the next fold as dev, the others to train on."""
    count = len(task.folds)
    dev = dev_fold(fold, count)
    train = tuple(e for k in range(count) if k not in (fold, dev) for e in task.folds[k])
    return replace(task.train_dev_view(), train=(*train, *task.extra_train), dev=task.folds[dev])


def all_rows(task: Task) -> tuple[Example, ...]:
    """Every row of every fold."""
    return tuple(e for fold in task.folds for e in fold)


def trained_rows(task: Task) -> tuple[Example, ...]:
    """What is made of all rows is trained on these: those of every fold, and those that are never tested."""
    return (*all_rows(task), *task.extra_train)
