"""List prices are counted work at a rate of the run: a busy moment of the machine makes nothing dearer."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.backends.fake import FakeBackend
from whichway.contest import run
from whichway.contest.rates import FILE, Rates
from whichway.contracts import Work
from whichway.nouns import Verdict
from whichway.report import estimates, html
from whichway.runs.folder import read_candidates, read_records
from whichway.runs.run import Run

WAYS = {"prompt_plain": {"layouts": ("system",), "calibrate": 0}, "tune_lora": {"rate": 0.001}}


class Busy(FakeBackend):
    """Counts its work in words; how long it takes depends on what else the machine does: see `load`."""

    def __init__(self, load: Callable[[int], float]) -> None:
        super().__init__()
        self.load, self.calls = load, 0

    @contextmanager
    def open(self, weights, adapter):
        with super().open(weights, adapter) as session:
            yield Slowed(session, self)

    def answer_work(self, weights, request, reply):
        return Work("read", float(sum(len(m.content.split()) for m in request.messages)), reply.seconds)

    def training_work(self, job, adapter, before):
        units = adapter.tokens - (before.tokens if before else 0)
        return (Work(f"train {job.kind}", units, adapter.seconds - (before.seconds if before else 0.0)),)


class Slowed:
    def __init__(self, session, backend: Busy) -> None:
        self.session, self.backend = session, backend

    def choose(self, requests):
        self.backend.calls += 1
        slower = self.backend.load(self.backend.calls)
        return [replace(reply, seconds=reply.seconds * slower) for reply in self.session.choose(requests)]


def held(tmp_path: Path, name: str, load: Callable[[int], float], cache: str = "") -> tuple[Path, Verdict]:
    task = small_task(60, 40, 60)
    components = make_components(task)
    components = replace(components, backends={**components.backends, "fake": Busy(load)})
    outcome = run(task, components, folder=tmp_path / name, settings=settings_for(tmp_path / (cache or name), WAYS))
    return tmp_path / name, outcome.verdict


def by_way(verdict: Verdict):
    return {standing.way: standing for standing in verdict.standings}


def test_equal_work_costs_equal_whatever_the_machine_does_meanwhile(tmp_path):
    _, calm = held(tmp_path, "calm", lambda call: 1.0)
    _, busy = held(tmp_path, "busy", lambda call: 5.0 if call % 3 == 2 else 1.0)  # not while the rate is measured
    zero, lora = by_way(busy)["prompt_plain"], by_way(busy)["tune_lora"]
    assert zero.usd_per_1000 == pytest.approx(lora.usd_per_1000, rel=1e-9)
    assert zero.seconds_per_row == pytest.approx(lora.seconds_per_row, rel=1e-9)
    assert zero.wall_per_row != lora.wall_per_row  # by the clock one of them was unlucky
    for way, standing in by_way(calm).items():
        assert by_way(busy)[way].usd_per_1000 == pytest.approx(standing.usd_per_1000)
        assert by_way(busy)[way].usd_fit == pytest.approx(standing.usd_fit)
    assert [s.way for s in calm.standings] == [s.way for s in busy.standings]


def test_seconds_by_the_clock_stand_beside_and_are_what_was_paid(tmp_path):
    folder, verdict = held(tmp_path, "busy", lambda call: 2.0 if call > 1 else 1.0)
    ledger = [json.loads(line) for line in (folder / "ledger.jsonl").open()]
    assert all(line["paid_seconds"] <= line["wall_seconds"] + 1e-12 for line in ledger)
    answers = [line for line in ledger if line["what"] in ("score", "test")]
    assert sum(line["wall_seconds"] for line in answers) > sum(line["seconds"] for line in answers)
    assert by_way(verdict)["tune_lora"].wall_fit != by_way(verdict)["tune_lora"].seconds_fit
    assert {round(r.wall, 12) for r in read_records(folder) if r.split == "test"} == {0.002}
    assert len({r.seconds for r in read_records(folder)}) > 5  # longer rows are more work
    status = json.loads((folder / "ways" / "tune_lora" / "status.json").read_text())
    assert status["wall_fit"] == by_way(verdict)["tune_lora"].wall_fit
    page = html.write(Run(folder)).read_text(encoding="utf-8")
    assert "By the clock" in page  # a column of the ledger
    assert "counted work (tokens) at a rate measured once" in page


def test_a_resumed_run_and_one_from_a_warm_cache_have_the_same_prices(tmp_path):
    load = lambda call: 1.0 + call % 7  # noqa: E731
    first, before = held(tmp_path, "first", load)
    rates = (first / FILE).read_bytes()
    for name in ("ledger.jsonl", "records.jsonl", "verdict.json"):
        (first / name).unlink()
    _, again = held(tmp_path, "first", load)
    _, warm = held(tmp_path, "warm", lambda call: 100.0, cache="first")
    assert (first / FILE).read_bytes() == rates
    assert again == before
    assert warm == before


def test_a_run_that_began_by_the_clock_goes_on_by_the_clock(tmp_path):
    folder, _ = held(tmp_path, "old", lambda call: float(call))
    plan = json.loads((folder / "plan.json").read_text())
    assert plan.pop("pricing") == "work"
    for path in (*folder.glob("*.jsonl"), folder / FILE, folder / "verdict.json"):
        path.unlink()
    (folder / "plan.json").write_text(json.dumps(plan))
    _, verdict = held(tmp_path, "old", lambda call: float(call))
    assert not (folder / FILE).exists()
    assert all(s.wall_per_row is None and s.wall_fit is None for s in verdict.standings)
    assert {round(r.seconds, 12) for r in read_records(folder)} > {0.001}


def test_votes_and_stored_candidates_add_up(tmp_path):
    folder, verdict = held(tmp_path, "r", lambda call: 3.0)
    facts = read_candidates(folder, "tune_lora").values()
    assert max(entry["seconds_fit"] for _, entry in facts) <= by_way(verdict)["tune_lora"].seconds_fit


def test_a_rate_is_probed_or_the_first_that_is_bought_and_stays(tmp_path):
    rates = Rates(tmp_path / FILE, {"write": 0.5}.get)
    assert rates.price([Work("read", 2.0, 1.0), Work("read", 6.0, 1.0)]) == [0.5, 1.5]
    assert rates.price([Work("read", 4.0, 100.0), Work("write", 2.0, 7.0)]) == [1.0, 1.0]
    assert Rates(tmp_path / FILE).price([Work("read", 1.0, 9.0), Work("write", 1.0, 9.0)]) == [0.25, 0.5]
    assert Rates(tmp_path / FILE).price([Work("other", 0.0, 3.0)]) == [0.0]  # no work, no price, no rate


def test_what_a_run_took_is_told_by_the_clock():
    rows = estimates.lines_of(
        {"within": 1.5, "ways": {"a": {"seconds": 9.0, "ceiling_seconds": 9.0, "usd": 0.0, "memory_bytes": None,
         "disk_bytes": 0, "reason": ""}}}, {"a": 4.0}
    )  # fmt: skip
    assert estimates.after(rows) == "Estimated 9.0 s, took 4.0 s; furthest off: a 9.0 s for 4.0 s."
