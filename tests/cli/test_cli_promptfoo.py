"""promptfoo in and out, and the gate: whole commands on the fake model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from cli_kit import TEAMS, rows, tickets, whichway

from whichway.app.regression import check_regression
from whichway.tasks import from_flags

SMALL = ("--ways", "base_majority,prompt_plain", "--no-progress")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration over 72 rows."""
    monkeypatch.chdir(tmp_path)
    tests = [{"vars": {"text": text}, "assert": [{"type": "equals", "value": team}]} for text, team in rows()]
    prompt = f"Which team? One of: {', '.join(TEAMS)}.\n\n{{{{text}}}}"
    path = tmp_path / "promptfooconfig.yaml"
    path.write_text(yaml.safe_dump({"prompts": [prompt, "Team for:\n{{text}}"], "tests": tests}, sort_keys=False))
    return path


def test_run_check_and_lint_take_a_configuration(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert whichway("check", config) == 0
    assert "accuracy" in capsys.readouterr().out
    assert whichway("run", config, "--model", "fake", *SMALL, "--out", "run") == 0
    lines = Path("run/ways/prompt_plain/candidates.jsonl").read_text().splitlines()
    notes = {json.loads(line)["candidate"]["note"].split(",")[0] for line in lines}
    assert notes == {"your prompt 1", "your prompt 2"}
    capsys.readouterr()
    assert whichway("lint", config, "--ignore", "PL044") == 0
    assert whichway("lint", config, "--task", config, "--model", "fake") == 1
    assert "PL004" in capsys.readouterr().out


def test_a_winner_leaves_as_a_configuration_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--data", tickets(tmp_path), "--model", "fake", *SMALL, "--out", "run")
    assert whichway("run", *words) == 0
    assert whichway("ship", "run", "--way", "prompt_plain", "--format", "promptfoo", "--out", "pf") == 0
    written = yaml.safe_load(Path("pf/promptfooconfig.yaml").read_text())
    test = [json.loads(line) for line in Path("run/rows.jsonl").read_text().splitlines()]
    test = [row for row in test if row["split"] == "test"]
    assert [case["vars"]["text"] for case in written["tests"]] == [row["text"] for row in test]
    assert [case["assert"][0]["value"] for case in written["tests"]] == [row["target"] for row in test]
    turns = json.loads(Path("pf/prompt.json").read_text())
    assert turns[-1]["content"].count("{{text}}") == 1
    choice = written["providers"][0]["config"]["passthrough"]["structured_outputs"]["choice"]
    assert sorted(choice) == sorted(TEAMS)
    from whichway.tasks.promptfoo import cases, wordings

    path = Path("pf/promptfooconfig.yaml")
    assert len(cases(path)) == len(test)
    assert wordings(path)[0].chat
    assert whichway("ship", "run", "--way", "base_majority", "--format", "promptfoo", "--out", "pf2") == 2
    assert whichway("ship", "run", "--way", "prompt_plain") == 0  # the two forms do not want one folder
    assert whichway("ship", "run", "--way", "prompt_plain", "--format", "promptfoo") == 0
    assert (tmp_path / "winner" / "manifest.json").exists()
    assert (tmp_path / "winner-promptfoo" / "promptfooconfig.yaml").exists()
    assert whichway("ship", "run", "--format", "zip", "--out", "pf3") == 2


def test_forms_are_named_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--data", tickets(tmp_path), "--model", "fake", *SMALL, "--out", "run")
    assert whichway("run", *words) == 0
    capsys.readouterr()
    assert whichway("ship", "run", "--way", "prompt_plain", "--form", "prompt.yml,python", "--no-check") == 0
    assert Path("winner-prompt.yml-python/python/winner.py").is_file()
    assert "not checked: --no-check" in capsys.readouterr().out
    assert whichway("ship", "run", "--way", "prompt_plain", "--form", "all", "--to", "all", "--no-check") == 0
    shown = capsys.readouterr().out
    assert "left out gguf: the weights of 'fake' are not on this machine" in shown
    assert Path("all/prompty/winner.prompty").is_file()
    assert whichway("ship", "run", "--way", "base_majority", "--to", "plain") == 0
    assert "folder: NOT CHECKED: no runtime but whichway itself" in capsys.readouterr().out
    assert whichway("ship", "run", "--way", "base_majority", "--form", "peft") == 2
    assert "cannot leave as peft: it is no language model" in capsys.readouterr().err


def test_braces_of_the_prompt_are_fenced() -> None:
    from whichway.ship.promptfoo import fenced

    assert fenced("plain {x}") == "plain {x}"
    assert fenced("use {{x}}") == "{% raw %}use {{x}}{% endraw %}"


@pytest.fixture
def baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run whose winner is a prompt, and its task file."""
    monkeypatch.chdir(tmp_path)
    tickets(tmp_path, 300)
    path = tmp_path / "task.yaml"
    path.write_text("data: tickets.csv\ninput: text\ntarget: team\nask: Which team?\nmodel: fake\n")
    assert whichway("run", path, "--ways", "prompt_plain", "--no-progress", "--out", "run") == 0
    return path


def test_the_gate_lets_an_equal_prompt_pass(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert whichway("check", baseline, "--baseline", "run") == 0
    said = capsys.readouterr().out
    assert "gate: not shown worse" in said
    assert "the test split of run has been crossed 1 time by gates" in said
    found = check_regression(from_flags(baseline), Path("run"))
    assert not found.worse
    assert found.rows >= 20
    assert found.line.endswith("crossed 2 times by gates")
    lines = [json.loads(line) for line in Path("run/gates.jsonl").read_text().splitlines()]
    assert [line["rows"] for line in lines] == [found.rows] * 2


def test_the_gate_stops_a_worse_prompt(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stored answers are made right on every row: whatever answers now is worse."""
    path = Path("run/records.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "score": 1.0, "outcome": "ok"}) + "\n" for line in lines))
    prompt = Path("bad.txt")
    prompt.write_text("Say nothing of use.\n\n{{input}}")
    found = check_regression(from_flags(baseline, prompt=(prompt,)), Path("run"))
    assert found.before == 1
    assert found.worse == (found.comparison.high is not None and found.comparison.high < 0)
    assert found.now < 0.9
    assert whichway("check", baseline, "--baseline", "run", "--prompt", prompt) == 100
    assert "gate: worse" in capsys.readouterr().out


def test_the_gate_writes_a_comment_that_is_bound_to_what_it_compared(baseline: Path) -> None:
    def digests(*words: object) -> list[str]:
        assert whichway("check", baseline, "--baseline", "run", "--comment", "gate.md", *words) in (0, 100)
        text = Path("gate.md").read_text()
        assert text.startswith("<!-- whichway gate -->")
        assert "the prompt is" in text
        return re.findall(r"^\| (.*) \| `(.*)` \|$", text, re.MULTILINE)

    first = dict(digests())
    assert dict(digests()) == first  # the same commit says the same
    Path("bad.txt").write_text("Say nothing of use.\n\n{{input}}")
    other = dict(digests("--prompt", "bad.txt"))
    assert [name for name in first if first[name] != other[name]] == ["prompt, model and decoding of this commit"]
    assert whichway("check", baseline, "--comment", "gate.md") == 2


def test_the_workflow_of_the_docs_calls_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Each `whichway` line of the example workflow parses, with the flags that it names."""
    place = Path(__file__).parents[2] / "docs" / "ci" / "whichway-gate.yml"
    steps = yaml.safe_load(place.read_text())["jobs"]["gate"]["steps"]
    lines = [line.strip() for step in steps for line in step.get("run", "").splitlines() if "whichway " in line]
    commands = [line.split() for line in lines if line.startswith("whichway ")]
    assert {words[1] for words in commands} == {"check"}
    for words in commands:
        whichway(words[1], "--help")
        shown = capsys.readouterr().out
        assert all(flag in shown for flag in words if flag.startswith("--"))


def test_the_gate_refuses_what_it_cannot_compare(baseline: Path) -> None:
    assert whichway("check", baseline, "--baseline", "nowhere") == 2
    assert whichway("check", baseline, "--baseline", "run", "--metric", "macro_f1") == 2
    Path("other.csv").write_text(Path("tickets.csv").read_text().replace(" ", " other "))
    assert whichway("check", baseline, "--data", "other.csv", "--baseline", "run") == 2
