"""Hosted models from the command line: a yes to the money, caps, keys, several models, shipping, secrets."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from endpoint_kit import KEY, WORDS, Endpoint, serving, shelf, truth

import whichway as ww
from whichway.cli import main

NAMES = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
QUICK = ("--no-progress", "--ways", "base_majority,prompt_plain", "--out", "run")


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """A server, and a folder with tickets, models.yaml and prices.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_KEY", KEY)
    rows = [(f"{NAMES[n % 12]} {NAMES[n // 12]} {NAMES[(5 * n) % 12]}: my {w}", t) for n, (w, t) in
            enumerate(list(WORDS.items()) * 20)]  # fmt: skip
    with (tmp_path / "tickets.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([("text", "team"), *rows])
    found = Endpoint()
    with serving(found) as address:
        shelf(tmp_path, address)
        yield found


def whichway(*words: str) -> int:
    return main(list(words))


def run(*words: str) -> int:
    return whichway("run", "--data", "tickets.csv", "--model", "there", *QUICK, *words)


def test_money_is_said_and_agreed_to_before_the_first_call(endpoint: Endpoint, capsys: Any) -> None:
    assert whichway("plan", "--data", "tickets.csv", "--model", "there", "--ways", "prompt_plain") == 0
    out = capsys.readouterr().out
    assert "there: $1 new, $0.5 cached, $4 out per million tokens (there, as of 2026-11-30)" in out
    assert "tokens in" in out
    assert "in all about $" in out
    assert run() == 2
    error = capsys.readouterr().err
    assert "this run asks models that cost money" in error
    assert "Say --yes to go on." in error
    assert endpoint.calls == 0
    assert not Path("run").exists()
    assert run("--yes", "--budget-usd", "1") == 0
    told = json.loads(Path("run/estimate.json").read_text())["ways"]["prompt_plain"]
    assert told["usd_low"] <= endpoint.bill_usd <= told["usd_high"] <= 1
    assert run("--budget-usd", "1") == 0, "a run that was agreed to goes on without asking"


def test_a_cap_wants_known_prices(endpoint: Endpoint, capsys: Any) -> None:
    text = Path("prices.yaml").read_text().replace("there:", "other:")
    Path("prices.yaml").write_text(text)
    assert run("--yes", "--budget-usd", "1") == 2
    assert "the price of there is not known. Add an entry 'there' to ./prices.yaml" in capsys.readouterr().err
    assert endpoint.calls == 0
    assert run("--yes") == 0, "an address of this machine costs its time"


def test_private_data_go_nowhere(endpoint: Endpoint, capsys: Any) -> None:
    task = "data: tickets.csv\ninput: text\ntarget: team\nmodel: there\nprivate: true\n"
    Path("task.yaml").write_text(task)
    for words in (("run", "task.yaml", "--yes"), ("plan", "task.yaml"), ("try", "task.yaml")):
        assert whichway(*words) == 2
        assert "error: there lies behind an API, and the task says private" in capsys.readouterr().err
    assert whichway("run", "task.yaml", "--model", "fake", "--model", "openai:x", "--yes") == 2
    assert "openai:x lies behind an API" in capsys.readouterr().err
    assert endpoint.calls == 0


def test_several_models_one_verdict_and_its_money(endpoint: Endpoint, capsys: Any) -> None:
    words = ("--model", "there", "--model", "fake", "--yes", "--no-progress", "--no-forgetting", "--seeds", "1")
    ways = ("--ways", "prompt_plain,tune_probe", "--out", "run")
    assert whichway("run", "--data", "tickets.csv", *words, *ways) == 0
    verdict = ww.read_run("run").verdict
    lines = {s.way: s for s in verdict.standings}
    assert lines.keys() == {"prompt_plain@there", "prompt_plain@fake", "tune_probe@there", "tune_probe@fake"}
    assert verdict.choice in lines
    assert "@" in str(verdict.choice)
    assert lines["tune_probe@there"].status == "failed"
    assert lines["prompt_plain@there"].model == "there"
    each = lines["prompt_plain@there"].usd_per_1000
    assert each > 10 * lines["prompt_plain@fake"].usd_per_1000
    capsys.readouterr()
    pair = ("--ways", "prompt_plain@there,tune_probe@fake", "--json")
    units = []
    for price in ("0.1", "10"):
        assert whichway("breakeven", "run", *pair, "--price-per-hour", price) == 0
        found = json.loads(capsys.readouterr().out)
        units.append((found["unit_first"], found["unit_second"]))
    assert units[0][0] == units[1][0] == pytest.approx(each / 1000), "tokens cost what they cost"
    assert units[1][1] == pytest.approx(100 * units[0][1])


def test_the_winner_predicts_ships_and_is_served(endpoint: Endpoint, capsys: Any, tmp_path: Path) -> None:
    assert run("--yes", "--ways", "prompt_plain") == 0
    Path("new.csv").write_text("text\nwhere is my parcel\nmy password is gone\n")
    capsys.readouterr()
    assert whichway("predict", "run", "new.csv", "--out", "answers.jsonl") == 0
    answers = [json.loads(line)["answer"] for line in Path("answers.jsonl").read_text().splitlines()]
    assert answers == ["delivery", "account"]
    assert whichway("ship", "run", "--out", "winner") == 0
    assert Path("winner/messages.json").is_file()
    from starlette.testclient import TestClient

    from whichway.app.configure import backends
    from whichway.ship import served_models
    from whichway.ship.serve import app

    with TestClient(app(served_models.of_run(Path("run")), backends())) as client:
        body = {"model": "winner", "messages": [{"role": "user", "content": "a parcel is late"}]}
        found = client.post("/v1/chat/completions", json=body).json()
    assert found["choices"][0]["message"]["content"] == "delivery"


def test_a_missing_key_is_said_before_anything_is_done(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.delenv("FAKE_KEY")
    assert run("--yes") == 2
    assert "the key FAKE_KEY is not set" in capsys.readouterr().err
    assert not Path("run").exists()


def test_no_key_in_any_file_or_message(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, caplog: Any
) -> None:
    """A run with a marked key: stopped by a refusal that repeats the key, broken by a fault of ours, then finished."""
    import logging

    from whichway.backends._openai.calls import Caller

    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    caplog.set_level(logging.DEBUG)
    endpoint.fault = lambda number: setattr(endpoint, "key", None) if number == 9 else None
    assert run("--yes") == 2
    endpoint.key, endpoint.fault = KEY, lambda number: None

    def broken(self: Caller, body: Any) -> Any:
        raise RuntimeError(f"a fault while {self._endpoint.word} was asked")

    with monkeypatch.context() as patched:
        patched.setattr(Caller, "_exchange", broken)
        assert run("--debug") in (0, 1)
    for words in (("run", "--data", "tickets.csv", "--model", "there", *QUICK), ("report", "run"), ("models",)):
        assert whichway(*words) == 0
    assert whichway("ship", "run", "--out", "winner") == 0
    said = "".join(capfd.readouterr()) + caplog.text
    assert "refuses the key FAKE_KEY" in said
    assert KEY not in said
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
        assert KEY[3:].encode() not in path.read_bytes(), path


def test_python_wants_a_yes_or_a_cap(endpoint: Endpoint) -> None:
    asked: dict[str, Any] = {"input": "text", "target": "team", "model": "there", "ways": "prompt_plain", "out": "run"}
    with pytest.raises(ww.OptionError, match="spend=True, or give a budget in dollars"):
        ww.run("tickets.csv", probe=False, **asked)
    assert endpoint.calls == 0
    found = ww.run("tickets.csv", probe=False, budget=ww.Budget(usd=1.0), **asked)
    assert found.verdict.standings[0].score == 1.0
    assert truth("my parcel") == "delivery"


def test_an_address_on_the_command_line(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    from whichway.models import endpoints

    address = endpoints.find("there")
    assert address is not None
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-this-one-0123456789")
    word = f"fake-model@{address.base_url}"
    with_key = ("run", "--data", "tickets.csv", "--model", word, *QUICK, "--no-probe")
    assert whichway(*with_key) == 2, "OpenAI's key is not sent, so the server refuses"
    monkeypatch.setenv("ENDPOINT_API_KEY", KEY)
    assert whichway(*with_key) == 0
    plan = json.loads(Path("run/plan.json").read_text())
    assert plan["model"] == word
    assert plan["prices"] == {word: None}
