"""`--until`: the plan says it, and a training stops there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import whichway
from whichway.cli import main

TICKETS = Path(whichway.__file__).parent / "examples" / "support" / "tickets.csv"


def words(folder: Path, *more: str) -> list[str]:
    """A contest on the double."""
    flags = ["--data", str(TICKETS), "--model", "fake", "--ways", "tune_lora", "--seeds", "1", "--out", str(folder)]
    return [*flags, "--cache", str(folder.parent / ".cache"), "--set", "tune_lora.rate=0.001", *more]


def trained(folder: Path) -> int:
    lines = [json.loads(line) for line in (folder / "ledger.jsonl").open()]
    return sum(line["what"] == "train" for line in lines)


def test_a_training_stops_at_the_target(tmp_path, capsys):
    assert main(["run", *words(tmp_path / "whole"), "--no-progress"]) == 0
    assert main(["run", *words(tmp_path / "until"), "--until", "0.05", "--no-progress"]) == 0
    capsys.readouterr()
    assert trained(tmp_path / "until") == 1 < trained(tmp_path / "whole") == 4
    assert "reached 0.05" in (tmp_path / "until" / "ways" / "tune_lora" / "log").read_text()
    assert json.loads((tmp_path / "until" / "plan.json").read_text())["until"] == 0.05


def test_the_plan_says_it(tmp_path, capsys):
    assert main(["plan", *words(tmp_path / "r"), "--until", "0.92"]) == 0
    assert "92.0 % on dev, then a training stops" in capsys.readouterr().out


def test_a_target_outside_of_the_metric_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        raise SystemExit(main(["plan", *words(tmp_path / "r"), "--until", "92"]))
    assert left.value.code == 2
    assert "until" in capsys.readouterr().err
