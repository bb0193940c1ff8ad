"""The data of a run in numbers: rows, labels, lengths, columns, what was warned of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from whichway.runs.run import Run

MOST = 30  # labels that are listed


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How often a label is wanted."""

    label: str
    test: int
    share: float  # of the test rows
    dev: int


@dataclass(frozen=True, slots=True)
class DataCard:
    """What the rows are."""

    files: tuple[str, ...]  # without their folders
    columns: tuple[str, ...]  # of the input
    rows: tuple[tuple[str, int, str], ...]  # split, rows, digest
    labels: tuple[LabelCount, ...]  # the most frequent first; empty for free text
    more_labels: int  # that are not listed
    lengths: tuple[int, int, int, int]  # characters of a test row's text: shortest, median, 90 %, longest
    same_texts: int  # test rows whose text another test row has
    groups: int  # of rows that belong together, in test; 0: each row stands alone
    doubtful: int | None  # labels that are doubtful; None: not looked at, or nothing to say


def data_card(run: Run) -> DataCard:
    """The card of a run, from its rows and its plan."""
    test, plan = run.test, run.plan
    counts = Counter(row.target for row in test) if plan.labels else Counter()
    dev = Counter(row.target for row in run.rows if row.split == "dev")
    order = sorted({*counts, *(plan.labels if plan.labels else ())}, key=lambda label: (-counts[label], label))
    lengths = sorted(len(row.text) for row in test) or [0]
    texts = Counter(row.text for row in test)
    return DataCard(
        files=tuple(dict.fromkeys(_file(row.origin) for row in run.rows if row.origin)),
        columns=tuple(dict.fromkeys(name for row in test for name in row.input)),
        rows=tuple(
            (split, int(plan.rows[split]), plan.splits.get(split, ""))
            for split in ("train", "dev", "test")
            if split in plan.rows
        ),
        labels=tuple(
            LabelCount(label, counts[label], counts[label] / max(1, len(test)), dev[label]) for label in order[:MOST]
        ),
        more_labels=max(0, len(order) - MOST),
        lengths=(lengths[0], _quantile(lengths, 0.5), _quantile(lengths, 0.9), lengths[-1]),
        same_texts=sum(count for count in texts.values() if count > 1),
        groups=len({row.group for row in test if row.group}),
        doubtful=len(run.verdict.doubtful.rows) if run.verdict.doubtful else None,
    )


def _quantile(ordered: Sequence[int], share: float) -> int:
    return ordered[int(share * (len(ordered) - 1))]


def _file(origin: str) -> str:
    """The file that a row comes from, of "folder/tickets.csv:12"."""
    name = origin.replace("\\", "/").rsplit("/", 1)[-1]
    start, colon, line = name.rpartition(":")
    return start if colon and line.isdigit() else name
