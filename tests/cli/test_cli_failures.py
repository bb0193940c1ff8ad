"""What a failure says, its exit code, and what it leaves alone."""

from __future__ import annotations

import errno
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from cli_kit import QUICK, TWO_WAYS, rows, table, tickets, whichway

from whichway.cli.exit_codes import guarded
from whichway.errors import AdapterNotLive, DataError

Streams = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def missing(here: Path) -> list[object]:
    return ["--data", "nothing.csv"]


def wrong_column(here: Path) -> list[object]:
    return ["--data", tickets(here), "--input", "text", "--target", "teem"]


def empty_target(here: Path) -> list[object]:
    lines = rows()
    lines[8] = (lines[8][0], "")
    return ["--data", table(here / "gap.csv", [("text", "team"), *lines])]


def one_class(here: Path) -> list[object]:
    return ["--data", table(here / "same.csv", [("text", "team"), *((text, "billing") for text, _ in rows())])]


def three_rows(here: Path) -> list[object]:
    return ["--data", tickets(here, 3)]


def broken_json(here: Path) -> list[object]:
    lines = [f'{{"text": "{text}", "team": "{team}"}}' for text, team in rows()]
    lines[56] = lines[56][:-3]
    (here / "rows.jsonl").write_text("\n".join(lines))
    return ["--data", "rows.jsonl"]


def not_utf8(here: Path) -> list[object]:
    path = tickets(here)
    path.write_bytes(path.read_bytes().replace(b"refund my card", "rückerstattung".encode("cp1252"), 1))
    return ["--data", path]


def huge_field(here: Path) -> list[object]:
    lines = rows()
    lines[4] = ("x" * 10_000_000, "billing")
    return ["--data", table(here / "huge.csv", [("text", "team"), *lines])]


def double_ids(here: Path) -> list[object]:
    lines = [(str(n % 70), text, team) for n, (text, team) in enumerate(rows())]
    return ["--data", table(here / "ids.csv", [("id", "text", "team"), *lines]), "--id", "id"]


def unknown_key(here: Path) -> list[object]:
    tickets(here)
    (here / "task.yaml").write_text("data: tickets.csv\n\ntagret: team\n")
    return ["task.yaml"]


def unknown_way(here: Path) -> list[object]:
    return ["--data", tickets(here), "--ways", "tune_lorra"]


def unknown_option(here: Path) -> list[object]:
    return ["--data", tickets(here), "--ways", "tune_lora", "--set", "tune_lora.rnk=8"]


def way_not_tried(here: Path) -> list[object]:
    return ["--data", tickets(here), *TWO_WAYS, "--set", "tune_lora.rank=8"]


def malformed_set(here: Path) -> list[object]:
    return ["--data", tickets(here), "--set", "rank=8"]


def unknown_metric(here: Path) -> list[object]:
    return ["--data", tickets(here), "--metric", "acuracy"]


def no_model(here: Path) -> list[object]:
    (here / "empty").mkdir()
    return ["--data", tickets(here), "--model", "empty"]


def pickle_only(here: Path) -> list[object]:
    (here / "old").mkdir()
    (here / "old" / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (here / "old" / "pytorch_model.bin").write_bytes(b"\x80\x04")
    return ["--data", tickets(here), "--model", "old"]


def folder_as_data(here: Path) -> list[object]:
    (here / "void").mkdir()
    return ["--data", "void"]


def file_as_run(here: Path) -> list[object]:
    (here / "taken").write_text("a file")
    return ["--data", tickets(here), *TWO_WAYS, "--out", "taken"]


def foreign_run_folder(here: Path) -> list[object]:
    (here / "photos").mkdir()
    (here / "photos" / "cat.jpg").write_bytes(b"cat")
    return ["--data", tickets(here), *TWO_WAYS, "--out", "photos"]


def no_ways(here: Path) -> list[object]:
    return ["--data", tickets(here), "--ways", ","]


BAD = {
    missing: "nothing.csv",
    wrong_column: "Did you mean 'team'",
    empty_target: "gap.csv:10",
    one_class: "one class only",
    three_rows: "3 rows",
    broken_json: "rows.jsonl:57",
    not_utf8: "tickets.csv:3",
    huge_field: "huge.csv:6",
    double_ids: "ids.csv:72",
    unknown_key: "task.yaml:3: unknown key 'tagret'. Did you mean 'target'?",
    unknown_way: "Did you mean 'tune_lora'?",
    unknown_option: "Did you mean 'rank'?",
    way_not_tried: "--ways base_majority,prompt_plain,tune_lora",
    malformed_set: "way.option=value",
    unknown_metric: "Did you mean 'accuracy'?",
    no_model: "empty",
    pickle_only: "pickle",
    folder_as_data: "void",
    file_as_run: "taken",
    foreign_run_folder: "photos",
    no_ways: "no way to try",
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_input_is_said_and_nothing_is_written(make: Any, here: Path, capsys: Streams) -> None:
    words = make(here)
    model = [] if "--model" in words else ["--model", "fake"]
    before = {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert whichway("run", *words, *model, "--no-progress") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert BAD[make] in told.err
    assert "Traceback" not in told.err
    assert {p: p.read_bytes() for p in here.rglob("*") if p.is_file()} == before


def test_an_option_that_does_not_fit_is_refused_before_anything_is_estimated(here: Path, capsys: Streams) -> None:
    words = unknown_option(here)
    assert whichway("run", *words, "--model", "fake") == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_other_plan_is_refused_with_the_difference(here: Path, capsys: Streams) -> None:
    words = ["run", "--data", tickets(here), *QUICK, *TWO_WAYS, "--out", "one"]
    assert whichway(*words) == 0
    before = {p: p.read_bytes() for p in here.rglob("one/**/*") if p.is_file()}
    capsys.readouterr()
    assert whichway(*words, "--margin", "0.05") == 2
    assert "margin: 0.01 -> 0.05" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in here.rglob("one/**/*") if p.is_file()} == before


def test_full_disk(here: Path, capsys: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert whichway("run", "--data", tickets(here), *QUICK, *TWO_WAYS) == 2
    assert "disk is full" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert whichway("run", "--data", tickets(here), *QUICK, *TWO_WAYS) == 0


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["runn"], "Did you mean 'run'"),
        (["--nonsense"], "no option '--nonsense'"),
        (["run", "--nonsense"], "--nonsense"),
        (["run", "--seeds", "many"], "--seeds"),
        (["run", "--seeds", "0"], "--seeds"),
        (["run"], "--data"),
        (["ship"], "run"),
        (["ship", "nowhere"], "no such run folder"),
        (["report", "nowhere"], "nowhere"),
        (["predict", "nowhere"], "no such run folder"),
        (["run", "nowhere.yaml"], "nowhere.yaml"),
        (["init", "nowhere.csv"], "nowhere.csv"),
    ],
    ids=" ".join,
)
def test_usage_errors(words: list[str], part: str, capsys: Streams) -> None:
    assert whichway(*words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert part.lower() in told.err.lower()


def failing(error: BaseException) -> Any:
    def action() -> int:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (DataError("rows.csv:3: empty"), 2, "error: rows.csv:3: empty"),
        (AdapterNotLive("it changes nothing"), 1, "error: it changes nothing"),
        (OSError(errno.ENOSPC, "full", "runs/a"), 2, "the disk is full (runs/a)"),
        (OSError(errno.EDQUOT, "quota"), 2, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/a"), 2, "runs/a: permission denied"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "runs/a"), 2, "runs/a: is a directory"),
        (KeyboardInterrupt(), 130, "interrupted; saved; run the same command to resume"),
        (ZeroDivisionError("by zero"), 1, "internal error: ZeroDivisionError: by zero"),
        (FileNotFoundError(errno.ENOENT, "gone"), 1, "internal error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_each_failure_has_its_code(error: BaseException, code: int, part: str, capsys: Streams) -> None:
    assert guarded(failing(error)) == code
    assert part in capsys.readouterr().err


def test_our_fault_leaves_a_traceback_in_a_file(capsys: Streams) -> None:
    guarded(failing(ZeroDivisionError("by zero")))
    told = capsys.readouterr().err
    path = Path(told.split("The traceback is in ")[1].split(" This is")[0].removesuffix("."))
    assert "in failing" in path.read_text() or "in action" in path.read_text()
    assert "Traceback" not in told
    path.unlink()


def test_debug_shows_the_traceback(capsys: Streams) -> None:
    assert guarded(failing(ZeroDivisionError("by zero")), debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_sigterm_is_an_interruption_and_is_answered_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    def action() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(5)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    assert guarded(action) == 130
    assert capfd.readouterr().err.startswith("\nstopping; what is done is kept\n")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_in_which_every_way_failed_is_no_success(here: Path, capsys: Streams) -> None:
    words = ["run", "--data", tickets(here), *QUICK, "--ways", "tune_lora", "--set", "tune_lora.rate=5"]
    assert whichway(*words) == 1
    told = capsys.readouterr()
    assert "Every way failed" in told.err
    assert "diverged" in told.err
    assert (here / "runs" / "tickets" / "report.html").exists()
    assert whichway(*words, "--json") == 1


def test_a_run_in_which_one_way_failed_is_a_success(here: Path) -> None:
    words = ["run", "--data", tickets(here), *QUICK, "--ways", "base_majority,tune_lora", "--set", "tune_lora.rate=5"]
    assert whichway(*words) == 0


def test_ship_names_a_check_python_that_is_missing(here: Path, capsys: Streams) -> None:
    assert whichway("ship", here, "--form", "gguf", "--check-python", here / "no-python") == 2
    assert "no-python: no such file" in capsys.readouterr().err.replace("\n", "")
