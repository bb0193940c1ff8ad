"""tune_hosted from the command line: its money is asked for on a terminal, no key anywhere, the tuned model ships."""

from __future__ import annotations

import csv
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from endpoint_kit import KEY, WORDS, serving
from test_hosted_cli import NAMES, whichway
from tuning_kit import BASE, TuningEndpoint

WAYS = ("--no-progress", "--ways", "base_majority,tune_hosted", "--seeds", "1", "--out", "run")
PRICES = """as_of: 2026-11-30
machine_usd_per_hour: 0.1
entries:
  there: {new: 1.0, cached: 0.5, out: 4.0, training: 8.0, tuned: there-tuned}
  there-tuned: {new: 2.0, cached: 1.0, out: 8.0}
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TuningEndpoint]:
    """A service, and a folder with tickets, models.yaml and prices.yaml."""
    from whichway.backends import openai
    from whichway.backends._openai.calls import Pace

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_KEY", KEY)
    monkeypatch.setattr(openai, "Pace", lambda: Pace(5, 20, 0.005, 0.02, poll_seconds=0.01))
    rows = [(f"{NAMES[n % 12]} {NAMES[n // 12]} {NAMES[(5 * n) % 12]}: my {w}", t) for n, (w, t) in
            enumerate(list(WORDS.items()) * 20)]  # fmt: skip
    with (tmp_path / "tickets.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([("text", "team"), *rows])
    (tmp_path / "prices.yaml").write_text(PRICES)
    endpoint = TuningEndpoint()
    with serving(endpoint) as address:
        entry = {"model": BASE, "base_url": address, "key": "FAKE_KEY", "price": "there"}
        lines = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in entry.items())
        (tmp_path / "models.yaml").write_text(f"as_of: 2026-11-30\nendpoints:\n  there:\n{lines}")
        yield endpoint


def run(*words: str) -> int:
    return whichway("run", "--data", "tickets.csv", "--model", "there", *WAYS, *words)


def test_its_money_is_said_before_anything_is_sent(service: TuningEndpoint, capsys: Any) -> None:
    assert whichway("plan", "--data", "tickets.csv", "--model", "there", *WAYS[1:]) == 0
    out = capsys.readouterr().out
    assert "training: $8 per million trained tokens, then $2 new, $1 cached, $8 out (there-tuned" in out
    assert " trained: $" in out
    assert run() == 2
    assert "this run asks models that cost money" in capsys.readouterr().err
    assert not service.heard
    assert run("--yes") == 0
    estimate = json.loads(Path("run/estimate.json").read_text())["ways"]["tune_hosted"]
    spent = service.training_usd + 2 * service.bill_usd  # the tuned model's tokens cost twice what the server counts
    assert estimate["usd_low"] <= spent <= estimate["usd_high"]
    assert estimate["tokens_trained"] > 0
    assert run() == 0, "a run that was agreed to goes on without asking"
    assert len(service.jobs) == 1


def test_a_break_even_takes_both_by_their_tokens(service: TuningEndpoint, capsys: Any) -> None:
    assert run("--yes", "--no-probe", "--ways", "prompt_plain,tune_hosted") == 0
    capsys.readouterr()
    units, pair = [], ("--ways", "prompt_plain,tune_hosted")
    for price in ("0.1", "10"):
        assert whichway("breakeven", "run", *pair, "--json", "--price-per-hour", price) == 0
        facts = json.loads(capsys.readouterr().out)
        units.append((facts["unit_first"], facts["unit_second"], facts["fixed_second"]))
    assert units[0] == units[1], "no machine of the user's is in it"
    assert units[0][2] >= service.training_usd


def test_prices_of_training_stand_in_the_plan_only_where_something_is_trained(service: TuningEndpoint) -> None:
    words = ("run", "--data", "tickets.csv", "--model", "there", "--no-progress", "--no-probe", "--yes")
    assert whichway(*words, "--ways", "prompt_plain", "--out", "plain") == 0
    assert run("--yes", "--no-probe") == 0
    prices = [json.loads(Path(f"{name}/plan.json").read_text())["prices"]["there"] for name in ("plain", "run")]
    assert prices[0].keys() == {"name", "new", "cached", "out", "as_of"}
    assert prices[1]["training"] == 8.0
    assert prices[1]["tuned"]["name"] == "there-tuned"


def test_no_key_in_any_file_or_message(
    service: TuningEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, caplog: Any
) -> None:
    """A run with a marked key: refused while its job runs, broken by a fault of ours, then finished and shipped."""
    import logging

    from whichway.backends._openai.job_calls import JobCalls

    caplog.set_level(logging.DEBUG)
    revoke = {6: lambda: setattr(service, "key", None)}
    service.job_fault = lambda method, path, number: revoke.get(number, lambda: None)()
    assert run("--yes") == 2
    service.key, service.job_fault = KEY, lambda method, path, number: None

    def broken(self: JobCalls, *given: Any, **named: Any) -> Any:
        raise RuntimeError(f"a fault while {self.endpoint.word} was asked")

    with monkeypatch.context() as patched:
        patched.setattr(JobCalls, "_send", broken)
        assert run("--debug", "--out", "broken") in (0, 1, 2)
    assert run() == 0
    assert len(service.jobs) == 1
    for words in (("report", "run"), ("models", "show", "there"), ("tuning",), ("ship", "run", "--out", "winner")):
        assert whichway(*words) == 0
    said = "".join(capfd.readouterr()) + caplog.text
    assert "refuses the key FAKE_KEY" in said
    assert "ftjob-1" in said
    assert KEY not in said
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.name in ("job.json", "hosted.json") for path in files) >= 3
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
        assert KEY[3:].encode() not in path.read_bytes(), path


def test_the_tuned_model_predicts_ships_and_is_served(service: TuningEndpoint, capsys: Any) -> None:
    assert run("--yes", "--no-probe") == 0
    Path("new.csv").write_text("text\nwhere is my parcel\nmy password is gone\n")
    assert whichway("predict", "run", "new.csv", "--out", "answers.jsonl") == 0
    answers = [json.loads(line)["answer"] for line in Path("answers.jsonl").read_text().splitlines()]
    assert answers == ["delivery", "account"]
    assert whichway("ship", "run", "--out", "winner") == 0
    tuned = json.loads(Path("winner/hosted/hosted.json").read_text())
    assert tuned["model"] == f"ft:{BASE}:org:{service.jobs['ftjob-1']['suffix']}:ftjob-1"
    assert tuned["model"] in Path("winner/README.md").read_text()
    from starlette.testclient import TestClient

    from whichway.app.configure import backends
    from whichway.ship import served_models
    from whichway.ship.serve import app

    with TestClient(app(served_models.of_run(Path("run")), backends())) as client:
        body = {"model": "winner", "messages": [{"role": "user", "content": "a parcel is late"}]}
        reply = client.post("/v1/chat/completions", json=body).json()
    assert reply["choices"][0]["message"]["content"] == "delivery"


def on_a_terminal(words: list[str], answer: str) -> tuple[int, str]:
    """A command on a terminal of its own: its exit code, and all that stood on the screen."""
    child, screen = pty.fork()
    if child == 0:  # pragma: no cover - the child
        os.execv(sys.executable, [sys.executable, "-m", "whichway", *words])
    shown, answered, end = b"", False, time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([screen], [], [], 0.2)[0]:
            try:
                shown += os.read(screen, 4096)
            except OSError:  # the terminal was closed
                break
        if b"Go on? (y/N)" in shown and not answered:
            os.write(screen, f"{answer}\n".encode())
            answered = True
    else:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(screen)
    return code, shown.decode(errors="replace")


def test_a_terminal_is_asked_before_money_is_spent(service: TuningEndpoint) -> None:
    words = ["run", "--data", "tickets.csv", "--model", "there", "--no-probe", "--ways", "prompt_plain", "--out", "run"]
    code, screen = on_a_terminal(words, "n")
    assert code == 2
    assert "Nothing was sent." in screen
    assert (service.calls, Path("run").exists()) == (0, False)
    code, screen = on_a_terminal(words, "y")
    assert code == 0, screen
    assert "there: $1 new, $0.5 cached, $4 out per million tokens" in screen
    assert service.calls > 0


def test_jobs_from_the_command_line(service: TuningEndpoint, capsys: Any) -> None:
    assert whichway("tuning", "--cache", ".cache") == 0
    assert "No fine-tuning job was asked for here" in capsys.readouterr().out
    assert run("--yes", "--no-probe", "--cache", "cache") == 0
    capsys.readouterr()
    assert whichway("tuning", "--cache", "cache") == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["Job", "Model", "State", "Tuned", "model"]
    assert line.split() == ["ftjob-1", "there", "succeeded", service.jobs["ftjob-1"]["fine_tuned_model"]]
    assert whichway("tuning", "--cache", "cache", "cancel", "ftjob-9") == 2
    assert "there is no fine-tuning job 'ftjob-9'" in capsys.readouterr().err


def test_an_interrupted_wait_says_that_the_job_goes_on(
    service: TuningEndpoint, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from whichway.backends._openai import fine_tuning

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fine_tuning, "time", SimpleNamespace(sleep=interrupted, monotonic=time.monotonic))
        words = ("run", "--data", "tickets.csv", "--model", "there", *WAYS[1:], "--yes", "--no-probe")
        assert whichway(*words) == 130
    assert "the fine-tuning job ftjob-1 goes on at there." in capsys.readouterr().err
    assert service.jobs["ftjob-1"]["status"] == "running"
    assert run() == 0
    assert len(service.jobs) == 1


def test_help_of_jobs_is_light() -> None:
    words = [sys.executable, "-m", "whichway", "tuning", "--help"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "cancel" in shown
