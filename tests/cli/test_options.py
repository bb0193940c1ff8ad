"""An option of a run is declared once: flag, task file, Python argument and plan follow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_kit import QUICK, tickets, whichway

import whichway as ww
from whichway.contest import Settings
from whichway.options import declared, defaults, flag, read_options
from whichway.tasks.spec import Spec, from_flags

SAID = {
    "seeds": (4, (0, 1, 2, 3)), "confidence": (0.9, 0.9), "price_per_hour": (2, 2.0), "race": (False, False),
    "curve": ("8,4", (8, 4)), "repeats": (2, 2), "until": (0.5, 0.5), "forgetting": (False, False),
    "general": ("general.txt", Path("general.txt")), "private": (True, True),
}  # fmt: skip


def test_every_declared_option_is_a_flag_a_key_an_argument_and_a_setting(tmp_path: Path, capsys):
    assert set(SAID) == set(declared()), "say here how a new option is written, and what it means"
    assert whichway("run", "--help") == 0
    page = capsys.readouterr().out
    settings = Settings({}, tmp_path)
    for name, (said, means) in SAID.items():
        assert f"{flag(name)} " in page or f"{flag(name)}\n" in page
        assert read_options({name: said}) == {name: means}
        assert Spec.model_validate({name: said}).options == {name: means}
        assert getattr(settings, name) == defaults()[name]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("seeds", 0, "at least one seed"),
        ("until", 1.5, "less than or equal to 1"),
        ("repeats", 0, "greater than or equal to 1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_file_and_line(name: str, value: float, reason: str, tmp_path: Path):
    path = tmp_path / "task.yaml"
    path.write_text(f"data: {tickets(tmp_path).name}\n{name}: {value}\n")
    with pytest.raises(ww.DataError, match=rf"task\.yaml:2: {name}: .*{reason}"):
        from_flags(path)


def test_flags_go_before_the_task_file_and_its_paths_are_relative_to_it(tmp_path: Path):
    place = tmp_path / "task"
    place.mkdir()
    (place / "task.yaml").write_text("data: tickets.csv\nseeds: 4\nuntil: 0.8\ngeneral: plain.txt\n")
    spec = from_flags(place, seeds=2)
    assert spec.options == {"seeds": (0, 1), "until": 0.8, "general": place / "plain.txt"}


def test_one_option_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """`forgetting` was added by its declaration and by the line that uses it; here is what follows."""
    monkeypatch.chdir(tmp_path)
    data = tickets(tmp_path)
    tune = ("--data", data, "--ways", "tune_lora", "--seeds", 1, "--set", "tune_lora.factors=1", *QUICK, "--no-probe")
    assert whichway("run", *tune, "--out", "with") == 0
    assert (tmp_path / "with" / "ways" / "tune_lora" / "forgetting.json").is_file()
    assert "options" not in json.loads((tmp_path / "with" / "plan.json").read_text())
    assert whichway("run", *tune, "--out", "without", "--no-forgetting") == 0
    assert not (tmp_path / "without" / "ways" / "tune_lora" / "forgetting.json").exists()
    assert json.loads((tmp_path / "without" / "plan.json").read_text())["options"] == {"forgetting": False}
    capsys.readouterr()
    assert whichway("run", *tune, "--out", "without") == 2
    assert "options: {'forgetting': False} -> (absent)" in capsys.readouterr().err
    preview = ww.plan(data, model="fake", ways=["tune_lora"], forgetting=False)
    assert preview.plan.options == {"forgetting": False}
    assert "forgetting  False" in str(preview)
    with pytest.raises(ww.OptionError, match="forgetting: should be a valid boolean"):
        ww.plan(data, model="fake", forgetting="perhaps")
