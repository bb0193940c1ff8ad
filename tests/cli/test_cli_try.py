"""The playground: a scripted sitting, a pseudo-terminal, and its arithmetic."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import tickets, whichway
from rich.console import Console

from whichway.app.prompt_history import PromptHistory, added, dropped, with_slot
from whichway.app.prompt_session import PlaygroundSession, open_session
from whichway.app.prompt_trial import BLOCK
from whichway.cli.playground.interactive import run_session
from whichway.cli.playground.shell import Shell
from whichway.errors import OptionError, ProtectedPart
from whichway.nouns import Prompt
from whichway.prompts.files import read
from whichway.tasks import from_flags

ASK = ("--input", "text", "--target", "team", "--ask", "Which team?", "--model", "fake")


@pytest.fixture
def seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlaygroundSession]:
    """A playground on the fake model."""
    monkeypatch.chdir(tmp_path)
    spec = from_flags(
        data=tickets(tmp_path, 400), input=("text",), target="team", ask="Which team?", model="fake"
    )  # fmt: skip
    with open_session(spec, tmp_path / "cache", None, True) as opened:
        yield opened


def talk(seat: PlaygroundSession, *lines: str) -> tuple[Shell, str]:
    """A sitting with these lines; the shell afterwards, and all that was printed."""
    waiting, out = list(lines), io.StringIO()

    def read_line(prompt: str) -> str:
        if not waiting:
            raise EOFError
        return waiting.pop(0)

    shell = run_session(seat, read_line, Console(file=out, highlight=False, width=200))
    return shell, out.getvalue()


def test_edit_shows_score_difference_rows_and_cost(seat: PlaygroundSession) -> None:
    shell, said = talk(seat, "objective = Name the team that should answer.", "quit")
    assert "against the kept prompt's" in said
    assert "valid at every look" in said
    assert "dev rows" in said
    assert "per 1,000" in said
    assert shell.history.current.objective == "Name the team that should answer."
    assert shell.history.reference.objective == "Which team?"


def test_keep_revert_undo_redo(seat: PlaygroundSession) -> None:
    shell, _ = talk(seat, "+ Be quick.", "undo")
    assert shell.history.current.instructions == ()
    shell, _ = talk(seat, "+ Be quick.", "undo", "redo", "keep", "+ Be kind.", "revert")
    assert shell.history.current.instructions == ("Be quick.",)
    assert shell.history.reference == shell.history.current
    shell, said = talk(seat, "undo", "revert", "- 4", "frobnicate", "help", "history", "show")
    assert "nothing to undo" in said
    assert "this is the kept prompt already" in said
    assert "counted from 1" in said
    assert "'frobnicate' is not known here" in said


def test_save_writes_what_a_run_takes(seat: PlaygroundSession, tmp_path: Path) -> None:
    shell, said = talk(seat, "role = You sort mail.", "save mine", "quit")
    assert "--prompt mine.yaml" in said
    assert read(Path("mine.yaml")) == shell.history.current
    ways = ("--ways", "prompt_plain", "--no-progress", "--out", "run")
    assert whichway("run", "--data", "tickets.csv", *ASK, *ways, "--prompt", "mine.yaml") == 0
    lines = Path("run/ways/prompt_plain/candidates.jsonl").read_text().splitlines()
    assert all(json.loads(line)["candidate"]["prompt"]["role"] == "You sort mail." for line in lines)


def test_lint_and_fix(seat: PlaygroundSession) -> None:
    shell, said = talk(seat, "+ You MUST be quick.", "lint", "fix PL010", "fix PL004")
    assert "PL010" in said
    assert shell.history.current.instructions == ("You must be quick.",)
    assert "no finding of that rule has an edit" in said


def test_the_editor_changes_the_whole_prompt(
    seat: PlaygroundSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "ed.py"
    head = "import sys, pathlib\np = pathlib.Path(sys.argv[1])\n"
    editor.write_text(head + "p.write_text(p.read_text() + 'tone: dry\\n')\n")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")
    shell, _ = talk(seat, "edit", "quit")
    assert shell.history.current.tone == "dry"
    editor.write_text("import sys, pathlib\npathlib.Path(sys.argv[1]).write_text('tne: dry\\n')\n")
    shell, said = talk(seat, "edit", "quit")
    assert "tone" in said
    assert shell.history.current == shell.history.reference
    monkeypatch.setenv("EDITOR", "no-such-editor-here")
    assert "Set EDITOR" in talk(seat, "edit")[1]


def test_it_stops_when_the_difference_is_clear(seat: PlaygroundSession) -> None:
    plain = seat.plain
    blank = Prompt(objective="x", labels=plain.labels)
    trial = seat.trials.of(blank, plain)
    if trial.clear:
        assert trial.rows % BLOCK == 0 or trial.rows == trial.of
        assert (trial.difference_low or 0) > 0 or (trial.difference_high or 0) < 0
    whole = seat.trials.of(blank, plain, whole=True)
    assert whole.rows == whole.of == len(seat.trials.rows)
    assert whole.difference == pytest.approx(whole.score - whole.kept_score)
    changed = (len(whole.better) - len(whole.worse)) / whole.rows
    assert whole.difference == pytest.approx(changed)


def test_a_clear_difference_stops_early(seat: PlaygroundSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that are all wrong: the sequence excludes 0 long before the last row."""
    from dataclasses import replace

    plain = seat.plain
    other = replace(plain, objective="Other words.")
    bench = seat.trials.scale.bench
    real = bench.score
    wanted = {"good": 1.0, "bad": 0.0}

    def score(candidate, rows):
        kind = "bad" if candidate.prompt.objective == "Other words." else "good"
        return [replace(r, outcome="ok", score=wanted[kind]) for r in real(candidate, rows)]

    monkeypatch.setattr(bench, "score", score)
    trial = seat.trials.of(other, plain)
    assert trial.clear
    assert trial.early
    assert trial.difference == -1
    assert trial.high is not None
    assert trial.high < 1


def test_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    tickets(tmp_path, 200)
    Path("p.txt").write_text("Which team? One of: billing, delivery, account.\n\n{{input}}")
    words = ("try", "--data", "tickets.csv", *ASK, "--prompt", "p.txt", "--once")
    assert whichway(*words) == 0
    assert "against the kept prompt's" in capsys.readouterr().out
    assert whichway(*words, "--json", "--whole") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == found["of"]
    assert found["difference"] == pytest.approx(found["score"] - found["kept_score"])


def test_a_real_terminal(tmp_path: Path) -> None:
    tickets(tmp_path, 120)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ["TERM"] = "dumb"
        code = "import sys; from whichway.cli import main; sys.exit(main())"
        os.execv(sys.executable, [sys.executable, "-c", code, "try", "--data", "tickets.csv", *ASK])
    said = wait_for(terminal, "try> ")
    os.write(terminal, b"+ Be quick.\n")
    said += wait_for(terminal, "against the kept prompt's")
    os.write(terminal, b"quit\n")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "dev rows" in said


def wait_for(terminal: int, words: str, seconds: float = 90.0) -> str:
    """All that is printed until some words are."""
    said, end = "", time.monotonic() + seconds
    while words not in said:
        left = end - time.monotonic()
        assert left > 0, said
        if select.select([terminal], [], [], left)[0]:
            said += os.read(terminal, 4096).decode(errors="replace")
    return said


def test_slots_by_line() -> None:
    prompt = Prompt(objective="a", labels=("x",))
    assert with_slot(prompt, "steps", "one | two").steps == ("one", "two")
    assert with_slot(prompt, "layout", "user").layout == "user"
    assert dropped(added(prompt, "b"), "1") == prompt
    for slot, text in (("nothing", "x"), ("layout", "sideways"), ("labels", "x, y")):
        with pytest.raises(OptionError):
            with_slot(prompt, slot, text)
    with pytest.raises(ProtectedPart):
        with_slot(Prompt(protected=("role",)), "role", "x")
    history = PromptHistory.of(prompt, Prompt(objective="b"))
    assert [step.what for step in history.steps] == ["start", "your prompt"]
