"""A cascade whose second stage is behind an API: priced by its tokens, paid for once, under the cap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from endpoint_kit import KEY, Endpoint, serving, shelf
from hosted_kit import Contest, small_task

WAYS = ("base_majority", "prompt_plain", "both_cascade")
OPTIONS: dict[str, dict[str, Any]] = {"both_cascade": {"cheap": "base_majority", "dear": "prompt_plain"}}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_KEY", KEY)
    return tmp_path


def test_deferred_rows_cost_their_tokens_and_are_paid_for_once(place: Path) -> None:
    endpoint = Endpoint()
    contest = Contest(place, small_task(24, 24, 24), ways=WAYS, options=OPTIONS)
    with serving(endpoint) as address:
        shelf(place, address)
        outcome = contest.hold()
    run = outcome.run
    assert run.statuses["both_cascade"]["status"] == "ok", run.statuses["both_cascade"]["reason"]
    assert endpoint.calls == len(set(endpoint.delivered)), "no question was asked twice"
    assert sum(line["paid_usd"] for line in contest.ledger) == pytest.approx(endpoint.bill_usd)
    cascade, dear = run.finalists("both_cascade")[0], run.finalists("prompt_plain")[0]
    own = {r.example: r for r in run.all_records if r.candidate == cascade.id and r.split == "test"}
    alone = {r.example: r for r in run.all_records if r.candidate == dear.id and r.split == "test"}
    assert {record.stage for record in own.values()} == {1}, "the most frequent label is sure of nothing"
    for row, record in own.items():
        assert record.text == alone[row].text
        assert record.usd == pytest.approx(alone[row].usd, rel=0.01)
        assert record.tokens_in == alone[row].tokens_in


def test_the_cap_holds_for_all_that_a_cascade_is_made_of(place: Path) -> None:
    endpoint = Endpoint()
    whole = Contest(place, small_task(24, 24, 24), ways=WAYS, options=OPTIONS, run_name="whole")
    with serving(endpoint) as address:
        shelf(place, address)
        spent = whole.hold().run.statuses["prompt_plain"]["usd_fit"]
        capped = Contest(place, small_task(24, 24, 24), 0.9 * spent, ways=WAYS, options=OPTIONS, run_name="capped")
        statuses = capped.hold().run.statuses
    assert statuses["both_cascade"]["status"] == "failed" or statuses["both_cascade"]["usd_fit"] <= 0.9 * spent
