"""An option of a run is declared once: flag, task file, Python argument and plan follow."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Annotated

import pytest
from cli_kit import QUICK, tickets, whichway
from pydantic import Field

import whichway as ww
from whichway.cli.flags import TaskFlags, spread
from whichway.cli.task_flags import spec_of
from whichway.contest import Settings
from whichway.nouns import MetricSpec
from whichway.options import declared, defaults, flag, read_options
from whichway.tasks import spec
from whichway.tasks.spec import Spec, flags, from_flags

SAID = {
    "seeds": (4, (0, 1, 2, 3)), "folds": ("4", 4),
    "confidence": (0.9, 0.9), "price_per_hour": (2, 2.0), "race": (False, False),
    "curve": ("8,4", (8, 4)), "repeats": (2, 2), "until": (0.5, 0.5), "forgetting": (False, False),
    "precision": ("int8", "int8"), "shards": (2, 2),
    "executor": ("local", "local"), "workers": (4, 4), "ray_address": ("auto", "auto"),
    "track": ("tensorboard", "tensorboard"),
    "general": ("general.txt", Path("general.txt")), "private": (True, True), "minutes": (5, 5.0),
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


KEYS = {
    "data": ("rows.csv", Path("rows.csv")), "unlabelled": ("more.csv", Path("more.csv")),
    "input": (["text"], ("text",)), "target": ("team", "team"),
    "ask": ("Which?", "Which?"), "name": ("t", "t"), "metric": ("accuracy", MetricSpec("accuracy")),
    "model": (["fake"], "fake"), "labels": ("a, b", ("a", "b")), "target_type": ("label", "label"), "group": ("g", "g"),
    "id": ("number", "number"), "encoding": ("cp1252", "cp1252"), "delimiter": (";", ";"), "skip_bad": ("2%", 0.02),
    "split": ("60/20/20", {"train": 0.6, "dev": 0.2, "test": 0.2}), "volume": (5.0, 5.0), "margin": (0.02, 0.02),
    "prompt": ([Path("p.txt")], (Path("p.txt"),)),
}  # fmt: skip


def test_every_key_with_a_flag_is_an_option_of_the_command_line_and_means_the_same(capsys):
    assert set(KEYS) == set(flags()), "say here how a new key is written as a flag, and what it means"
    assert whichway("check", "--help") == 0
    page = capsys.readouterr().out
    for name, (said, means) in KEYS.items():
        assert f"--{name.replace('_', '-')} " in page
        found = getattr(spec_of(TaskFlags(keys={name: said})), name)
        assert found == (pytest.approx(means) if name == "split" else means)
    with pytest.raises(ww.OptionError, match="must sum to 100"):
        spec_of(TaskFlags(keys={"split": "60/20/30"}))


def test_a_new_key_is_one_declaration(monkeypatch: pytest.MonkeyPatch):
    """A key declared in `Spec` alone: the flag, its help and the value in the spec follow."""

    class Longer(spec.Spec):
        colour: Annotated[str | None, spec.Flag(str)] = Field(None, description="Colour of the page.")

    monkeypatch.setattr(spec, "Spec", Longer)
    heard = []

    @spread
    def verb(task: TaskFlags) -> None:
        heard.append(spec_of(task).colour)

    flag = inspect.signature(verb).parameters["colour"].annotation.__metadata__[0]
    assert (flag.default, flag.help) == ("--colour", "Colour of the page.")
    verb(**dict.fromkeys(inspect.signature(verb).parameters, None) | {"colour": "red"})
    assert heard == ["red"]


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
