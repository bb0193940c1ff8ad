"""Checks before anything is spent: what makes a contest senseless is refused, what makes it weaker is a warning."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from whichway.errors import DataError
from whichway.nouns import Example, Split, Task
from whichway.tasks import metrics

LEAST_ROWS = 12
LEAST: Mapping[Split, int] = {"train": 4, "dev": 2, "test": 4}
RARE = 5  # train rows
FEW_TEST_ROWS = 100
LONG_INPUT = 4000  # characters, about 1000 tokens
IMBALANCE = 0.8
LEAK = 0.8


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of a text column, without a tokenizer."""

    characters_median: float
    characters_p95: float
    characters_max: int
    words_median: float
    longest: str  # where the longest is


@dataclass(frozen=True, slots=True)
class Findings:
    """What `whichway check` prints about a task."""

    task: str
    ask: str
    metric: str
    rows: Mapping[Split, int]
    labels: Mapping[str, Mapping[Split, int]]  # rows per label and split; empty for free text
    lengths: Mapping[str, Lengths]  # "input", "target"
    notes: tuple[str, ...]  # what was decided for the user
    warnings: tuple[str, ...]


def findings(task: Task, *, notes: Sequence[str] = (), warnings: Sequence[str] = ()) -> Findings:
    """Counts, lengths and warnings of a task; `notes` and `warnings` are those from reading it."""
    splits = _splits(task)
    examples = [example for split_rows in splits.values() for example in split_rows]
    texts = [example.text for example in examples]
    counts = {split: Counter(e.target for e in split_rows) for split, split_rows in splits.items()}
    return Findings(
        task=task.name,
        ask=task.ask,
        metric=task.metric.name,
        rows={split: len(split_rows) for split, split_rows in splits.items()},
        labels={label: {split: count[label] for split, count in counts.items()} for label in task.labels},
        lengths={
            "input": _lengths(texts, examples),
            **({} if task.reference_free else {"target": _lengths([e.target for e in examples], examples)}),
        },
        notes=tuple(notes),
        warnings=(*warnings, *_warn(task, examples, texts)),
    )


def warn(task: Task) -> list[str]:
    """What weakens a contest on this task."""
    examples = [*task.train, *task.dev, *task.test]
    return _warn(task, examples, [e.text for e in examples])


def _warn(task: Task, examples: Sequence[Example], texts: Sequence[str]) -> list[str]:
    """The same, of rows whose texts are at hand."""
    warnings = [*_conflicts(examples, texts), *_rare(task), *_imbalance(task, examples), *_long(examples, texts)]
    return [*warnings, *([] if task.reference_free else _leak(examples, texts)), *_few(task)]


def of_split(task: Task) -> list[str]:
    """What weakens a contest on this very split; it need not hold where the rows are put into folds."""
    return [*_rare(task), *_few(task)]


def _few(task: Task) -> list[str]:
    """A small test split."""
    if len(task.test) >= FEW_TEST_ROWS:
        return []
    if task.reference_free:
        return [
            f"{len(task.test)} test inputs: a difference between ways shows only where nearly every input agrees. "
            "Repeats tell how answers vary, not how other inputs would fare."
        ]
    return [f"The test split has {len(task.test)} rows: only large differences can be shown."]


def refuse_small(rows: int, where: str) -> None:
    """Refuse a data set on which nothing can be decided.

    Raises:
        DataError: fewer than a dozen rows.
    """
    if rows < LEAST_ROWS:
        raise DataError(
            f"{where}: {rows} rows. At least {LEAST_ROWS} are needed to train, choose and test; "
            "a verdict usually needs a few hundred."
        )


def refuse_constant(targets: Iterable[str], where: str, column: str) -> None:
    """Refuse targets that are all the same.

    Raises:
        DataError: there is one class only.
    """
    distinct = set(targets)
    if len(distinct) == 1:
        raise DataError(
            f"{where}: one class only: every row has '{distinct.pop()[:60]}' in column '{column}'. "
            "Nothing can be learned; is it the right column?"
        )


def refuse_splits(task: Task, where: str, advice: str = "") -> None:
    """Refuse splits that are too small, or a train split with one class.

    Args:
        task: with its splits.
        where: the file, for the message.
        advice: what else may help, a sentence.

    Raises:
        DataError: a split has too few rows; says which.
    """
    for split, split_rows in _splits(task).items():
        if len(split_rows) < LEAST[split]:
            raise DataError(
                f"{where}: the {split} split has {len(split_rows)} rows, at least {LEAST[split]} are needed. "
                f"Add rows, or set other shares (split:); rows of one group are never divided.{advice}"
            )
    if task.labels:
        refuse_constant((e.target for e in task.train), f"{where}: train split", "target")
        refuse_constant((e.target for e in task.test), f"{where}: test split", "target")


def _conflicts(examples: Sequence[Example], texts: Sequence[str]) -> list[str]:
    """A warning when the same input has different targets."""
    first_of: dict[str, Example] = {}
    torn: dict[str, tuple[Example, Example]] = {}
    for text, example in zip(texts, examples, strict=True):
        first = first_of.setdefault(text, example)
        if first.target != example.target:
            torn.setdefault(text, (first, example))
    if not torn:
        return []
    first, second = next(torn[text] for text in first_of if text in torn)
    return [
        f"{len(torn)} inputs occur with different targets, first: "
        f"{first.origin} ({first.target[:30]}) and {second.origin} ({second.target[:30]})."
    ]


def _splits(task: Task) -> dict[Split, tuple[Example, ...]]:
    return {"train": task.train, "dev": task.dev, "test": task.test}


def _lengths(texts: Sequence[str], examples: Sequence[Example]) -> Lengths:
    lengths = [*map(len, texts)]
    sizes = sorted(lengths)
    return Lengths(
        characters_median=statistics.median(sizes),
        characters_p95=sizes[int(0.95 * (len(sizes) - 1))],
        characters_max=sizes[-1],
        words_median=statistics.median([len(text.split()) for text in texts]),
        longest=examples[lengths.index(sizes[-1])].origin,
    )


def _rare(task: Task) -> list[str]:
    """Labels that are hard to learn, or not measured."""
    warnings = []
    train, test = Counter(e.target for e in task.train), Counter(e.target for e in task.test)
    rare = [label for label in task.labels if train[label] < RARE]
    if rare:
        warnings.append(f"{len(rare)} labels have fewer than {RARE} train rows: {_shortened(rare)}.")
    unmeasured = [label for label in task.labels if not test[label]]
    if unmeasured:
        warnings.append(
            f"{len(unmeasured)} labels have no test row, so they are not measured: {_shortened(unmeasured)}."
        )
    return warnings


def _shortened(words: Sequence[str]) -> str:
    return ", ".join(words[:5]) + (", ..." if len(words) > 5 else "")


def _imbalance(task: Task, examples: Sequence[Example]) -> list[str]:
    if not task.labels:
        return []
    label, count = Counter(e.target for e in examples).most_common(1)[0]
    share = count / len(examples)
    if share < IMBALANCE:
        return []
    hint = " Consider metric: macro_f1." if metrics.load(task.metric).aggregate == "mean" else ""
    return [f"{share:.0%} of rows have the label '{label}', so always answering it is right that often.{hint}"]


def _leak(examples: Sequence[Example], texts: Sequence[str]) -> list[str]:
    """The target stands in the input of nearly all rows. In many it may: questions quote, topics are named."""
    folded = {e.target: e.target.casefold() for e in examples}
    inside = [
        e for e, text in zip(examples, texts, strict=True) if folded[e.target] in text.casefold() and _contains(text, e)
    ]
    if len(inside) <= LEAK * len(examples):
        return []
    return [
        f"The target stands inside the input of {len(inside) / len(examples):.0%} of rows (first: {inside[0].origin}). "
        "If that is not the task, it is a leak."
    ]


def _contains(text: str, example: Example) -> bool:
    """Whether the target stands in a text as words of its own; a letter or digit stands in many texts."""
    target = example.target
    return len(target) > 1 and re.search(rf"(?<!\w){re.escape(target)}(?!\w)", text, re.IGNORECASE) is not None


def _long(examples: Sequence[Example], texts: Sequence[str]) -> list[str]:
    long = [(len(text), place) for place, text in enumerate(texts) if len(text) > LONG_INPUT]
    if not long:
        return []
    size, place = max(long, key=lambda size_and_place: size_and_place[0])
    return [
        f"{len(long)} inputs are longer than {LONG_INPUT} characters, the longest has {size} "
        f"({examples[place].origin}). Check that they fit the model's context."
    ]
