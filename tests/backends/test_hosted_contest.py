"""Contests on a model behind an API: under faults and caps, killed and resumed, private, with a key that is revoked."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from endpoint_kit import FAULTS, KEY, Endpoint, serving, shelf
from hosted_kit import PRICE, Contest, facts, schedule, small_task, until_finished

from whichway.errors import EndpointError, OptionError

TIMEOUT = {"timeout_seconds": 0.5, "concurrency": 8}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_KEY", KEY)
    return tmp_path


def test_a_contest_pays_by_tokens_and_a_rerun_pays_nothing(place: Path) -> None:
    endpoint, contest = Endpoint(), Contest(place, small_task())
    with serving(endpoint) as address:
        shelf(place, address)
        outcome = contest.hold()
        contest.check_books(endpoint)
        calls = endpoint.calls
        assert sum(line["paid_usd"] for line in contest.ledger) == pytest.approx(endpoint.bill_usd)
        assert outcome.paid_usd == pytest.approx(endpoint.bill_usd, rel=0.01), "the baseline takes a moment"
        assert calls == len(set(endpoint.delivered)) == len(contest.ledger), "each question was asked once"
        again = contest.hold()
    assert endpoint.calls == calls
    assert again.paid_usd == 0
    best = next(s for s in outcome.verdict.standings if s.way == "prompt_plain")
    assert best.score == 1.0
    each = PRICE.usd(round(best.tokens_in), 0, round(best.tokens_out))
    assert best.usd_per_1000 == pytest.approx(1000 * each, rel=0.1)
    assert facts(place) == json.loads(json.dumps(facts(place)))


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_survived(fault: str, place: Path) -> None:
    endpoint = Endpoint(fault=lambda number: fault if number in (2, 9, 10, 30) else None)
    contest = Contest(place, small_task(6, 8, 8), cap=1.0)
    with serving(endpoint) as address:
        shelf(place, address, **(TIMEOUT if fault in ("hang", "drip") else {"concurrency": 8}))
        verdict = contest.hold().verdict
    contest.check_books(endpoint)
    assert {s.way: s.score for s in verdict.standings}["prompt_plain"] == 1.0
    lost = [line for line in contest.ledger if line["what"] == "lost"]
    if fault not in ("hang", "drip"):  # under their short time-out a busy machine may lose others as well
        assert bool(lost) == (fault in ("truncated", "html-200", "reset", "null"))
    else:
        assert lost


def hold_to_the_end(contest: Contest, endpoint: Endpoint) -> None:
    """Go on with a contest until it is finished; its books hold."""
    until_finished(contest.hold)
    contest.check_books(endpoint)


def random_faults(seed: int, place: Path) -> None:
    share = (0.05, 0.15, 0.3)[seed % 3]
    cap = (None, 0.004, 0.0015, 0.0004)[seed % 4]
    endpoint = Endpoint(fault=schedule(seed, share))
    contest = Contest(place, small_task(6, 8, 8), cap=cap)
    with serving(endpoint) as address:
        shelf(place, address, **TIMEOUT)
        hold_to_the_end(contest, endpoint)
    if cap is not None:
        assert endpoint.bill_usd <= cap
        assert sum(line["paid_usd"] for line in contest.ledger) <= cap + 1e-12
    standing = next(s for s in facts(place)["standings"] if s["way"] == "prompt_plain")
    if cap is None:
        assert standing["score"] == 1.0


@pytest.mark.parametrize("seed", range(8))
def test_random_faults(seed: int, place: Path) -> None:
    random_faults(seed, place)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 208))
def test_many_random_faults(seed: int, place: Path) -> None:
    random_faults(seed, place)


def test_the_cap_leaves_money_for_the_test_rows(place: Path) -> None:
    endpoint = Endpoint()
    contest = Contest(place, small_task(40, 40, 12), cap=0.0065)
    with serving(endpoint) as address:
        shelf(place, address)
        verdict = contest.hold().verdict
    standing = next(s for s in verdict.standings if s.way == "prompt_plain")
    assert standing.status == "ok", standing.reason
    assert standing.rows == 12
    assert endpoint.bill_usd <= 0.0065
    assert Counter(line["what"] for line in contest.ledger)["test"] == 12


def test_a_cap_that_pays_for_nothing_says_so(place: Path) -> None:
    endpoint = Endpoint()
    contest = Contest(place, small_task(), cap=0.0001)
    with serving(endpoint) as address:
        shelf(place, address)
        verdict = contest.hold().verdict
    standing = next(s for s in verdict.standings if s.way == "prompt_plain")
    assert standing.status == "failed"
    assert "the next call can cost $" in standing.reason
    assert endpoint.calls == 0


def test_a_key_that_is_revoked_midway_stops_saved(place: Path) -> None:
    endpoint, contest = Endpoint(), Contest(place, small_task())
    with serving(endpoint) as address:
        shelf(place, address)
        endpoint.fault = lambda number: setattr(endpoint, "key", None) if number == 25 else None
        with pytest.raises(EndpointError, match=r"refuses the key FAKE_KEY .* run the same command again") as stopped:
            contest.hold()
        assert KEY not in str(stopped.value)
        before = len(endpoint.delivered)
        assert before >= 20
        assert len([line for line in contest.ledger if line["what"] != "lost"]) == before, "what was paid is booked"
        endpoint.key, endpoint.fault = KEY, lambda number: None
        contest.hold()
    contest.check_books(endpoint)
    assert len(endpoint.delivered) == len(set(endpoint.delivered)), "nothing was asked twice"


def test_an_endpoint_that_stays_away_stops_saved(place: Path) -> None:
    from whichway.backends._openai.calls import Pace

    endpoint = Endpoint(fault=lambda number: "500" if number > 30 else None)
    contest = Contest(place, small_task(), pace=Pace(3, 5, 0.001, 0.002))
    with serving(endpoint) as address:
        shelf(place, address)
        with pytest.raises(EndpointError, match="does not answer: 500: oops"):
            contest.hold()
        endpoint.fault = lambda number: None
        contest.hold()
    contest.check_books(endpoint)
    assert len(endpoint.delivered) == len(set(endpoint.delivered))


def test_tuning_is_skipped_by_name_with_a_reason(place: Path) -> None:
    contest = Contest(place, small_task(), ways=("prompt_plain", "tune_lora"))
    with serving(Endpoint()) as address:
        shelf(place, address)
        verdict = contest.hold().verdict
    standing = next(s for s in verdict.standings if s.way == "tune_lora")
    assert standing.status == "failed"
    assert "cannot train" in standing.reason


def test_private_data_are_sent_nowhere(place: Path) -> None:
    endpoint = Endpoint()
    with serving(endpoint) as address:
        shelf(place, address)
        with pytest.raises(OptionError, match="there lies behind an API, and the task says private"):
            Contest(place, small_task(), private=True).hold()
        assert endpoint.calls == 0
        shelf(place, address, local=True)
        Contest(place / "own", small_task(), private=True).hold()
    assert endpoint.calls > 0


def test_an_unknown_price_is_counted_by_time(place: Path) -> None:
    endpoint, contest = Endpoint(), Contest(place, small_task(), known=False)
    with serving(endpoint) as address:
        shelf(place, address, price=False)
        verdict = contest.hold().verdict
    standing = next(s for s in verdict.standings if s.way == "prompt_plain")
    assert standing.usd_per_1000 == pytest.approx(1000 * standing.seconds_per_row * 0.1 / 3600)
