"""`whichway lint` as a command: exit codes, outputs, measured effects."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from cli_kit import TEAMS, tickets, whichway

from whichway.app.lint_prompts import LintOptions, lint_context
from whichway.lint import Scene
from whichway.lint import lint as find

EXAMPLES = Path(__file__).parents[2] / "src/whichway/examples"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task file on the fake model."""
    monkeypatch.chdir(tmp_path)
    tickets(tmp_path)
    path = tmp_path / "task.yaml"
    path.write_text("data: tickets.csv\ninput: text\ntarget: team\nask: Which team?\nmodel: fake\n")
    return path


def prompt(folder: Path, text: str) -> Path:
    path = folder / "p.txt"
    path.write_text(text)
    return path


def test_exit_code_is_1_on_errors_0_on_notes_2_on_bad_input(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = prompt(small.parent, "Which team?\n{{text}}"), small.parent / "q.txt"
    good.write_text(f"Answer with one of: {', '.join(TEAMS)}. You MUST choose.\n\n{{{{text}}}}")
    assert whichway("lint", bad, "--task", small) == 1
    assert "PL004" in capsys.readouterr().out
    assert whichway("lint", good, "--task", small) == 0
    assert "PL010" in capsys.readouterr().out
    assert whichway("lint", "nowhere.txt") == 2
    assert whichway("lint", good, "--ignore", "PL777") == 2
    assert whichway("lint", good, "--measure") == 2
    assert whichway("lint", good, "--provider", "nobody") == 2


def test_ignore_baseline_and_sarif(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = prompt(small.parent, "Which team?\n{{text}}")
    assert whichway("lint", path, "--task", small, "--ignore", "pl004") == 0
    assert whichway("lint", path, "--task", small, "--write-baseline", "b.json", "--sarif", "o.sarif") == 1
    assert json.loads(Path("o.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "PL004"
    capsys.readouterr()
    assert whichway("lint", path, "--task", small, "--baseline", "b.json") == 0
    assert "ignored" in capsys.readouterr().out


def test_json_names_the_measured_effect(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = prompt(small.parent, "Which team?\n{{text}}")
    assert whichway("lint", path, "--task", small, "--measure", "--json") == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    effect = next(f for f in found if f["id"] == "PL004")["measured"]
    assert effect["rows"] >= 10
    assert effect["low"] <= effect["difference"] <= effect["high"]
    assert effect["after"] - effect["before"] == pytest.approx(effect["difference"])


def test_the_span_is_underlined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = prompt(tmp_path, "Sort the mail. You MUST answer.\n{{text}}")
    whichway("lint", path)
    lines = capsys.readouterr().out.splitlines()
    at = next(n for n, line in enumerate(lines) if "│ Sort the mail" in line)
    assert lines[at + 1].index("~") == lines[at].index("MUST")


def test_a_seed_guards_protected_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed, now = tmp_path / "seed.yaml", tmp_path / "now.yaml"
    seed.write_text("objective: Which team?\nlabels: [a, b]\n")
    now.write_text("objective: Which team is it?\nlabels: [a, c]\n")
    assert whichway("lint", now, "--seed", seed) == 1
    assert "PL034" in capsys.readouterr().out


def test_test_rows_in_a_prompt_are_found_without_being_shown_to_rules(small: Path) -> None:
    from whichway.tasks import load
    from whichway.tasks.spec import read_spec

    row = load(read_spec(small)).test[0]
    path = prompt(small.parent, f"Which team? One of: {', '.join(TEAMS)}.\n{row.text} is {row.target}.\n\n{{{{text}}}}")
    with lint_context(LintOptions(small)) as seen:
        from whichway.app.prompt_files import read_drafts

        made = seen.scene(read_drafts(path)[0])
        assert isinstance(made, Scene)
        leaks = [f for f in find(made) if f.id == "PL031"]
        assert leaks
        assert "test row" in leaks[0].message
        assert not hasattr(made.data.practice, "test")


def test_measure_reproduces_the_sign_of_a_planted_improvement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the embedded model, balancing examples that nearly all have one answer brings points."""
    monkeypatch.chdir(tmp_path)
    from whichway.app.prompt_files import read_drafts

    often, seldom = "account access", "product advice"
    with (EXAMPLES / "support/tickets.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["team"] in (often, seldom) and "\n" not in r["text"]]
    short = {team: [r for r in rows if r["team"] == team and len(r["text"]) < 200] for team in (often, seldom)}
    shown = [*short[often][:9], short[seldom][0], *short[often][9:11]]
    left = [r for r in rows if r not in shown]
    Path("left.jsonl").write_text("".join(json.dumps(r) + "\n" for r in left), encoding="utf-8")
    ask = "Which team of the web shop should handle this customer's message?"
    Path("task.yaml").write_text(
        f"data: left.jsonl\ninput: text\ntarget: team\nask: {ask}\nsplit: {{train: 0.2, dev: 0.6, test: 0.2}}\n"
    )
    shots = [{"text": r["text"], "answer": r["team"]} for r in shown]
    draft = tmp_path / "skewed.yaml"
    draft.write_text(json.dumps({"objective": ask, "labels": [often, seldom], "shots": shots}), encoding="utf-8")
    known = LintOptions(Path("task.yaml"), model="embedded", measure=True, calibrate=False, cache=tmp_path / "cache")
    with lint_context(known) as seen:
        scene = seen.scene(read_drafts(draft)[0])
        finding = next(f for f in find(scene) if f.id == "PL025")
        assert finding.edit is not None
        effect = seen.scorer.effect(scene.prompt, finding.edit.apply(scene.prompt))
    assert effect.low > 0
