"""Whether a run is cross-fitted, and a cross-fitted run from the command line to the shipped folder."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

import whichway as ww
from whichway.app.folds import folded
from whichway.options import read_options

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
from cli_kit import QUICK, rows, tickets, whichway

WAYS = "base_majority,base_tfidf,prompt_plain,prompt_shots"
SHOTS = ("--set", "prompt_shots.kinds=knn", "--set", "prompt_shots.encoder=words")


def task_of(folder: Path, count: int = 72, **options) -> ww.Task:
    task = ww.check(tickets(folder, count)).task
    return task if not options else ww.check(tickets(folder, count), **options).task


def test_a_check_warns_of_the_split_only_where_a_run_would_use_it(tmp_path: Path):
    warnings = [ww.check(tickets(tmp_path), **options).findings.warnings for options in ({}, {"folds": 1})]
    assert [any("only large differences" in line for line in lines) for lines in warnings] == [False, True]


def test_rows_of_a_usual_size_are_cross_fitted_unasked(tmp_path: Path):
    assert len(folded(task_of(tmp_path), tmp_path / "r").folds) == 5
    assert folded(task_of(tmp_path, 40), tmp_path / "r").folds == ()
    assert folded(task_of(tmp_path, seeds=2), tmp_path / "r").folds == ()
    assert folded(task_of(tmp_path, curve=[8]), tmp_path / "r").folds == ()
    assert folded(task_of(tmp_path, folds=1), tmp_path / "r").folds == ()
    assert folded(task_of(tmp_path, split={"train": 0.6, "dev": 0.2, "test": 0.2}), tmp_path / "r").folds == ()
    assert len(folded(task_of(tmp_path, folds=3), tmp_path / "r").folds) == 3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"seeds": 2}, "folds take the place of seeds"),
        ({"curve": [8]}, "learning curves"),
        ({"split": {"train": 0.6, "dev": 0.2, "test": 0.2}}, "the split is yours"),
    ],
)
def test_what_cannot_be_cross_fitted_is_refused_by_name(options, reason: str, tmp_path: Path):
    with pytest.raises(ww.OptionError, match=f"--folds 5: {reason}.*or --folds 1"):
        folded(task_of(tmp_path, folds=5, **options), tmp_path / "r")


@pytest.mark.parametrize("said", [2, "many", 0, True])
def test_other_numbers_of_folds_are_refused(said):
    with pytest.raises(ww.OptionError, match="from 3 on"):
        read_options({"folds": said})


def test_inputs_without_answers_and_hand_made_tasks_keep_their_split(tmp_path: Path):
    task = task_of(tmp_path)
    by_hand = ww.Task("t", "?", task.train, task.dev, task.test, task.metric, task.labels)
    assert folded(by_hand, tmp_path / "r").folds == ()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("folded")
    data = tickets(folder, 90)
    said = ("--data", data, "--ways", WAYS, *SHOTS, *QUICK, "--no-probe", "--out", folder / "run")
    assert whichway("run", *said) == 0
    return folder


def test_the_verdict_the_page_and_the_json_say_so(place: Path, capsys):
    run = ww.read_run(place / "run")
    assert (run.plan.folds, run.verdict.folds, run.verdict.rows) == (5, 5, 90)
    page = (place / "run" / "report.html").read_text()
    assert "each of\n    the 90 rows was answered once" in page
    assert "<dt>Folds</dt><dd>5:" in page
    assert "<dt>Seeds</dt>" not in page
    data = tickets(place, 90)
    said = ("--data", data, "--ways", WAYS, *SHOTS, *QUICK, "--no-probe", "--out", place / "run")
    capsys.readouterr()
    assert whichway("run", *said, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["folds"], facts["ships"]) == (5, run.verdict.candidate)
    lines = [line for line in facts["candidates"] if line["way"] == "base_tfidf"]
    assert [line["seed"] for line in lines] == [0, 1, 2, 3, 4]
    assert sum(line["rows"] for line in lines) == 90


def test_the_plan_says_what_folds_do(place: Path):
    preview = ww.plan(tickets(place, 90), model="fake", ways=["prompt_plain"], probe=False)
    assert "folds       5: every row is test once" in str(preview)
    assert "seeds" not in str(preview)
    one = ww.plan(tickets(place, 90), model="fake", ways=["prompt_plain"], probe=False, folds=1)
    assert "folds" not in str(one)
    assert one.plan.folds == 1


def test_a_run_that_was_begun_with_one_split_goes_on_with_it(tmp_path: Path, capsys):
    said = ("--data", tickets(tmp_path), "--ways", "base_majority,prompt_plain", *QUICK, "--no-probe",
            "--out", tmp_path / "old")  # fmt: skip
    assert whichway("run", *said, "--folds", 1) == 0
    plan = json.loads((tmp_path / "old" / "plan.json").read_text())
    assert "folds" not in plan
    assert whichway("run", *said) == 0
    assert json.loads((tmp_path / "old" / "plan.json").read_text()) == plan
    capsys.readouterr()
    assert whichway("run", *said, "--folds", 5) == 2
    assert "folds: (absent) -> 5" in capsys.readouterr().err


def test_the_fold_models_answer_new_rows_as_they_did_in_the_contest(place: Path):
    """Parity: what was recorded of a fold's finalist is what predict says with it."""
    run = ww.read_run(place / "run")
    for way in ("base_tfidf", "prompt_shots"):
        for candidate in run.finalists(way)[:2]:
            own = [row for row in run.test if row.fold == candidate.seed]
            answers = run.predict([dict(row.input) for row in own], candidate=candidate.id)
            assert answers == [run.test_records[candidate.id, row.id][0].text for row in own]


def test_what_ships_is_made_of_all_rows_and_its_card_says_so(place: Path):
    run = ww.read_run(place / "run")
    best, line = run.best, run.choice
    assert best is not None
    assert line is not None
    assert line.refit == best.id
    out = run.ship(place / "winner", check=False)
    card = (out / "README.md").read_text()
    assert "on all 90 rows in 5 folds" in card
    assert run.refits[line.way]["how"] in card
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["candidate"] == best.id
    assert len(run.predict([text for text, _ in rows(6)])) == 6
    other = next(s.way for s in run.verdict.standings if not s.refit and s.way != "base_majority")
    fold = run.source(way=other).candidate
    assert fold.seed in range(5)
    with (run.ship(place / "other", way=other, check=False) / "README.md").open() as file:
        assert f"fold {fold.seed + 1} of 5" in file.read()


def test_the_gate_and_compare_read_a_cross_fitted_run(place: Path, capsys):
    data = tickets(place, 90)
    assert whichway("check", "--data", data, "--model", "fake", "--baseline", place / "run") in (0, 100)
    assert "test rows" in capsys.readouterr().out
    assert whichway("verdict", place / "run", "--margin", 0.05) == 0
    said = ("--data", data, "--ways", WAYS, *SHOTS, *QUICK, "--no-probe", "--folds", 1, "--out", place / "one")
    assert whichway("run", *said) == 0
    found = ww.compare(place / "run", place / "one", ways="base_tfidf")
    assert found.shared > 10


def test_the_rows_file_names_the_fold_of_each_row(place: Path):
    lines = [json.loads(line) for line in (place / "run" / "rows.jsonl").open()]
    assert {line["split"] for line in lines} == {"test"}
    assert {line["fold"] for line in lines} == set(range(5))
    with (place / "tickets.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(lines)
