"""`run --with-feedback`: a run of its own that trains on corrected answers, and what it says of the run before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_kit import TEAMS, tickets, whichway

WAYS = ("--ways", "base_tfidf,base_majority", "--no-progress", "--no-probe")


def line(text: str, target: str) -> str:
    facts = {"id": "f", "created_at": 1, "completion": "c", "answered_at": 1, "run": "", "model": "m", "candidate": "k"}
    facts |= {"way": "w", "input": {"text": text}, "answer": "x", "thumbs": None, "target": target, "corrected": True}
    return json.dumps(facts)


@pytest.mark.parametrize("count", [50, 90])  # a single split, and folds
def test_the_verdict_with_feedback_is_compared_on_the_same_rows(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tickets(tmp_path, count)
    task = tmp_path / "task.yaml"
    task.write_text("name: mails\ndata: tickets.csv\ninput: text\ntarget: team\nask: Which team?\nmodel: fake\n")
    assert whichway("run", task, *WAYS) == 0
    served = tmp_path / "runs" / "mails"
    (served / "serve").mkdir()
    rows = [line(f"a new question, number {n}", sorted(TEAMS)[n % len(TEAMS)]) for n in range(12)]
    (served / "serve" / "feedback.jsonl").write_text("\n".join(rows))
    capsys.readouterr()
    assert whichway("run", task, *WAYS, "--with-feedback", served) == 0
    out = capsys.readouterr().out
    assert "12 rows of feedback are trained on as well (12 corrected, 0 approved)" in out
    assert "The verdict would stay: base_tfidf" in out
    [again] = (tmp_path / "runs").glob("mails-feedback-*")
    plans = [json.loads((folder / "plan.json").read_text()) for folder in (served, again)]
    assert plans[1]["rows"]["test"] == plans[0]["rows"]["test"]
    assert plans[1]["rows"]["train"] == plans[0]["rows"]["train"] + 12
    assert plans[1]["splits"]["test"] == plans[0]["splits"]["test"]
    assert f"on {plans[0]['rows']['test']} shared test rows" in out
    assert whichway("run", task, *WAYS, "--with-feedback", tmp_path / "nowhere") == 2
