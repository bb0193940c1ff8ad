"""Groups of test rows that fail together, of a run folder: what `verdict/error_groups.py` finds in its records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from whichway.findings import ErrorGroup
from whichway.nouns import Standing
from whichway.report.rows import HALF, answering
from whichway.runs.results import row_facts
from whichway.runs.run import Run
from whichway.scoring import clusters
from whichway.verdict.error_groups import Failures, error_groups, parts_of
from whichway.verdict.stats import clusters as cluster_codes
from whichway.verdict.text_parts import text_parts

MOST_ROWS = 20_000  # of a larger test split every k-th row is looked at


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """An error group in words, with the numbers of its rows."""

    group: ErrorGroup
    title: str
    advice: str
    numbers: tuple[int, ...]  # 1-based places in the test split, failing rows first


ADVICE = {
    "prompt": "Prompt",
    "weights": "Fine-tuned weights",
    "labels": "Check the labels",
    "more rows": "More rows of this kind",
    "another way": "Another way",
}


def failure_groups(run: Run) -> list[FailureGroup]:
    """The groups in which the choice fails together, the clearest first; none where there is no choice."""
    rows, chosen = run.test, run.choice
    if chosen is None or chosen.score is None or not rows:
        return []
    step = -(-len(rows) // MOST_ROWS)
    places = list(range(0, len(rows), step))
    if step > 1:
        rows = tuple(rows[k] for k in places)
    right = {s.way: _right(run, s, rows) for s in answering(run) if s.status == "ok"}
    if chosen.way not in right:
        return []
    facts = row_facts(rows, run.plan_data, None)
    doubts = {d.example for d in run.verdict.doubtful.rows} if run.verdict.doubtful else set()
    own = clusters(rows)
    failures = Failures(
        failing=~right[chosen.way],
        targets=facts.targets,
        answers=tuple(_answer(run, chosen, row.id) for row in rows) if facts.targets else (),
        right_by={way: mask for way, mask in right.items() if way not in (chosen.way, "base_majority")},
        doubted=np.array([row.id in doubts for row in rows], dtype=bool),
        groups=None if own is None else cluster_codes(len(rows), own),
    )
    codes = [np.asarray(each)[places] for each in run.clusters["codes"]] if run.clusters else None
    parts = [*parts_of(facts), *text_parts([row.text for row in rows], codes)]
    kinds = {s.way: s.kind for s in run.verdict.standings}
    return [
        FailureGroup(group, title(group), ADVICE[group.help], tuple(places[k] + 1 for k in group.members))
        for group in error_groups(failures, parts, kinds)
    ]


def title(group: ErrorGroup) -> str:
    """The group in a few words."""
    if group.by == "confusion":
        return f"“{group.value}” answered as “{group.answer}”"
    first = _property(group.by, group.name, group.value)
    return f"{first}; {_property(*group.also)}" if group.also else first


def _property(by: str, name: str, value: str) -> str:
    if by == "column":
        return f"{name} is “{value}”"
    return {
        "label": f"wanted “{value}”",
        "length": f"text of {value}",
        "form": f"text that {value}",
        "word": f"text with any of: {value}" if ", " in value else f"text with “{value}”",
        "cluster": f"texts like: {value}",
    }[by]


def _right(run: Run, way: Standing, rows: Any) -> Any:
    """(n,) whether a way is right on each row, by the mean over its seeds."""
    means = []
    for row in rows:
        points = [record.points for record in run.answers(way, row.id)]
        means.append(sum(points) / len(points) if points else 0.0)
    return np.array(means) >= HALF


def _answer(run: Run, way: Standing, example: str) -> str:
    """A way's most frequent answer to a row, among wrong ones where the row fails."""
    records = run.answers(way, example)
    names = {label.casefold(): label for label in run.plan.labels}
    wrong = [record for record in records if record.points < HALF] or records
    texts = Counter(" ".join(record.text.split()).casefold() for record in wrong)
    return names.get(texts.most_common(1)[0][0], "") if texts else ""
