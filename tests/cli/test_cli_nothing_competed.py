"""A run in which nothing competed is an error, told once; epochs that are set are done, and the plan says what is."""

import dataclasses

import pytest
from cli_kit import QUICK, tickets, whichway

from whichway.app import run as app_run
from whichway.contest.plan import fill_options
from whichway.training_length import training_length
from whichway.ways import tune_full, tune_lora


def broken(monkeypatch):
    from whichway.backends import fake

    def fail(*_given, **_more):
        raise IndexError("index out of range in self")

    monkeypatch.setattr(fake.FakeSession, "choose", fail)


def test_a_common_error_is_told_once_with_exit_code_1(tmp_path, monkeypatch, capsys):
    broken(monkeypatch)
    ways = "base_majority,prompt_plain,prompt_shots"
    data = ("--data", tickets(tmp_path), "--input", "text", "--target", "team", "--no-probe")
    assert whichway("run", *data, *QUICK, "--ways", ways, "--out", tmp_path / "r") == 1
    told = capsys.readouterr().err
    assert "error: Only base_majority could be measured, so nothing is decided." in told
    assert told.count("IndexError: index out of range in self") == 1
    assert "prompt_plain, prompt_shots: in fold 1 of 5: IndexError" in told


def test_baselines_alone_are_a_contest(tmp_path):
    data = ("--data", tickets(tmp_path), "--input", "text", "--target", "team", "--no-probe")
    assert whichway("run", *data, *QUICK, "--ways", "base_majority,base_tfidf", "--out", tmp_path / "r") == 0


@pytest.mark.parametrize("way", [tune_lora, tune_full])
def test_epochs_that_are_set_are_done(way):
    assert fill_options("w", way, {}).steps == 100
    assert fill_options("w", way, {"epochs": 2}).steps == 0
    assert fill_options("w", way, {"epochs": 6}).steps == 0
    assert fill_options("w", way, {"epochs": 2, "steps": 50}).steps == 50
    found = fill_options("w", way, {"epochs": 2})
    assert training_length(38, found.batch, found.epochs, found.steps).epochs == 2
    assert training_length(38, 16, 6, 100).epochs == pytest.approx(100 / 3)


def test_the_plan_says_what_will_be_trained(tmp_path, capsys):
    data = ("--data", tickets(tmp_path), "--input", "text", "--target", "team", "--no-probe", "--model", "fake")
    assert whichway("plan", *data, "--ways", "tune_lora") == 0
    assert "(the floor of 100; set epochs to get just these)" in capsys.readouterr().out
    assert whichway("plan", *data, "--ways", "tune_lora", "--set", "tune_lora.epochs=2") == 0
    shown = capsys.readouterr().out
    assert "epochs=2, steps=0" in shown
    assert "the floor of" not in shown
    assert dataclasses.is_dataclass(tune_lora.Options)
    assert app_run._floor({"epochs": 2, "steps": 0, "batch": 16}, 38) == ["trains 2 epochs of 38 rows, 6 steps"]
