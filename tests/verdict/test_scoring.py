"""Scoring, once for the whole package: clusters, label codes, totals, the finalist that ships."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import whichway
from whichway.nouns import Example, Record, Reply
from whichway.scoring import arm, clusters, label_codes, loss_of, measured, paired, total
from whichway.tasks.metrics import accuracy, macro_f1
from whichway.verdict.compare import shipped_place

ROWS = [Example({"text": str(n)}, target) for n, target in enumerate(("a", "b", "a", "c"))]


def records(*answers: str | None) -> list[Record]:
    return [
        Record("c", row.id, "dev", 0, "unparsed" if text is None else "ok",
               None if text is None else float(text == row.target), text or "", "", 1, 0, 1, 0.1, 0.0)
        for row, text in zip(ROWS, answers, strict=True)
    ]  # fmt: skip


def metric(module):
    return module.Metric(module.Options(labels=("a", "b", "c", "d")))


def test_an_unread_answer_counts_nothing_and_has_no_label():
    some = records("a", None, "b", "d")
    assert [r.points for r in some] == [1.0, 0.0, 0.0, 0.0]
    codes = label_codes(ROWS, metric(macro_f1))
    assert codes.targets.tolist() == [0, 1, 0, 2]
    assert codes.answers(some).tolist() == [0, -1, 1, -2]


def test_totals_are_means_or_macro_f1():
    from sklearn.metrics import f1_score

    some = records("a", "a", "b", "c")
    assert total(metric(accuracy), ROWS, some) == 0.5
    gold, said = [row.target for row in ROWS], ["a", "a", "b", "c"]
    assert total(metric(macro_f1), ROWS, some) == pytest.approx(f1_score(gold, said, average="macro"))
    for kind in (accuracy, macro_f1):
        value, low, high = measured(ROWS, some, metric(kind), 0.95)
        assert value == pytest.approx(total(metric(kind), ROWS, some))
        assert low is None or low <= value <= (high or 1)


def test_rows_cluster_by_group_where_any_has_one():
    assert clusters(ROWS) is None
    grouped = [*ROWS[:2], Example({"text": "x"}, "a", "g"), Example({"text": "y"}, "b", "g")]
    assert clusters(grouped) == (ROWS[0].id, ROWS[1].id, "g", "g")
    assert arm("w", grouped, records("a", "b", "a", "c"), metric(accuracy)).groups == clusters(grouped)


def test_pairs_are_second_minus_first():
    _, found = paired(ROWS, records("a", "b", "b", "b"), records("a", "b", "a", "c"), metric(accuracy))
    assert found.value == 0.5


def test_the_loss_of_a_label_is_bounded():
    assert loss_of(Reply("a", scores={"a": 0.0, "b": 0.0}), "b") == pytest.approx(np.log(2))
    assert loss_of(Reply("a"), "b") == pytest.approx(-np.log(1e-6))


def test_the_first_best_finalist_ships_and_one_without_a_score_comes_last():
    assert shipped_place([0.4, 0.7, 0.7]) == 1
    assert shipped_place([None, 0.0]) == 1
    assert shipped_place([None, None]) == 0


def test_what_an_unread_answer_counts_stands_in_one_place():
    """A second spelling could come to disagree with the first; a standing's score is another thing."""
    root = Path(whichway.__file__).parent
    spelled = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in root.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\b(r|record|shown)\.score or 0", line)
    ]
    assert spelled == []
