"""The progress screen: a line for each event, and bars that end where the work ends."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from whichway.cli import progress
from whichway.cli.progress import ProgressScreen, console_of, follow
from whichway.events import (
    EVENTS,
    CandidateEntered,
    CheckpointSaved,
    TrainingBegan,
    TrainingStep,
    VerdictMade,
    WarningGiven,
    WayBegan,
)


def test_the_screen_shows_all_but_the_verdict_which_has_a_page_of_its_own():
    assert [event for event in EVENTS if not hasattr(ProgressScreen, f"_{event.name}")] == [VerdictMade]


def test_the_bar_ends_where_the_training_ends():
    screen = ProgressScreen()
    screen(WayBegan("tune_lora", 0, 1))
    screen(TrainingBegan("tune_lora", "lora", 25.0, 100))
    screen(CheckpointSaved("tune_lora", "lora", 12.5, 1.0))
    (bar,) = screen._bars.tasks
    assert (bar.completed, bar.total) == (50, 100)
    assert math.isclose(bar.percentage, 50)


def test_a_log_file_gets_a_line_a_minute_from_a_training(monkeypatch: pytest.MonkeyPatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    screen = ProgressScreen()
    screen(WayBegan("tune_lora", 0, 1))
    for step in range(1, 151):  # a step each second
        now[0] = float(step)
        screen(TrainingStep("tune_lora", "lora", step, 600, 0.5, 1000.0, 600.0 - step))
    lines = [line for line in capsys.readouterr().err.splitlines() if "training, step" in line]
    assert [line.split(",")[1] for line in lines] == [" step 60/600", " step 120/600"]
    assert "loss 0.500" in lines[0]
    assert "9:00 left" in lines[0]


def test_in_folds_a_candidate_is_told_with_its_fold(capsys):
    screen = ProgressScreen()
    screen(CandidateEntered("tune_lora", "rate [1]", 4, 0.5, 25, 100))
    screen._folded = True
    screen(CandidateEntered("tune_lora", "rate [1]", 4, 0.5, 25, 100))
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("(rate [1]), seed 4")
    assert second.endswith("(rate [1]), fold 5")


def test_a_bar_of_the_next_fold_still_names_its_way():
    screen = ProgressScreen()
    screen(WayBegan("tune_lora", 0, 1))
    screen(WayBegan("tune_lora", 0, 1))
    with screen._console.capture() as shown:
        screen._console.print(screen._bars.get_renderable())
    assert "tune_lora" in shown.get()


def test_bars_and_shares_are_whole_at_80_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    screen, out = ProgressScreen(), io.StringIO()
    screen(WayBegan("both_prompt_then_lora", 0, 1))
    screen(TrainingBegan("both_prompt_then_lora", "lora", 25.0, 600))
    screen(TrainingStep("both_prompt_then_lora", "lora", 150, 600, 0.5, 1234.0, 450.0))
    Console(file=out, width=80).print(screen._shown())
    (line,) = out.getvalue().splitlines()
    assert "both_prompt_then_lora" in line
    assert "━" in line
    assert "25 %" in line
    assert "training, ste" in line
    assert len(line) <= 80


def test_no_color_and_plain_are_heeded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert console_of(False).color_system is not None
    assert not console_of(False).no_color
    plain = console_of(True)
    assert not plain.is_terminal
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    console = console_of(False)
    console.file = out
    console.print("[red]word[/red]")
    assert "\x1b[31m" not in out.getvalue()
    assert "word" in out.getvalue()


def test_without_progress_warnings_are_still_shown(capsys):
    with follow(bars=False) as listener:
        listener(WayBegan("tune_lora", 0, 1))
        listener(WarningGiven("2 [rows] were left out"))
    assert capsys.readouterr().err == "warning: 2 [rows] were left out\n"
