"""Grading by hand on the command line: a blind sheet, grades read back, wrong sheets refused by file and line."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import pytest
from cli_kit import QUICK, WORDS, whichway

TASK = """
name: letters
ask: Write a letter.
inputs: [{inputs}]
checks: {{words: {{min: 3}}}}
repeats: 2
judge: {{model: fake, rubric: "Is it nice?", levels: [bad, fair, good], itself: true, repeats: 1, pairs: false}}
"""
Streams = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a judge, 40 test inputs."""
    place = tmp_path_factory.mktemp("judged")
    texts = [" ".join(words) for words in itertools.islice(itertools.permutations(WORDS, 4), 0, 60 * 97, 97)]
    (place / "task.yaml").write_text(TASK.format(inputs=", ".join(texts)), encoding="utf-8")
    assert whichway("run", place / "task.yaml", *QUICK, "--no-probe", "--out", place / "run") == 0
    return place


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that a test may change."""
    import shutil

    shutil.copytree(finished / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return Path("run")


def lines_of(path: Path = Path("grades.csv")) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def write(lines: list[list[str]], path: Path = Path("grades.csv")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


def graded(run: Path, inputs: int = 25) -> list[list[str]]:
    """A sheet with a grade for every answer."""
    assert whichway("grade", run, "--inputs", inputs) == 0
    head, *lines = lines_of()
    return [head, *([*line[:3], ("bad", "2", "Good")[len(line[2]) % 3]] for line in lines)]


def answered(path: Path) -> dict:
    return json.loads((path / "verdict.json").read_text(encoding="utf-8"))


def test_a_sheet_is_blind_and_in_the_order_of_the_draw(run: Path, capsys: Streams) -> None:
    assert whichway("grade", run, "--inputs", 10) == 0
    said = capsys.readouterr().out
    assert "answers to 10 inputs -> grades.csv" in said
    assert "1 bad, 2 fair, 3 good" in said
    head, *lines = lines_of()
    assert head[:3] == ["id", "input", "answer"]
    assert head[3].startswith("grade: Is it nice? 1 = bad")
    assert "prompt_plain" not in Path("grades.csv").read_text(encoding="utf-8-sig")
    assert len({line[1] for line in lines}) == 10
    assert len({line[0] for line in lines}) == len(lines)
    assert all(line[3] == "" for line in lines)
    assert whichway("grade", run, "--inputs", 12, "--out", "more.csv") == 0
    assert lines_of(Path("more.csv"))[1 : len(lines) + 1] == lines  # the same inputs first
    assert whichway("grade", run) == 2
    assert "may hold grades" in capsys.readouterr().err


def test_grades_decide_and_are_kept(run: Path, capsys: Streams) -> None:
    before = answered(run)
    write(graded(run))
    assert whichway("verdict", run, "--grades", "grades.csv", "--json") == 0
    out = capsys.readouterr().out
    assert json.loads(out[out.index("{\n") :])["grading"]["rows"] == 40
    assert answered(run) == before  # nothing is written unasked
    assert whichway("verdict", run, "--grades", "grades.csv", "--write") == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "25 of" in said
    assert "were graded by hand" in said
    after = answered(run)
    assert after["grading"]["inputs"] == 25
    assert {s["way"]: s["score"] for s in after["standings"]} == {
        s["way"]: s["score"] for s in after["grading"]["scores"]
    }
    page = (run / "report.html").read_text(encoding="utf-8")
    for text in ("Grades by hand", "Judge too kind by", "Corrected", "Grade on"):
        assert text in page
    assert whichway("breakeven", run, "--ways", "prompt_plain~0,prompt_plain~1", "--json") == 0
    assert whichway("ship", run, "--out", "winner") == 0
    assert "people's grades on" in Path("winner/README.md").read_text(encoding="utf-8")
    capsys.readouterr()
    assert whichway("verdict", run) == 0
    assert "the same, byte for byte" in capsys.readouterr().out
    assert whichway("report", run) == 0


def test_a_rerun_keeps_the_grades(finished: Path, run: Path, capsys: Streams) -> None:
    write(graded(run))
    assert whichway("verdict", run, "--grades", "grades.csv", "--write") == 0
    before = (run / "verdict.json").read_bytes()
    capsys.readouterr()
    assert whichway("run", finished / "task.yaml", *QUICK, "--no-probe", "--out", run, "--json") == 0
    out = capsys.readouterr().out
    assert json.loads(out)["grading"]["inputs"] == 25
    assert (run / "verdict.json").read_bytes() == before


def test_a_later_sheet_holds_what_is_known(run: Path, capsys: Streams) -> None:
    write(graded(run, 20))
    assert whichway("verdict", run, "--grades", "grades.csv", "--write") == 0
    assert whichway("grade", run, "--inputs", 22, "--out", "more.csv") == 0
    assert "of them graded already" in capsys.readouterr().out
    grades = [line[3] for line in lines_of(Path("more.csv"))[1:]]
    known = len(lines_of()) - 1
    assert all(grades[:known])
    assert not any(grades[known:])
    head, *lines = lines_of(Path("more.csv"))
    write([head, *([*line[:3], line[3] or "2"] for line in lines)], Path("more.csv"))
    assert whichway("verdict", run, "--grades", "more.csv", "--write") == 0
    assert answered(run)["confidence"] == 0.975  # the second look
    assert whichway("verdict", run, "--grades", "more.csv", "--write") == 0
    assert answered(run)["confidence"] == 0.975  # the same grades are no new look


def test_a_spreadsheet_cannot_take_an_id_for_a_number(run: Path) -> None:
    """Saved with semicolons in an old encoding, as some spreadsheets do."""
    head, *lines = graded(run)
    assert all(line[0].startswith("a") for line in lines)
    with Path("saved.csv").open("w", encoding="cp1252", newline="") as file:
        csv.writer(file, delimiter=";").writerows([head, *lines])
    assert whichway("verdict", run, "--grades", "saved.csv") == 0


def test_whoever_grades_may_stop_after_any_input(run: Path, capsys: Streams) -> None:
    head, *lines = graded(run)
    inputs = list(dict.fromkeys(line[1] for line in lines))
    cut = [[*line[:3], line[3] if line[1] in inputs[:21] else ""] for line in lines]
    write([head, *cut])
    assert whichway("verdict", run, "--grades", "grades.csv") == 0
    assert "21 of" in " ".join(capsys.readouterr().out.replace("│", " ").split())
    part = next(line for line in cut if line[1] == inputs[21])
    if sum(line[1] == inputs[21] for line in cut) > 1:
        part[3] = "good"
        write([head, *cut])
        assert whichway("verdict", run, "--grades", "grades.csv") == 0
        assert "graded in part" in capsys.readouterr().out


def broken(lines: list[list[str]], kind: str) -> list[list[str]]:
    if kind == "word":
        lines[3][3] = "goood"
    elif kind == "number":
        lines[3][3] = "4"
    elif kind == "foreign":
        lines[3][0] = "0123456789"
    elif kind == "twice":
        lines[3][0] = lines[2][0]
    elif kind == "gap":
        lines[3][3] = ""
    elif kind == "missing":
        del lines[3]
    elif kind == "no column":
        lines[0][3] = "remarks"
    elif kind == "empty":
        lines[:] = [lines[0], *([*line[:3], ""] for line in lines[1:])]
    return lines


@pytest.mark.parametrize(("kind", "message"), [
    ("word", "grades.csv:4: 'goood' is no grade. Give a number from 1 to 3, or a level's word. Did you mean 'good'?"),
    ("number", "grades.csv:4: '4' is no grade"),
    ("foreign", "grades.csv:4: no answer of run has the id '0123456789'"),
    ("twice", "stands on grades.csv:3 already"),
    ("gap", "grades.csv:4: no grade, but inputs below it are graded"),
    ("missing", "is missing, but inputs below it are graded"),
    ("no column", "no column 'grade'"),
    ("empty", "fewer than two inputs are graded"),
])  # fmt: skip
def test_a_wrong_sheet_is_refused_by_file_and_line(run: Path, capsys: Streams, kind: str, message: str) -> None:
    write(broken(graded(run), kind))
    assert whichway("verdict", run, "--grades", "grades.csv", "--write") == 2
    assert message in capsys.readouterr().err
    assert not (run / "grades.jsonl").exists()


def test_python_grades_as_the_command_line_does(run: Path) -> None:
    import whichway as ww

    write(graded(run))
    finished = ww.read_run(run)
    before = finished.verdict
    decided = finished.grade("grades.csv", keep=False)
    assert decided.grading is not None
    assert finished.verdict == before
    assert answered(run).get("grading") is None
    assert finished.grade("grades.csv") == decided == finished.verdict == ww.read_run(run).verdict
    assert whichway("verdict", run, "--grades", "grades.csv", "--write") == 0
    assert ww.read_run(run).verdict == decided
    assert finished.grading_sheet("more.csv", inputs=30).exists()
    with pytest.raises(ww.UserError, match="may hold grades"):
        finished.grading_sheet("more.csv")


def test_a_run_without_a_judge_has_nothing_to_grade(run: Path, capsys: Streams) -> None:
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    del plan["judge"]
    (run / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    assert whichway("grade", run) == 2
    assert "has no judge" in capsys.readouterr().err
