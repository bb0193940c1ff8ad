"""check, prepare, plan and advise on the command line: what they tell before anything is spent."""

from __future__ import annotations

import json

import pytest
from cli_kit import QUICK, TWO_WAYS, rows, table, whichway

from whichway.runs.folder import read_lines


@pytest.fixture
def noisy(tmp_path):
    lines = rows(72)
    lines[3] = (f"{lines[3][0]} mail jane.doe@example.org", lines[3][1])
    lines += [lines[0], (f"{lines[1][0].upper()}!", lines[1][1])]
    return table(tmp_path / "noisy.csv", [("text", "team"), *lines])


def test_check_shows_trained_tokens_copies_and_secrets_without_spelling_them(noisy, capsys):
    assert whichway("check", "--data", noisy, "--show", 2, "--model", "embedded") == 0
    told = capsys.readouterr().out
    assert told.count("⟦") == 2 + 2
    assert "<|assistant|>⟦ " in told
    assert "0 training rows longer than the model's context" in told
    assert "0 training rows without a trained token" in told
    assert "copies    1 row the same but for case and punctuation" in told
    assert "personal  1 e-mail" in told
    assert "jane.doe" not in told
    assert "noisy.csv:5 j…" in told


def test_check_without_the_default_model_names_the_command_that_fetches_it(noisy, capsys):
    assert whichway("check", "--data", noisy) == 0
    told = capsys.readouterr().out
    assert "tokens    not counted: smollm2 is not on this machine yet" in told
    assert "whichway models fetch smollm2" in told


def test_check_without_a_model_on_this_machine_says_what_it_cannot_count(noisy, capsys):
    assert whichway("check", "--data", noisy, "--model", "fake") == 0
    assert "not counted: fake is no model on this machine" in capsys.readouterr().out
    assert whichway("check", "--data", noisy, "--model", "fake", "--probe") == 2


def test_prepare_changes_only_what_is_asked_for_and_overwrites_nothing(noisy, tmp_path, capsys):
    before = noisy.read_bytes()
    assert whichway("prepare", "--data", noisy, "--out", tmp_path / "all.jsonl") == 0
    told = capsys.readouterr().out
    assert "drop duplicates off" in told
    assert "74 of 74 rows" in told
    words = ("--drop-duplicates", "--mask-personal", "--drop-suspects")
    assert whichway("prepare", "--data", noisy, "--out", tmp_path / "few.jsonl", *words) == 0
    changes = list(read_lines(tmp_path / "few.changes.jsonl"))
    assert [c["what"] for c in changes] == ["e-mail", "exact duplicate", "exact duplicate"]
    assert "jane.doe" not in (tmp_path / "few.jsonl").read_text() + (tmp_path / "few.changes.jsonl").read_text()
    assert noisy.read_bytes() == before
    assert whichway("prepare", "--data", noisy, "--out", tmp_path / "few.jsonl") == 2
    capsys.readouterr()
    assert whichway("check", "--data", tmp_path / "few.jsonl", "--show", 0) == 0
    assert "personal  none found" in capsys.readouterr().out
    run = ("run", "--data", tmp_path / "few.jsonl", "--out", tmp_path / "run", *QUICK, *TWO_WAYS)
    assert whichway(*run) == 0


def test_plan_estimates_and_run_shows_the_estimate_beside_the_actual(noisy, tmp_path, capsys):
    words = ("--data", noisy, "--model", "fake", *TWO_WAYS, "--cache", tmp_path / "cache", "--seeds", 1)
    assert whichway("plan", *words) == 0
    told = capsys.readouterr().out
    assert "estimate (from a probe of this machine; list time)" in told
    assert "In all" in told
    assert whichway("plan", *words, "--no-probe") == 0
    assert "estimate" not in capsys.readouterr().out
    assert whichway("run", *words, "--no-progress", "--out", tmp_path / "run") == 0
    assert "Estimated" in capsys.readouterr().out
    said = json.loads((tmp_path / "run" / "estimate.json").read_text())
    assert said["ways"]["prompt_plain"]["seconds"] > 0
    page = (tmp_path / "run" / "report.html").read_bytes()
    assert b"Estimate and actual" in page
    verdict = (tmp_path / "run" / "verdict.json").read_bytes()
    assert whichway("run", *words, "--no-progress", "--out", tmp_path / "run") == 0
    assert whichway("run", *words, "--no-progress", "--out", tmp_path / "other") == 0
    for run in ("run", "other"):
        assert (tmp_path / run / "report.html").read_bytes() == page
        assert (tmp_path / run / "verdict.json").read_bytes() == verdict
    assert whichway("run", *words, "--no-progress", "--no-probe", "--out", tmp_path / "third") == 0
    assert not (tmp_path / "third" / "estimate.json").exists()


def test_advise_probes_when_asked(noisy, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert whichway("advise", "--data", noisy, "--model", "fake", "--probe", "--json") == 0
    found = json.loads(capsys.readouterr().out)["estimate"]
    assert found["source"] == "a probe of this machine"
    assert {way["way"] for way in found["ways"]} >= {"prompt_plain", "tune_head"}
    assert whichway("advise", "--probe", "--json") == 2


def test_check_shows_what_is_trained_behind_a_rows_own_examples(noisy, tmp_path, capsys):
    """Every answer in the context is marked, and personal data stay masked in examples, too."""
    task = tmp_path / "task.yaml"
    ways = "ways: {both_shots_lora: {counts: [2, 3], encoder: words}}"
    task.write_text(f"data: {noisy.name}\ninput: text\ntarget: team\nask: Which team?\n{ways}\n")
    assert whichway("check", task, "--show", 1, "--model", "embedded") == 0
    told = capsys.readouterr().out
    own = told.split("as both_shots_lora trains it")[1]
    assert own.count("⟦") == 4
    assert own.split("⟧")[0].count("⟦") == 1
    assert "after examples of its own" in told
    counts = [int(line.split()[0]) for line in told.splitlines() if "trained tokens without turn ends" in line]
    assert counts[1] > 3.5 * counts[0]
    assert "jane.doe" not in told


def test_plan_estimates_rows_behind_their_own_examples(noisy, tiny, tmp_path, capsys):
    more = ("--set", "both_shots_lora.encoder=words", "--set", "both_shots_lora.factors=1", "--seeds", 1)
    given = ("--data", noisy, "--model", tiny("llama"), "--ways", "both_shots_lora", "--cache", tmp_path / "cache")
    assert whichway("plan", *given, *more) == 0
    told = capsys.readouterr().out
    assert "both_shots_lora" in told
    assert "fail" not in told


def test_rows_that_cannot_be_used_are_listed_by_the_change_log_and_the_plan(tmp_path, capsys):
    data = table(tmp_path / "d.csv", [("text", "label"), *rows(60), ("lonely text", "")])
    out = tmp_path / "clean.jsonl"
    assert whichway("prepare", "--data", data, "--skip-bad", "5%", "--out", out) == 0
    assert "1 dropped: unusable" in capsys.readouterr().out
    first = json.loads((tmp_path / "clean.changes.jsonl").read_text().splitlines()[0])
    assert (first["change"], first["where"], first["what"]) == ("dropped", "d.csv:62", "unusable")
    assert len(out.read_text().splitlines()) == 60
    assert whichway("plan", "--data", data, "--skip-bad", "5%", "--model", "fake", "--no-probe") == 0
    assert "warning: left out: " in capsys.readouterr().out
    assert whichway("check", "--data", data, "--model", "fake") == 2
    assert "--skip-bad" in capsys.readouterr().err
