"""Open-ended tasks on the command line: variants of a way, variety in the report, the example, honest exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_kit import QUICK, tickets, whichway

from whichway.app.configure import variants, ways

TASK = """
name: letters
ask: Write a letter.
inputs: [the old dog waits at the harbour wall, a grey cat sits on the warm roof, two green birds sing in the fig tree,
  one slow tortoise walks over the lawn, that small mouse lives under the old stairs]
checks: {words: {min: 6}, must_not_contain: zebra}
"""
Streams = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.yaml").write_text(TASK, encoding="utf-8")
    return tmp_path


def verdict() -> dict:
    return json.loads(Path("runs/letters/verdict.json").read_text(encoding="utf-8"))


def test_an_ask_inputs_and_checks_give_quality_beside_variety(capsys: Streams) -> None:
    assert whichway("run", "task.yaml", *QUICK) == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    found = verdict()
    assert {s["way"] for s in found["standings"]} == {f"prompt_plain~{t}" for t in ("0", "0.7", "1")}
    assert [v["answers"] for v in found["varieties"]] == [5, 5, 5]
    by_way = {v["way"]: v for v in found["varieties"]}
    cold, warm, hot = (by_way[f"prompt_plain~{t}"] for t in ("0", "0.7", "1"))
    assert cold["similarity"] == {"value": 1.0, "low": None, "high": None, "exact": True}
    assert hot["similarity"]["value"] < warm["similarity"]["value"] < 1
    assert {c["check"] for c in found["checks"]} == {"words ≥ 6", "without “zebra”"}
    assert "If you want sameness, take prompt_plain~0" in told
    assert "If you want variety, " in told
    assert "5 test inputs" in told
    page = Path("runs/letters/report.html").read_text(encoding="utf-8")
    for text in ('id="variety"', "Self-BLEU", "without “zebra”", "If you want sameness", "variety: 100 − similarity"):
        assert text in page


def test_a_second_run_pays_nothing_and_writes_equal_bytes() -> None:
    assert whichway("run", "task.yaml", *QUICK) == 0
    names = ("verdict.json", "report.html", "records.jsonl")
    before = {name: Path("runs/letters", name).read_bytes() for name in names}
    assert whichway("run", "task.yaml", *QUICK) == 0
    assert {name: Path("runs/letters", name).read_bytes() for name in names} == before
    assert whichway("verdict", "runs/letters") == 0


def test_check_says_how_few_inputs_are_split(capsys: Streams) -> None:
    assert whichway("check", "task.yaml") == 0
    told = capsys.readouterr().out
    assert "0 train, 0 dev, 5 test" in told
    assert "All 5 inputs are test" in told


def test_ways_that_need_wanted_answers_say_so(capsys: Streams) -> None:
    words = ["--ways", "base_majority,prompt_plain,tune_lora", "--repeats", "1"]
    assert whichway("run", "task.yaml", *QUICK, *words) == 0
    reasons = {s["way"]: s["reason"] for s in verdict()["standings"]}
    assert reasons["base_majority"] == reasons["tune_lora"] == "there are no wanted answers to learn from"
    assert reasons["prompt_plain"] == ""
    assert "varieties" not in verdict()


def test_exit_one_when_no_answer_could_be_read(capsys: Streams) -> None:
    assert whichway("run", "task.yaml", "--model", "fake:mute=1", "--no-progress") == 1
    told = capsys.readouterr().err
    assert "Every way failed" in told
    assert "prompt_plain~1: not one of its answers could be read" in told


def test_several_values_of_one_option_are_several_variants(capsys: Streams) -> None:
    words = ["--ways", "prompt_plain"]
    words += ["--set", "prompt_plain.temperature=0,0.5", "--set", "prompt_plain.max_tokens=8,16"]
    assert whichway("plan", "task.yaml", "--model", "fake", *words) == 0
    told = capsys.readouterr().out
    for name in ("prompt_plain~0,8", "prompt_plain~0,16", "prompt_plain~0.5,8", "prompt_plain~0.5,16"):
        assert name in told
    known = ways()
    assert list(variants("prompt_plain", {"layouts": ["user"]}, known)) == [("prompt_plain", {"layouts": ["user"]})]
    assert [name for name, _ in variants("prompt_plain~hot@small", {"temperature": [1, 2]}, known)] == [
        "prompt_plain~hot,1@small", "prompt_plain~hot,2@small",
    ]  # fmt: skip
    assert "prompt_plain~hot" in known
    assert "prompt_plian~hot" not in known


def test_variants_may_be_named_in_the_task_file() -> None:
    named = "ways: {prompt_plain: {}, prompt_plain~hot: {temperature: 1.3}}\nrepeats: 2\n"
    Path("task.yaml").write_text(TASK + named, encoding="utf-8")
    assert whichway("run", "task.yaml", *QUICK) == 0
    assert {v["way"] for v in verdict()["varieties"]} == {"prompt_plain", "prompt_plain~hot"}
    assert whichway("predict", "runs/letters", "task.yaml", "--way", "prompt_plain~cold") == 2


def test_a_data_file_with_targets_still_needs_no_checks(capsys: Streams) -> None:
    tickets(Path())
    assert whichway("check", "--data", "tickets.csv") == 0
    assert "target" in capsys.readouterr().out


def test_the_letters_run_as_a_demo_and_can_be_copied(capsys: Streams) -> None:
    assert whichway("demo", "--example", "letters", *QUICK) == 0
    assert Path("runs/demo-letters/report.html").exists()
    assert "Next: whichway init --example letters" in capsys.readouterr().out
    assert whichway("init", "--example", "letters") == 0
    assert whichway("check", "letters", "--model", "embedded") == 0
    told = capsys.readouterr().out
    assert "8 test" in told
    assert "The embedded model is far too small to write well" in told
    assert whichway("init", "--example", "letters") == 2
    assert whichway("demo", "--example", "lettres") == 2
    assert "Did you mean 'letters'" in capsys.readouterr().err


def test_a_judge_that_is_the_model_under_trial_is_refused(capsys: Streams) -> None:
    judge = "judge: {model: fake, rubric: Is it nice, itself: false}\n"
    Path("task.yaml").write_text(TASK + judge, encoding="utf-8")
    assert whichway("run", "task.yaml", *QUICK) == 2
    assert "models like their own answers" in capsys.readouterr().err
    assert not Path("runs/letters").exists()
    Path("task.yaml").write_text(TASK + judge.replace("false", "true"), encoding="utf-8")
    assert whichway("run", "task.yaml", *QUICK) == 0
    assert verdict()["judgement"]["repeats"] == 3
    page = Path("runs/letters/report.html").read_text(encoding="utf-8")
    assert "The judge" in page
    assert "Same level again" in page
