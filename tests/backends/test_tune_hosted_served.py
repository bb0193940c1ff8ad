"""Both ends of the fine-tuning protocol are ours: `tune_hosted` has `whichway serve` train, and asks the result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hosted_kit import Contest, facts, small_task
from test_tune_hosted import PACE

sys.path.append(str(Path(__file__).parents[1] / "ship"))
from server_kit import server


@pytest.mark.slow
def test_our_own_server_trains_what_is_asked_of_it(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENDPOINT_API_KEY", raising=False)
    with server("--model", tiny("llama"), "--folder", tmp_path / "served") as address:
        options = {"tune_hosted": {"epochs": 8, "batch": 4, "rate": 2.0}}
        held = Contest(
            tmp_path, small_task(48, 12, 12), pace=PACE, known=False, word=f"base@{address}", seeds=(0,),
            ways=("prompt_plain", "tune_hosted"), options=options,
        )  # fmt: skip
        verdict = held.hold().verdict
        again = held.hold()
    lines = {line.way: line for line in verdict.standings}
    assert lines["tune_hosted"].status == "ok", lines["tune_hosted"].reason
    assert lines["tune_hosted"].unparsed == 0.0, "it has learned to write a label and nothing else"
    assert (lines["tune_hosted"].score or 0.0) > (lines["prompt_plain"].score or 0.0)
    notes = [line["note"] for line in facts(tmp_path)["standings"] if line["way"] == "tune_hosted"]
    assert "ft:base:whichway:whichway-" in notes[0]
    assert lines["tune_hosted"].seconds_fit > 0, "on a machine of one's own the time is the price"
    assert again.paid_seconds == 0.0
