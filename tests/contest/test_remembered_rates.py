"""Remembered rates age, are checked, and do not keep a busy moment for ever. Clock and load are simulated."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task
from test_probe_limit import SlowModel, asks, job, train_kind

from whichway.backends.fake import FakeBackend
from whichway.contest.dry_run import machine_load
from whichway.contest.dry_run.machine_load import Load, Since, load_from_now
from whichway.contest.dry_run.profile import Timings
from whichway.contest.dry_run.rate_memory import TIMINGS, RateMemory, RatesFromRuns, probed_rates, together
from whichway.contest.dry_run.simulate import estimate
from whichway.contest.rates import FILE, Pricing, Rates
from whichway.contracts import Work, read_kind
from whichway.measurements import DAYS, ENOUGH, MOST, History, Measurement, of_measurements
from whichway.nouns import Adapter, Decoding, Message, Reply, Request, TrainJob

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float, day: float = 0.0, busy: float = 0.0) -> Measurement:
    return Measurement(seconds, BEGIN + timedelta(days=day), busy)


def test_an_idle_measurement_stands_against_a_busy_one():
    idle_first = of_measurements([at(1.0), at(2.0, 1, 0.5)])
    busy_first = of_measurements([at(2.0, 0, 0.5), at(1.0, 1)])
    assert idle_first.seconds == busy_first.seconds == 1.0
    assert of_measurements([at(2.0, 0, 0.5), at(2.1, 1)]).seconds == 2.1  # the idle one, not the faster


def test_a_speed_that_moved_replaces_the_old_one_and_agreeing_ones_give_their_median():
    assert of_measurements([at(1.0), at(1.1, 1), at(2.0, 2)]).seconds == 2.0
    assert of_measurements([at(1.0), at(1.2, 1), at(1.1, 2)]).seconds == 1.1
    assert len(of_measurements([at(1.0, day) for day in range(9)]).measurements) == MOST


def test_a_machine_that_is_always_busy_is_settled_in_the_end():
    history = of_measurements([at(2.0, day, 0.6) for day in range(ENOUGH - 1)])
    assert not history.settled
    assert history.added(at(1.9, 3, 0.6)).settled
    assert history.added(at(2.2, 3, 0.6)).seconds == 2.0  # the fastest


def test_old_measurements_are_forgotten():
    history = History((at(1.0),))
    assert not history.old(BEGIN + timedelta(days=DAYS))
    assert history.old(BEGIN + timedelta(days=DAYS, hours=1))
    assert history.added(at(1.2, DAYS + 1)).measurements == (at(1.2, DAYS + 1),)


class Machine:
    """A slow model on a machine whose date and load are set."""

    def __init__(self, place: Path, busy: float = 0.0, own: float = 1.0, slower: float = 1.0) -> None:
        self.backend, self.day, self.busy, self.own, self.place = SlowModel(), 0.0, busy, own, place
        self.probe(slower)

    def probe(self, slower: float = 1.0) -> Timings:
        """One estimate, on a machine that takes so many times as long."""
        memory = self.memory()
        self.backend.slower = slower
        timings = Timings(memory, self.place / f"scratch-{self.day}-{slower}", now=lambda: self.backend.now)
        self.asked, self.trained = self.backend.asked, self.backend.trained
        timings.answering(self.backend, self.backend.weights("fake"), asks())
        timings.learning(self.backend, job(self.backend, "lora"))
        self.asked, self.trained = self.backend.asked - self.asked, self.backend.trained - self.trained
        return timings

    def memory(self) -> RateMemory:
        return RateMemory(
            self.place / TIMINGS,
            now=lambda: BEGIN + timedelta(days=self.day),
            load=lambda: lambda: Load(self.busy, self.own),
        )

    def train_rate(self) -> float:
        return self.rate(train_kind(job(self.backend, "lora")))

    def rate(self, kind: str = "") -> float:
        memory = RateMemory(self.place / TIMINGS)
        return memory.rate(kind or read_kind(self.backend.weights("fake")))  # type: ignore[return-value]


def test_a_clock_that_does_not_move_is_no_fault(tmp_path):
    for seconds in (0.0, 0.0, 1.0, 0.0):
        memory = RateMemory(tmp_path / TIMINGS)
        memory.learn([Work("fake read", 10, seconds)])
        assert len(memory.notes()) >= 1
    stored = json.loads((tmp_path / TIMINGS).read_text(encoding="utf-8"))
    for facts in stored.values():  # as versions before this one wrote it
        facts["measured"] = [[0.0, when, busy] for _, when, busy in facts["measured"]]
    (tmp_path / TIMINGS).write_text(json.dumps(stored), encoding="utf-8")
    memory = RateMemory(tmp_path / TIMINGS)
    memory.learn([Work("fake read", 10, 0.0)])
    assert memory.notes()


def test_a_remembered_rate_is_checked_with_one_short_measurement(tmp_path):
    machine = Machine(tmp_path)
    first, rate = machine.asked, machine.rate()
    machine.day = 2.0
    timings = machine.probe(1.1)
    assert 0 < machine.asked < first
    assert not machine.trained
    assert rate <= machine.rate() <= 1.1 * rate
    assert timings.memory.notes() == ["Rates are those of 2026-03-01, checked now: 10 % slower."]
    machine.day = 2.0 + 5 / 1440  # minutes later
    assert machine.probe().memory.notes() == []
    assert machine.asked == 0


def test_rates_of_a_busy_moment_are_measured_anew_trainings_included(tmp_path):
    calm = Machine(tmp_path / "calm")
    busy = Machine(tmp_path / "busy", 0.5, slower=2.0)
    assert busy.rate() == pytest.approx(2 * calm.rate(), rel=0.01)
    assert busy.train_rate() == pytest.approx(2 * calm.train_rate(), rel=0.01)
    busy.day, busy.busy = 1.0, 0.0
    timings = busy.probe()
    assert busy.rate() == pytest.approx(calm.rate(), rel=0.01)
    assert busy.train_rate() == pytest.approx(calm.train_rate(), rel=0.01)
    assert "those of 2026-03-01 are 2.0 times too slow for this machine" in timings.memory.notes()[0]


def test_the_processor_s_share_tells_how_slow_a_busy_moment_was(tmp_path):
    machine = Machine(tmp_path, busy=0.8, own=0.2, slower=5.0)
    assert machine.rate() == pytest.approx(4e-4, rel=0.01)
    assert machine.train_rate() == pytest.approx(3 * 4e-4, rel=0.02)
    machine.day = 1.0
    notes = machine.probe(5.0).memory.notes()
    assert notes[0] == "Rates are those of 2026-03-01, checked now: the same."
    assert "80 %" in notes[1]
    assert [Load(busy, own).slowed for busy, own in ((0.1, 0.1), (0.5, 1.7), (0.5, 0.1), (1.0, 0.0))] == [1, 1, 2, 50]


def test_a_busy_moment_changes_no_rate_that_an_idle_machine_gave(tmp_path):
    machine = Machine(tmp_path)
    rate, lora = machine.rate(), machine.train_rate()
    machine.day, machine.busy = 3.0, 0.6
    timings = machine.probe(2.5)
    assert (machine.rate(), machine.train_rate()) == (rate, lora)
    notes = " ".join(timings.memory.notes())
    assert "Rates are those of 2026-03-01. Now it takes 2.5 times as long" in notes
    assert "Other programs take 60 % of this machine's processor time now" in notes
    machine.day, machine.busy = 4.0, 0.0
    machine.probe()
    assert machine.rate() == pytest.approx(rate, rel=0.01)


def test_a_machine_that_became_slower_is_believed_after_two_measurements_and_its_trainings_are_run_again(tmp_path):
    machine = Machine(tmp_path)
    rate, lora = machine.rate(), machine.train_rate()
    machine.day = 5.0
    machine.probe(1.6)
    assert machine.asked > 20  # warm, twice a few
    assert machine.trained
    assert machine.rate() == pytest.approx(1.6 * rate, rel=0.01)
    assert machine.train_rate() == pytest.approx(1.6 * lora, rel=0.01)


def test_what_is_older_than_a_month_is_measured_anew_and_prices_nothing(tmp_path):
    machine = Machine(tmp_path)
    kind = read_kind(machine.backend.weights("fake"))
    late = RateMemory(tmp_path / TIMINGS, now=lambda: BEGIN + timedelta(days=DAYS + 1))
    assert late.rate_in_force(kind) is None
    machine.day = DAYS + 1.0
    machine.probe(1.2)
    assert machine.trained
    assert machine.rate() == pytest.approx(1.2 * 4e-4, rel=0.01)
    now = RateMemory(tmp_path / TIMINGS, now=lambda: BEGIN + timedelta(days=DAYS + 2))
    assert now.rate_in_force(kind) == machine.rate()


def test_files_of_older_versions_are_measured_anew(tmp_path):
    (tmp_path / TIMINGS).write_text('{"a": {"seconds": 9.0}, "b": [1], "c": {"bytes": 1}}')
    machine = Machine(tmp_path)
    assert machine.rate() == pytest.approx(4e-4, rel=0.01)
    assert not {"a", "b", "c"} & json.loads((tmp_path / TIMINGS).read_text()).keys()


def test_files_of_several_caches_are_put_together(tmp_path):
    one = {"r": of_measurements([at(2.0, 0, 0.5)]).to_json(), "f": {"bytes": 1, "when": "2026-03-01T10:00+00:00"}}
    two = {"r": of_measurements([at(1.0, 1)]).to_json(), "f": {"bytes": 2, "when": "2026-03-02T10:00+00:00"}}
    for first, second in ((one, two), (two, one)):
        known = together(first, second, {"old": {"seconds": 3.0}})
        assert known["r"]["seconds"] == 1.0
        assert known["f"]["bytes"] == 2
        assert "old" not in known
    assert together(one, one) == one


def test_a_contest_says_where_its_rates_come_from(tmp_path):
    class Counted(SlowModel):
        def expected_training(self, job):
            raise NotImplementedError

    task = small_task(40, 20, 20)
    components = make_components(task)
    components = replace(components, backends={**components.backends, "fake": Counted()})
    settings = settings_for(tmp_path, {"prompt_plain": {"calibrate": 0}})
    assert estimate(task, components, settings, lambda event: None).notes[0] == "Rates were measured now."
    assert probed_rates(settings.cache)(read_kind(components.base)) == pytest.approx(4e-4, rel=0.01)


def test_own_work_is_not_the_load_of_others():
    load = load_from_now()
    assert 0.0 <= load().busy <= 1.0
    assert load_from_now()() == Load()  # too short to say


def test_written_answers_are_written_once_and_follow_the_rate(tmp_path):
    class Writer(SlowModel):
        def expected_answers(self, weights, requests):
            return [Work("fake write", 10.0, 0.0) for _ in requests]

        def answer_work(self, weights, request, reply):
            return Work("fake write", 10.0, reply.seconds)

        def generate(self, requests):
            self.asked += len(requests)
            return [Reply("x", tokens_out=5, seconds=0.2) for _ in requests]

    backend, memory = Writer(), RateMemory(tmp_path / TIMINGS, load=lambda: Load)
    rows = [Request((Message("user", f"row {n}"),), Decoding("generate", 8)) for n in range(20)]
    weights = backend.weights("fake")
    first = Timings(memory, tmp_path / "a").answering(backend, weights, rows)
    assert first.seconds == pytest.approx(0.2)
    asked = backend.asked
    again = Timings(RateMemory(tmp_path / TIMINGS), tmp_path / "b").answering(backend, weights, rows)
    assert again.seconds == pytest.approx(first.seconds)
    assert backend.asked == asked


def test_a_run_keeps_the_rates_that_it_began_with(tmp_path):
    machine = Machine(tmp_path)
    kind, path = read_kind(machine.backend.weights("fake")), tmp_path / FILE
    began = Rates(path, machine.memory().rate_in_force).price([Work(kind, 100.0, 9.0), Work("other", 1.0, 2.0)])
    assert began == pytest.approx([100 * 4e-4, 2.0])  # the probe's, and of what it does not know the first of its kind
    machine.day = 7.0
    machine.probe(1.6)
    assert machine.rate() == pytest.approx(1.6 * 4e-4, rel=0.01)
    resumed = Rates(path, machine.memory().rate_in_force).price([Work(kind, 100.0, 9.0), Work("other", 1.0, 5.0)])
    assert resumed == began
    fresh = Rates(tmp_path / "other.json", machine.memory().rate_in_force).price([Work(kind, 100.0, 9.0)])
    assert fresh == pytest.approx([1.6 * 100 * 4e-4], rel=0.01)


def test_trainings_of_a_contest_teach_the_estimates_of_later_ones(tmp_path):
    slow, read = Work("local m lora train", 100.0, 40.0), Work("local m read", 10.0, 90.0)
    RateMemory(tmp_path / TIMINGS, load=lambda: Load).learn([slow, read])
    learn = RatesFromRuns(tmp_path)
    learn([Work(slow.kind, 1000.0, 200.0), read], Load(busy=0.02))
    learn([Work(slow.kind, 1000.0, 900.0)], Load(busy=0.02))  # one checkpoint is enough of a run
    rate = RateMemory(tmp_path / TIMINGS).rate
    assert rate(slow.kind) == pytest.approx(0.2)
    assert rate(read.kind) == pytest.approx(9.0)  # reading is checked by every probe
    RatesFromRuns(tmp_path)([Work(slow.kind, 10.0, 1.0)], Load(busy=0.02))  # too short to say more than a probe
    RatesFromRuns(tmp_path)([Work(slow.kind, 1000.0, 900.0)], Load(busy=0.9, own=0.9))
    assert RateMemory(tmp_path / TIMINGS).rate(slow.kind) == pytest.approx(0.2)  # it was only busy


def test_only_work_that_was_done_now_is_learned_from(tmp_path):
    class Trainer(FakeBackend):
        def training_work(self, job, adapter, before):
            return (Work("fake train", 10.0, adapter.seconds),)

        def answer_work(self, weights, request, reply):
            return Work("fake read", 1.0, reply.seconds)

    learned: list[float] = []
    pricing = Pricing(Rates(tmp_path / FILE), lambda works, load: learned.append(works[0].seconds))
    backend = Trainer()
    job = TrainJob("lora", backend.weights("fake"), (), (), 0)
    quick, old = (Adapter(job.weights, 1, 1.0, None, seconds, 0, 0) for seconds in (0.0, 60.0))
    assert pricing.training(backend, job, quick, None, Since())[1] == 0.0
    assert pricing.training(backend, job, old, None, Since())[1] == 60.0
    assert pricing.training(backend, job, old, None)[1] == 60.0
    assert learned == [0.0]


def test_rates_belong_to_a_number_of_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one = machine_load.machine()
    assert machine_load.threads_at_hand() == 1
    monkeypatch.setattr(machine_load, "_cores", lambda: [0, 1, 2])
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert machine_load.threads_at_hand() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert machine_load.threads_at_hand() == 3
    assert machine_load.machine() != one
