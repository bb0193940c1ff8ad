"""Rows without a wanted answer: read, kept apart from labelled rows and their near-copies, planned and checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from files_kit import NAMES, ROWS, TEAMS, examine, lines, told

import whichway as ww
from whichway.app.data_report import data_report, secrets
from whichway.app.teachers import about_teachers
from whichway.errors import DataError, OptionError
from whichway.nouns import Example, MetricSpec, Task
from whichway.tasks.folds import cut, practice
from whichway.tasks.near_duplicates import grams, near_grams, skeleton
from whichway.tasks.subjective import subjective_word
from whichway.tasks.unlabelled import new_rows

CSV = lines("{},{}", header="text,team")
OTHERS = NAMES[7:] + NAMES[:7]
NEW = [f"my {a} stands beside a {b}, number {n}" for n, (a, b) in enumerate(zip(NAMES, OTHERS, strict=True))]


def pool(folder: Path, rows: list[str], name: str = "pool.csv") -> Path:
    path = folder / name
    path.write_text("text\n" + "\n".join(f'"{row}"' for row in rows) + "\n")
    return path


def test_rows_without_an_answer_stand_beside_the_splits(tmp_path: Path):
    found = examine(tmp_path, "t.csv", CSV, unlabelled=pool(tmp_path, NEW))
    assert [row.text for row in found.task.unlabelled] == NEW
    assert {row.target for row in found.task.unlabelled} == {""}
    assert found.task.train_dev_view().unlabelled == found.task.unlabelled
    assert f"unlabelled: {len(NEW)} rows of pool.csv." in told(found)
    without = examine(tmp_path, "t.csv", CSV)
    assert (without.task.train, without.task.test) == (found.task.train, found.task.test), "no labelled row moves"
    assert without.task.unlabelled == ()


def test_near_copies_of_labelled_rows_are_left_out_and_counted_by_split(tmp_path: Path):
    task = examine(tmp_path, "t.csv", CSV).task
    copies = [f"{side[0].text.upper()}!!" for side in (task.test, task.dev, task.train)]
    nearly = [task.test[1].text + "s", task.test[2].text.replace("is", "is  -")]
    found = examine(tmp_path, "t.csv", CSV, unlabelled=pool(tmp_path, [*copies, *nearly, *NEW, NEW[0] + "."]))
    assert [row.text for row in found.task.unlabelled] == NEW
    notes = told(found)
    assert "3 nearly copies of test rows" in notes
    assert "1 nearly copies of dev rows" in notes
    assert "1 nearly copies of train rows" in notes
    assert "1 copies of each other" in notes
    labelled = [grams(skeleton(e.text)) for e in (*task.train, *task.dev, *task.test)]
    assert not any(near_grams(grams(skeleton(row.text)), one) for row in found.task.unlabelled for one in labelled)


def test_rows_of_a_group_of_labelled_rows_are_left_out():
    train = (Example({"text": "the lamp is dark"}, "a", "ann"),)
    rows = [Example({"text": "where is my parcel"}, "", "ann"), Example({"text": "I was charged twice"}, "", "bob")]
    new, counts = new_rows(rows, {"train": train})
    assert [row.group for row in new] == ["bob"]
    assert counts == {"in groups of labelled rows": 1}


def test_the_data_file_itself_gives_its_rows_without_an_answer(tmp_path: Path):
    half = lines('"{}",{}', [*ROWS, *((text, "") for text in NEW)], "text,team")
    with pytest.raises(DataError, match=r"the target .* is empty"):
        examine(tmp_path, "t.csv", half)
    found = examine(tmp_path, "t.csv", half, unlabelled=tmp_path / "t.csv", target="team")
    assert [row.text for row in found.task.unlabelled] == NEW
    assert len(found.task.train) + len(found.task.dev) + len(found.task.test) == len(ROWS)


def test_answers_in_another_file_are_not_looked_at(tmp_path: Path):
    (tmp_path / "more.csv").write_text(lines('"{}",{}', [(text, TEAMS[0]) for text in NEW], "text,team"))
    found = examine(tmp_path, "t.csv", CSV, unlabelled=tmp_path / "more.csv")
    assert len(found.task.unlabelled) == len(NEW)
    assert all(row.target == "" for row in found.task.unlabelled)


def test_a_line_of_text_is_a_row(tmp_path: Path):
    (tmp_path / "more.txt").write_text("\n".join(NEW) + "\n\n")
    assert len(examine(tmp_path, "t.csv", CSV, unlabelled=tmp_path / "more.txt").task.unlabelled) == len(NEW)


@pytest.mark.parametrize(("content", "reason"), [("text\n", "no row|holds no|empty"), ("words\nx y z\n", "text")])
def test_a_file_without_rows_or_without_the_column_is_refused(content: str, reason: str, tmp_path: Path):
    (tmp_path / "more.csv").write_text(content)
    with pytest.raises(DataError, match=reason):
        examine(tmp_path, "t.csv", CSV, unlabelled=tmp_path / "more.csv")


def test_without_any_answer_nobody_teaches(tmp_path: Path):
    with pytest.raises(OptionError, match="unlabelled: no row has a wanted answer"):
        ww.check(str(pool(tmp_path, NEW, "open.csv")), unlabelled=str(pool(tmp_path, NEW)),
                 checks={"must_contain": ["x"]}, input="text")  # fmt: skip


def test_mostly_copies_is_a_warning(tmp_path: Path):
    found = examine(tmp_path, "t.csv", CSV, unlabelled=pool(tmp_path, [text for text, _ in ROWS] + NEW[:2]))
    assert f"{len(ROWS)} of {len(ROWS) + 2} unlabelled rows are left out" in told(found)


def test_the_plan_fixes_them_and_one_without_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(CSV)
    plain = ww.plan("t.csv", model="fake", ways=["prompt_plain"])
    assert plain.plan.unlabelled == {}
    assert not any("unlabelled" in warning for warning in plain.plan.warnings)
    more = ww.plan("t.csv", model="fake", ways=["prompt_plain"], unlabelled=str(pool(tmp_path, NEW)))
    assert more.plan.unlabelled["rows"] == len(NEW)
    assert f"unlabelled  {len(NEW)} rows" in str(more)
    assert "unlabelled rows are not used: both_distill labels them" in str(more)
    other = ww.plan("t.csv", model="fake", ways=["prompt_plain"], unlabelled=str(pool(tmp_path, NEW[1:])))
    assert other.plan.unlabelled["digest"] != more.plan.unlabelled["digest"]


def test_with_them_distillation_is_a_default_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(CSV)
    assert "both_distill" in ww.plan("t.csv", model="fake", unlabelled=str(pool(tmp_path, NEW))).plan.ways
    assert "both_distill" not in ww.plan("t.csv", model="fake").plan.ways


def test_personal_details_in_them_are_told(tmp_path: Path):
    more = pool(tmp_path, [*NEW, "write to jane.roe@example.com please"])
    task = examine(tmp_path, "t.csv", CSV, unlabelled=more, model="fake").task
    out = "\n".join(data_report(task, 0, probe=False).lines)
    assert "1 e-mail" in out
    assert "pool.csv" in out
    assert "jane.roe" not in out
    assert "none found" in "\n".join(secrets(examine(tmp_path, "t.csv", CSV).task.train))


def test_folds_keep_them_whole(tmp_path: Path):
    task = cut(examine(tmp_path, "t.csv", CSV, unlabelled=pool(tmp_path, NEW)).task, 3)
    assert all(practice(task, fold).unlabelled == task.unlabelled for fold in range(3))


def task_of(ask: str, labels: tuple[str, ...] = ("a", "b")) -> Task:
    row = (Example({"text": "x"}, labels[0]),)
    return Task("t", ask, row, row, row, MetricSpec("accuracy"), labels, unlabelled=row)


@pytest.mark.parametrize(
    ("ask", "labels", "word"),
    [
        ("Which team should handle this?", ("billing", "sales"), ""),
        ("What is the sentiment of this review?", ("a", "b"), "sentiment"),
        ("Is this tweet ironic?", ("yes", "no"), "ironic"),
        ("Is the reply impolite?", ("yes", "no"), "impolite"),
        ("Classify the text.", ("joy", "weather"), "joy"),
    ],
)
def test_a_subjective_task_is_told_where_a_teacher_takes_part(ask: str, labels: tuple[str, ...], word: str):
    task = task_of(ask, labels)
    assert subjective_word(task) == word
    warnings = " ".join(about_teachers(task, ["prompt_plain", "both_distill@small"]))
    assert ("arXiv 2310.07849" in warnings) == bool(word)
    assert "arXiv" not in " ".join(about_teachers(task, ["prompt_plain", "tune_head"]))


def test_a_task_file_names_them_beside_it(tmp_path: Path):
    (tmp_path / "t.csv").write_text(CSV)
    pool(tmp_path, NEW)
    (tmp_path / "task.yaml").write_text("data: t.csv\nunlabelled: pool.csv\n")
    assert len(ww.check(str(tmp_path / "task.yaml")).task.unlabelled) == len(NEW)
    assert json.dumps(sorted(row.origin for row in ww.check(str(tmp_path)).task.unlabelled))
