"""What cannot work is refused before anything is spent: parts of a cascade, students, shares, teachers, ports."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from cli_kit import QUICK, tickets, whichway

from whichway.app.request import RunRequest
from whichway.app.run import prepare
from whichway.tasks import from_flags

Streams = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


CASCADE = "base_tfidf,prompt_plain,both_cascade"


@pytest.mark.parametrize(
    ("ways", "options", "parts"),
    [
        ("both_cascade", (), ("made of two other ways", "none is tried")),
        ("base_tfidf,both_cascade", (), ("only base_tfidf is tried",)),
        (CASCADE, ("both_cascade.cheap=nope",), ("both_cascade.cheap=nope: no other way", "base_tfidf, prompt_plain")),
        (CASCADE, ("both_cascade.dear=prompt_plan",), ("Did you mean 'prompt_plain'",)),
        (CASCADE, ("both_cascade.cheap=base_tfidf,tune_head",), ("tune_head: no other way", "Add it to --ways")),
        (CASCADE, ("both_cascade.cheap=both_cascade",), ("both_cascade.cheap=both_cascade: no other way",)),
        ("both_distill", ("both_distill.student=base_majority",), ("no way that is trained",)),
        ("both_distill", ("both_distill.teacher=base_majority",), ("base_majority cannot teach",)),
        ("both_synth", ("both_synth.mix=9",), ("both_synth.mix", "at most 1; got 9")),
        ("both_synth", ("both_synth.mix=0.5,1.5",), ("at most 1; got 1.5",)),
        ("both_synth", ("both_synth.teacher=a b",), ("error: teacher a b: There is no folder a b",)),
    ],
)
def test_a_run_that_cannot_work_is_not_begun(
    ways: str, options: tuple[str, ...], parts: tuple[str, ...], here: Path, capsys: Streams
) -> None:
    set_words = [word for option in options for word in ("--set", option)]
    assert whichway("run", "--data", tickets(here), "--ways", ways, *set_words, *QUICK) == 2
    message = capsys.readouterr().err
    assert all(part in message for part in parts), message
    assert "--model" not in message
    assert not (here / "runs").exists()


def test_what_a_begun_run_settled_is_settled_once(here: Path) -> None:
    """The plan that is shown has the precision that the contest will have; a run that goes on keeps its own."""
    spec = from_flags(None, data=tickets(here), input=("text",), target="team", model="fake", precision="auto")
    ready = prepare(spec, RunRequest(("base_majority",), out=here / "run"))
    assert ready.settings.precision == "auto"
    assert ready.plan.precision == ""
    (here / "run").mkdir()
    (here / "run" / "plan.json").write_text(json.dumps({"task": "t", "ways": {}, "precision": "int8"}))
    assert ready.plan.precision == "int8"


def test_serve_says_what_cannot_be_before_it_loads(here: Path, capsys: Streams) -> None:
    assert whichway("serve", here / "run", "--model", "fake") == 2
    assert "--model fake: a run is served with its own models" in capsys.readouterr().err
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert whichway("serve", "--model", "no such model", "--port", other.getsockname()[1]) == 2
    assert "Give another with --port" in capsys.readouterr().err
    assert whichway("serve", here / "run", "--port", 0) == 2
    assert "is no finished run" in capsys.readouterr().err.lower()
