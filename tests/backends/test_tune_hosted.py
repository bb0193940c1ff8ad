"""A hosted model is fine-tuned by its service: price, cap, curve, resume, faults, privacy."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from endpoint_kit import KEY, serving
from hosted_kit import Contest, facts, schedule, small_task
from tuning_kit import BASE, TuningEndpoint

from whichway.backends._openai.calls import Pace
from whichway.errors import EndpointError, OptionError
from whichway.verdict.breakeven import Price

TUNED = Price("there-tuned", 2.0, 1.0, 8.0, "2026-11-30")
PRICE = Price("there", 1.0, 0.5, 4.0, "2026-11-30", training=8.0, tuned=TUNED)
PACE = Pace(tries=12, patience_seconds=30, first_wait=0.005, longest_wait=0.02, poll_seconds=0.01)
WAYS = ("prompt_plain", "tune_hosted")


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TuningEndpoint]:
    """A server, and a models.yaml that names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_KEY", KEY)
    endpoint = TuningEndpoint()
    with serving(endpoint) as address:
        shelf(tmp_path, address)
        yield endpoint


def shelf(folder: Path, address: str, **more: Any) -> None:
    entry = {"model": BASE, "base_url": address, "key": "FAKE_KEY", "price": "there", **more}
    lines = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in entry.items())
    (folder / "models.yaml").write_text(f"as_of: 2026-11-30\nendpoints:\n  there:\n{lines}")


def contest(folder: Path, cap: float | None = None, **more: Any) -> Contest:
    given: dict[str, Any] = {"pace": PACE, "ways": WAYS, "price": PRICE, "seeds": (0,), **more}
    return Contest(folder, small_task(12, 12, 12), cap=cap, **given)


def standing(folder: Path, way: str = "tune_hosted") -> dict[str, Any]:
    return next(line for line in facts(folder)["standings"] if line["way"] == way)


def test_a_tuned_model_competes_with_its_prompt(service: TuningEndpoint, tmp_path: Path) -> None:
    service.shutdown = "2027-05-01"
    held = contest(tmp_path)
    verdict = held.hold().verdict
    lines = {line.way: line for line in verdict.standings}
    assert lines["tune_hosted"].score == 1.0
    assert lines["prompt_plain"].score < 0.5
    assert verdict.choice == "tune_hosted"
    job = service.jobs["ftjob-1"]
    assert (len(service.jobs), job["hyperparameters"], job["seed"]) == (1, {"n_epochs": 3}, 0)
    rows = [json.loads(line) for line in service.files["file-1"].decode().splitlines()]
    assert len(rows) == 12
    assert [turn["role"] for turn in rows[0]["messages"]] == ["system", "user", "assistant"]
    assert {row["messages"][-1]["content"] for row in rows} == {"account", "billing", "delivery"}
    assert service.deleted == ["file-1"], "the rows do not stay there"
    paid = [line for line in held.ledger if line["what"] == "train"]
    assert sum(line["usd"] for line in paid) == pytest.approx(service.training_usd)
    assert sum(line["tokens_trained"] for line in paid) == job["trained_tokens"]
    assert lines["tune_hosted"].usd_fit >= service.training_usd
    assert "The model that tune_hosted had tuned is switched off by its provider on 2027-05-01." in verdict.warnings
    each = TUNED.usd(round(lines["tune_hosted"].tokens_in), 0, round(lines["tune_hosted"].tokens_out))
    assert lines["tune_hosted"].usd_per_1000 == pytest.approx(1000 * each, rel=0.1), "at the tuned model's own price"


def test_checkpoints_are_a_curve(service: TuningEndpoint, tmp_path: Path) -> None:
    contest(tmp_path).hold()
    lines = [json.loads(x) for x in (tmp_path / "run/ways/tune_hosted/candidates.jsonl").read_text().splitlines()]
    assert [line["candidate"]["note"] for line in lines] == [
        f"1.0 epochs, ft:{BASE}:org:{service.jobs['ftjob-1']['suffix']}:ftjob-1:ckpt-step-10",
        f"2.0 epochs, ft:{BASE}:org:{service.jobs['ftjob-1']['suffix']}:ftjob-1:ckpt-step-20",
        f"3.0 epochs, ft:{BASE}:org:{service.jobs['ftjob-1']['suffix']}:ftjob-1",
    ]
    asked = {body["model"] for body in service.bodies}
    assert len(asked) == 4, "the base and three checkpoints answered dev rows"


def test_a_service_without_checkpoints_or_counts(service: TuningEndpoint, tmp_path: Path) -> None:
    service.lists_checkpoints = service.says_tokens = False
    held = contest(tmp_path)
    held.hold()
    assert len((tmp_path / "run/ways/tune_hosted/candidates.jsonl").read_text().splitlines()) == 1
    tokens = sum(line.get("tokens_trained", 0) for line in held.ledger)
    assert 0.5 < tokens / service.jobs["ftjob-1"]["tokens"] < 1.1, "about as many as it has counted"


def test_a_rerun_and_another_run_pay_nothing(service: TuningEndpoint, tmp_path: Path) -> None:
    first = contest(tmp_path)
    first.hold()
    calls = service.calls
    assert first.hold().paid_usd == 0
    other = contest(tmp_path)
    other.run_name = "other"
    assert other.hold().paid_usd == 0
    assert (len(service.jobs), service.calls) == (1, calls)
    assert standing(tmp_path)["usd_fit"] > 0, "a hit is charged like a miss"


@pytest.mark.parametrize("seeds", [(0, 1)])
def test_each_seed_is_a_job_of_its_own(service: TuningEndpoint, tmp_path: Path, seeds: tuple[int, ...]) -> None:
    contest(tmp_path, seeds=seeds).hold()
    assert [job["seed"] for job in service.jobs.values()] == [0, 1]
    assert standing(tmp_path)["seeds"] == 2


def test_the_cap_holds_before_the_job(service: TuningEndpoint, tmp_path: Path) -> None:
    contest(tmp_path, cap=0.02).hold()
    line = standing(tmp_path)
    assert line["status"] == "failed"
    assert "is too small for its training: that costs about $" in line["reason"]
    assert not service.jobs
    assert not service.files, "nothing was sent"
    assert standing(tmp_path, "prompt_plain")["status"] == "ok"


def test_a_cap_that_is_enough_is_kept(service: TuningEndpoint, tmp_path: Path) -> None:
    held = contest(tmp_path, cap=0.5)
    held.hold()
    assert standing(tmp_path)["score"] == 1.0
    assert service.training_usd + service.bill_usd <= 0.5
    assert sum(line["paid_usd"] for line in held.ledger) >= service.training_usd + service.bill_usd


def test_an_unknown_price_is_refused_before_anything_is_sent(service: TuningEndpoint, tmp_path: Path) -> None:
    shelf(tmp_path, "http://example.invalid/v1")
    plain = Price("there", 1.0, 0.5, 4.0)
    contest(tmp_path, price=plain, ways=("base_majority", "tune_hosted")).hold()
    assert "the entry 'there' of the price file wants `training`" in standing(tmp_path)["reason"]
    assert not service.heard


def test_a_failed_job_is_a_failed_way(service: TuningEndpoint, tmp_path: Path) -> None:
    service.ends = "failed"
    held = contest(tmp_path)
    held.hold()
    reason = "the fine-tuning job ftjob-1 has failed: the rows are odd"
    assert standing(tmp_path)["reason"] == reason
    held.hold()
    assert len(service.jobs) == 1, "what failed in a run stays failed in it"
    service.ends = "succeeded"
    again = contest(tmp_path)
    again.run_name = "again"
    again.hold()
    assert len(service.jobs) == 2
    assert [line["way"] for line in again.ledger if line["what"] == "train"] == ["tune_hosted"] * 3


def test_rows_that_the_service_would_refuse(service: TuningEndpoint, tmp_path: Path) -> None:
    from whichway.backends._openai.job_services import RowLimits
    from whichway.backends._openai.tuning_rows import file_of
    from whichway.errors import WayFailed
    from whichway.nouns import Message, TrainJob, TrainRow, Weights

    def job(*rows: TrainRow) -> TrainJob:
        return TrainJob("hosted", Weights("openai", "there"), rows, (), 0, {})

    good = TrainRow((Message("user", "where is my parcel"),), "delivery")
    assert file_of(job(good), RowLimits(), "X").count(b"\n") == 1
    odd = (
        ((good,), RowLimits(10), "X wants 10 training rows at least; there are 1"),
        ((good, TrainRow(good.messages, " ")), RowLimits(), "training row 2 has an empty answer"),
        ((TrainRow((Message("assistant", "hello"),), "x"),), RowLimits(), "training row 1 does not end"),
        ((TrainRow((Message("user", "long " * 900),), "x"),), RowLimits(1, 10**9, 500), "training row 1 has about"),
        ((good,) * 9, RowLimits(1, 300), "the training file has 0 MiB"),
    )
    for rows, limits, words in odd:
        with pytest.raises(WayFailed, match=words):
            file_of(job(*rows), limits, "X")


def test_private_rows_are_not_sent(service: TuningEndpoint, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there lies behind an API, and the task says private"):
        contest(tmp_path, private=True, ways=("base_majority", "tune_hosted")).hold()
    assert not service.heard
    assert service.calls == 0


FAULTS = (
    *(("POST /fine_tuning", fault) for fault in ("500", "429", "html", "lost")),
    *(("POST /files", "lost"), ("GET /fine_tuning", "html"), ("DELETE /files", "500"), ("GET /models", "lost")),
)


@pytest.mark.parametrize(("call", "fault"), FAULTS)
def test_every_call_about_a_job_may_go_wrong(service: TuningEndpoint, tmp_path: Path, fault: str, call: str) -> None:
    service.job_fault = lambda method, path, number: (
        fault if f"{method} /{path.split('/')[1]}" == call and number in (1, 2) else None
    )
    contest(tmp_path).hold()
    assert standing(tmp_path)["score"] == 1.0
    assert len(service.jobs) == 1, "a job is paid: it never starts twice"


class Killed(BaseException):
    """A process that ends at once."""


@pytest.mark.parametrize("writes", range(6))
def test_a_killed_run_finds_its_job_again(
    service: TuningEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Killed before or after each thing that it notes: the file, the wish for a job, the job, its end."""
    from whichway.backends._openai.fine_tuning import JobRecord

    write, count = JobRecord.write, 0

    def noted(self: JobRecord, folder: Path) -> JobRecord:
        nonlocal count
        count += 1
        if count == writes // 2 + 1 and writes % 2 == 0:
            raise Killed
        record = write(self, folder)
        if count == writes // 2 + 1:
            raise Killed
        return record

    with monkeypatch.context() as patched:
        patched.setattr(JobRecord, "write", noted)
        with pytest.raises(Killed):
            contest(tmp_path).hold()
    contest(tmp_path).hold()
    assert standing(tmp_path)["score"] == 1.0
    assert len(service.jobs) == 1


def test_a_key_that_is_revoked_while_a_job_runs(service: TuningEndpoint, tmp_path: Path) -> None:
    service.polls = 10
    service.job_fault = lambda method, path, number: setattr(service, "key", None) if number == 6 else None  # type: ignore[func-returns-value]
    with pytest.raises(EndpointError, match="refuses the key FAKE_KEY") as stopped:
        contest(tmp_path).hold()
    assert KEY not in str(stopped.value)
    service.key, service.job_fault = KEY, lambda method, path, number: None
    contest(tmp_path).hold()
    assert standing(tmp_path)["score"] == 1.0
    assert len(service.jobs) == 1


def test_a_service_that_trains_nothing(service: TuningEndpoint, tmp_path: Path) -> None:
    from tuning_kit import TuningHandler

    class Chat(TuningHandler):
        def _answer(self, method: str, path: str, content: bytes) -> Any:
            return 404, {"error": {"message": "Not Found"}}

    service.handler = Chat
    with serving(service) as address:
        shelf(tmp_path, address)
        contest(tmp_path).hold()
    assert standing(tmp_path)["reason"].endswith("takes no such fine-tuning job: Not Found")
    assert standing(tmp_path, "prompt_plain")["status"] == "ok"


def random_job_faults(seed: int, service: TuningEndpoint, folder: Path) -> None:
    """A contest under faults of chat and of jobs, begun again by its user until it ends."""
    rng = random.Random(seed)
    share = (0.05, 0.15, 0.3)[seed % 3]
    cap = (None, 0.5, 0.06, 0.01)[seed % 4]
    service.fault, service.polls = schedule(seed, share), rng.randint(1, 6)
    faults = {n: rng.choice(("500", "429", "html", "lost")) for n in range(1, 400) if rng.random() < share}
    service.job_fault = lambda method, path, number: faults.get(number + len(method) + len(path))
    held = contest(folder, cap=cap)
    for _ in range(8):
        try:
            held.hold()
            break
        except EndpointError:
            continue
    else:
        pytest.fail("it never ended")
    assert len(service.jobs) <= 1, "a job never starts twice"
    booked = sum(line["paid_usd"] for line in held.ledger)
    assert booked >= service.bill_usd + service.training_usd - 1e-9
    if cap is None:
        assert standing(folder)["score"] == 1.0
    else:
        of_way = [line for line in held.ledger if line["way"] == "tune_hosted"]
        assert sum(line["paid_usd"] for line in of_way) <= cap + 1e-12


@pytest.mark.parametrize("seed", range(1))
def test_random_job_faults(service: TuningEndpoint, tmp_path: Path, seed: int) -> None:
    random_job_faults(seed, service, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 201))
def test_many_random_job_faults(service: TuningEndpoint, tmp_path: Path, seed: int) -> None:
    random_job_faults(seed, service, tmp_path)


def test_jobs_are_listed_and_stopped(
    service: TuningEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whichway.app import hosted_jobs
    from whichway.backends._openai import fine_tuning

    def interrupted(seconds: float) -> None:
        raise Killed

    cache = tmp_path / ".cache"
    assert list(hosted_jobs.jobs(cache)) == []
    service.polls = 10**6
    with monkeypatch.context() as patched:
        patched.setattr(fine_tuning, "time", SimpleNamespace(sleep=interrupted, monotonic=time.monotonic))
        with pytest.raises(Killed):
            contest(tmp_path).hold()
    (listed,) = hosted_jobs.jobs(cache)
    assert (listed.record.job, listed.record.word, listed.status) == ("ftjob-1", "there", "running")
    with pytest.raises(OptionError, match="there is no fine-tuning job 'ftjob-7'"):
        hosted_jobs.stop(cache, "ftjob-7")
    assert hosted_jobs.stop(cache, "ftjob-1").status == "cancelled"
    contest(tmp_path).hold()
    assert standing(tmp_path)["reason"] == "the fine-tuning job ftjob-1 was cancelled"
    assert [job.status for job in hosted_jobs.jobs(cache)] == ["cancelled"]
