"""`whichway run --minutes`: one clock for the whole contest, a verdict from what stands, and going on."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cli_kit import tickets, whichway
from test_cli_process import START, heed_interrupts

WAYS = ("--ways", "base_majority,prompt_plain,tune_lora", "--set", "tune_lora.factors=1")


def test_a_run_against_the_clock_ends_with_a_page_and_costs_nothing_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["run", "--data", tickets(tmp_path), "--model", "fake", *WAYS, "--out", "run", "--no-progress"]
    assert whichway(*words, "--minutes", 30) == 0
    out = capsys.readouterr().out
    assert "tune_lora" in out
    clock = json.loads((tmp_path / "run" / "clock.json").read_text())
    assert (clock["folds"], clock["missing"]) == (5, [])
    assert (tmp_path / "run" / "report.html").exists()
    assert whichway(*words, "--minutes", 60) == 0
    assert "Paid by this start: 0.0 s" in capsys.readouterr().out
    assert whichway(*words) == 0
    assert whichway("verdict", "run") == 0


@pytest.mark.parametrize("minutes", ["0", "0.0", "-3", "-0.5", "nan", "inf"])
def test_minutes_that_are_no_time_are_refused(minutes, tmp_path, capsys):
    assert whichway("run", "--data", tickets(tmp_path), "--model", "fake", "--minutes", minutes) == 2
    assert "give a number above 0" in capsys.readouterr().err


def test_the_plan_says_what_fits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["plan", "--data", tickets(tmp_path), "--model", "fake:seconds=0.5", *WAYS, "--minutes", 1]
    assert whichway(*words) == 0
    out = capsys.readouterr().out
    assert "1 for the whole contest" in out
    assert "In 1 minutes: base_majority, prompt_plain, in about this order" in out
    assert "Not likely to fit: tune_lora." in out


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_a_verdict_and_the_same_command_goes_on(tmp_path: Path, sign: signal.Signals):
    words = ["run", "--data", str(tickets(tmp_path)), *WAYS, "--model", "fake:delay=0.3", "--out", "run", "--no-probe"]
    words += ["--minutes", "30"]
    process = subprocess.Popen(
        [*START, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts
    )
    clock, deadline = tmp_path / "run" / "clock.json", time.monotonic() + 120
    while time.monotonic() < deadline and not (clock.exists() and len(json.loads(clock.read_text())["bought"]) > 1):
        time.sleep(0.05)
    process.send_signal(sign)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted; saved; run the same command to resume" in err.decode()
    assert "prompt_plain" in out.decode()
    facts = json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert facts["missing"]
    assert (tmp_path / "run" / "report.html").exists()
    done = subprocess.run([*START, "verdict", "run"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "tune_lora" in done.stdout + facts["headline"]
