"""What the check makes of what a runtime did: each kind of difference is found, and equal results raise no alarm."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ship_kit import TUNED, contest, data

import whichway as ww
from whichway.app.configure import backends
from whichway.ship import CheckOptions, pick
from whichway.ship.forms import Export
from whichway.ship.parity import Reference, check
from whichway.ship.parity.compare_results import compare
from whichway.ship.parity.intact import broken_files
from whichway.ship.parity.parity_report import ParityReport
from whichway.ship.parity.runtimes import EIGHT_BITS, Started, measured_messages
from whichway.ship.shipped_folder import ship


@pytest.fixture(scope="module")
def run(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> ww.Run:
    ways = {"tune_lora": TUNED["tune_lora"], "prompt_plain": {}, "base_majority": {}}
    return contest(data(tmp_path_factory.mktemp("parity")), tiny("llama"), ways)


@pytest.fixture(scope="module")
def reference(run: ww.Run) -> Reference:
    return Reference(Export(pick(run, way="tune_lora"), run, backends()), CheckOptions(rows=12))


def result(reference: Reference, **changes: Any) -> dict[str, Any]:
    """What a sound export gives, with changes."""
    sound = {
        "runtime": "test 1",
        "prompts": [list(ids) for ids in reference.prompts],
        "answers": [reference.answer_of(row) for row in reference.rows],
        "scores": reference.tuned,
        "base": reference.base,
        "ends": [reference.turn_end],
    }
    return {**sound, **changes}


def report(reference: Reference, started: Started | None = None, **changes: Any) -> ParityReport:
    return compare("merged", started or Started(result=result(reference, **changes)), reference)


def test_a_sound_export_raises_no_alarm(reference: Reference) -> None:
    found = report(reference)
    assert (found.status, found.problems) == ("ok", ())
    assert found.rows == found.agree == found.rendered == len(reference.rows)
    assert found.live == pytest.approx(1)
    assert found.gap == 0
    assert found.low is not None
    assert "12 of 12 answers equal" in found.lines[0]
    assert not any(row.record is None for row in reference.rows)


def scaled(reference: Reference, factor: float) -> list[dict[str, float]]:
    """Scores as far from the base's as `factor` times the training."""
    return [
        {label: b[label] + factor * (t[label] - b[label]) for label in t}
        for t, b in zip(reference.tuned, reference.base, strict=True)
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda r: {"prompts": [[0, *ids] for ids in r.prompts]}, "rendered to other tokens"),
        (lambda r: {"prompts": [ids[:-3] for ids in r.prompts]}, "rendered to other tokens"),
        (lambda r: {"scores": r.base}, "the base answers, not the trained part"),
        (lambda r: {"scores": scaled(r, 2.0)}, "the trained part is at 2.00 of 1"),
        (lambda r: {"base": r.tuned}, "without its adapter it does not answer as the base"),
        (lambda r: {"ends": [1]}, "does not end an answer at '<|im_end|>'"),
        (lambda r: {"answers": ["nonsense"] * 12}, "12 of 12 rows get another label"),
        (lambda r: {"scores": [dict.fromkeys(s, -9.0) for s in r.tuned]}, "label scores are off"),
        (lambda r: {"error": "no such file"}, "it cannot be started: no such file"),
    ],
)
def test_each_difference_is_found(
    reference: Reference, change: Callable[[Reference], dict[str, Any]], problem: str
) -> None:
    found = report(reference, **change(reference))
    assert found.status == "failed"
    assert any(problem in one for one in found.problems)
    assert "NOT AS MEASURED" in found.lines[0]


def test_the_place_where_a_prompt_parts_is_shown(reference: Reference) -> None:
    found = report(reference, prompts=[[*ids[:3], 9, *ids[4:]] for ids in reference.prompts])
    assert "at token 3 of 90 and 90: measured 's' 'y' 's' 't'" in found.token_difference
    assert "exported 's' 'y' '&' 't'" in found.token_difference


def test_a_label_may_differ_at_a_near_tie_only(reference: Reference) -> None:
    answers = [reference.answer_of(row) for row in reference.rows]
    best = max(reference.tuned[0], key=lambda label: reference.tuned[0][label])
    answers[0] = next(label for label in reference.labels if label != best)
    assert report(reference, answers=answers).first is not None
    far = Started(result=result(reference, answers=answers), room=1e-9)
    near = Started(result=result(reference, answers=answers), room=100.0)
    assert any("another label" in problem for problem in report(reference, far).problems)
    assert report(reference, near).status == "ok"


def test_rounded_weights_are_given_room(reference: Reference) -> None:
    rough = [{label: score + 0.3 for label, score in row.items()} for row in reference.tuned]
    assert report(reference, scores=rough).status == "failed"
    started = Started(result=result(reference, scores=rough), room=EIGHT_BITS, rounded=True)
    assert not any("off by" in problem for problem in report(reference, started).problems)


def test_an_engine_that_rounds_gives_room(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    off = [{label: score + 0.3 for label, score in row.items()} for row in reference.tuned]
    assert reference.coarse is False
    assert any("off by" in problem for problem in report(reference, scores=off).problems)
    monkeypatch.setattr(reference, "coarse", True)
    assert not any("off by" in problem for problem in report(reference, scores=off).problems)


def test_a_missing_runtime_is_never_a_pass(reference: Reference) -> None:
    found = report(reference, Started(missing="llama-cpp-python is not installed"))
    assert found.status == "not run"
    assert found.lines == ["merged: NOT CHECKED: llama-cpp-python is not installed"]


def test_words_of_a_prompt_are_compared(run: ww.Run, reference: Reference) -> None:
    sound = Started(result={"messages": measured_messages(reference), "runtime": "test"})
    found = compare("prompt", sound, reference)
    assert (found.status, found.rendered, found.rows) == ("ok", 12, 0)
    assert "no model was asked" in found.notes[0]
    stale = [[*turns[:-1], {**turns[-1], "content": "other"}] for turns in measured_messages(reference)]
    assert compare("prompt", Started(result={"messages": stale, "runtime": "t"}), reference).status == "failed"


def test_what_is_stored_quotes_no_row(reference: Reference) -> None:
    stored = str(report(reference, answers=["nonsense"] * 12).stored)
    assert "nonsense" not in stored
    assert not any(row.example.text in stored for row in reference.rows)


def test_a_folder_whose_files_changed_is_not_started(run: ww.Run, reference: Reference, tmp_path: Path) -> None:
    from whichway.ship.forms import known

    ship(run, tmp_path / "out", way="prompt_plain", backends=backends(), forms=("prompt",))
    assert broken_files(tmp_path / "out") == []
    (tmp_path / "out" / "messages.json").write_text("{}")
    (tmp_path / "out" / "prompt.txt").unlink()
    (found,) = check(known()["prompt"], tmp_path / "out", reference)
    assert found.status == "failed"
    assert set(found.problems) == {"messages.json is not the file that was written", "prompt.txt is missing"}


def test_a_failed_check_keeps_the_folder_and_raises(
    run: ww.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whichway.errors import NotAsMeasured
    from whichway.ship import parity

    failed = ParityReport("folder", runtime="test", status="failed", problems=("planted",))
    monkeypatch.setattr(parity, "check", lambda *_: [failed])
    with pytest.raises(NotAsMeasured, match="folder: planted"):
        run.ship(tmp_path / "out", way="prompt_plain")
    assert (tmp_path / "out" / "parity.json").is_file()
    monkeypatch.setattr(parity, "check", lambda *_: [replace(failed, status="not run")])
    assert run.ship(tmp_path / "out", way="prompt_plain") == tmp_path / "out"


def test_a_winner_without_a_runtime_of_its_own_is_not_called_sound(run: ww.Run, tmp_path: Path) -> None:
    done = ship(run, tmp_path / "out", way="base_majority", backends=backends(), check=CheckOptions())
    assert [one.status for one in done.checks] == ["not run"]
    assert "no runtime but whichway itself" in done.checks[0].notes[0]


def test_the_shipped_program_is_started_and_compared(run: ww.Run, tmp_path: Path) -> None:
    done = ship(run, tmp_path / "out", way="tune_lora", backends=backends(), check=CheckOptions(rows=8))
    (found,) = done.checks
    assert (found.status, found.rows, found.rendered) == ("ok", 8, 8)
    assert found.score_gap is not None
    assert found.score_gap < 1e-3
    assert found.live == pytest.approx(1, abs=0.01)
    assert found.runtime.startswith("use.py, transformers")


PROMPTFOO = """#!{python}
import json, sys
out = sys.argv[sys.argv.index("-o") + 1]
config = sys.argv[sys.argv.index("-c") + 1]
assert sys.argv[sys.argv.index("--providers") + 1] == "echo"
import yaml, pathlib
place = pathlib.Path(config)
turns = (place.parent / "prompt.json").read_text()
results = []
for test in yaml.safe_load(place.read_text())["tests"]:
    text = turns
    for name, value in test["vars"].items():
        text = text.replace("{{{{" + name + "}}}}", json.dumps(value)[1:-1])
    results.append({{"vars": test["vars"], "response": {{"output": text}}}})
pathlib.Path(out).write_text(json.dumps({{"results": {{"results": results}}}}))
"""


def test_promptfoo_renders_the_exported_configuration(
    run: ww.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for promptfoo's command, which writes the file that promptfoo 0.1xx writes."""
    command = tmp_path / "promptfoo"
    command.write_text(PROMPTFOO.format(python=sys.executable))
    command.chmod(0o755)
    monkeypatch.setenv("WHICHWAY_PROMPTFOO", str(command))
    options: dict[str, Any] = {"way": "prompt_plain", "backends": backends(), "forms": ("promptfoo",)}
    done = ship(run, tmp_path / "pf", check=CheckOptions(4), **options)
    (found,) = done.checks
    assert (found.status, found.rendered, found.runtime) == ("ok", 4, "promptfoo")
    monkeypatch.setenv("WHICHWAY_PROMPTFOO", "")
    monkeypatch.setenv("PATH", "")
    lone = ship(run, tmp_path / "pf", check=CheckOptions(4), **options)
    assert "not on this machine" in lone.checks[0].notes[0]


def test_texts_of_rounded_weights_are_judged_by_the_metric(run: ww.Run, reference: Reference) -> None:
    writing = Reference(reference.export, reference.options)
    object.__setattr__(writing.candidate.decoding, "mode", "generate")
    try:
        answers = [f"{writing.answer_of(row)} x" for row in writing.rows]
        texts = {"runtime": "test", "answers": answers}
        exact = compare("merged", Started(result=texts), writing)
        assert any("only 0 %" in problem for problem in exact.problems)
        rough = compare("gguf", Started(result=texts, room=EIGHT_BITS, rounded=True), writing)
        assert not any("only 0 %" in problem for problem in rough.problems)
        assert any("near ties" in note for note in rough.notes)
    finally:
        object.__setattr__(writing.candidate.decoding, "mode", "choose")
